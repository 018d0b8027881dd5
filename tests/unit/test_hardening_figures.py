"""Figures of adversarial training: they show the table, and all of its defences apart."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_text import text_of
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genosiege.figures import hardening, style
from genosiege.figures.hardening_summary import summary
from genosiege.sequence.verdict_rule import VERDICTS

DEFENCES = {name: name for name in hardening.KINDS}
WITH_INTERVALS = (
    "accuracy", "robust_accuracy", "flip_rate", "success_drop_rate", "median_edits",
    "median_queries", "mean_plausibility", "mean_drop_per_edit", "replay_flip_rate",
)  # fmt: skip
ALL_RUN = "all 3 rounds were run"
STOPPED = "flip rate 0.040 of the training-side attack is at or below 0.05"


def hardening_table(
    kinds: Mapping[str, str] = DEFENCES,
    encoders: tuple[str, ...] = ("cnn", "dnabert2"),
    seeds: tuple[int, ...] = (0,),
    last: int = 3,
) -> pd.DataFrame:
    """Tabulate rounds that end as planned, every value different from all others."""
    generator = np.random.default_rng(4)
    rows = []
    for encoder in encoders:
        for seed in seeds:
            start = generator.uniform(0.3, 0.6, size=20)
            for defence, kind in kinds.items():
                for number in range(last + 1):
                    values = start if number == 0 else generator.uniform(0.3, 0.6, size=20)
                    row: dict[str, Any] = {
                        "task": "promoters", "encoder": encoder, "seed": str(seed),
                        "defence": defence, "kind": kind, "round": number,
                        "is_last": number == last, "kept": False, "adversary_source": "train",
                        "stop_reason": ALL_RUN if number == last else np.nan,
                        "attack": "genetic", "n_test": 590, "n_sequences": 50,
                        "training_loss": values[0] if number else np.nan, "loss": values[1],
                        "ece": values[2], "saturation": values[3],
                    }  # fmt: skip
                    for name, value in zip(WITH_INTERVALS, values[4:], strict=False):
                        row |= {
                            name: value,
                            f"{name}_low": value - 0.2,
                            f"{name}_high": value + 0.1,
                        }
                    rows.append(row)
    return pd.DataFrame(rows)


def verdict_table(table: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    """Tabulate a verdict on each defence and seed, effects from 0.01 on."""
    ends = table[table["is_last"]]
    columns = ["task", "encoder", "seed", "defence", "n_sequences", "stop_reason"]
    found = ends[columns].assign(last_round=ends["round"]).reset_index(drop=True)
    found["delta_robust_accuracy"] = 0.01 * (1 + np.arange(len(found)))
    found["delta_robust_accuracy_low"] = found["delta_robust_accuracy"] - 0.02
    found["delta_robust_accuracy_high"] = found["delta_robust_accuracy"] + 0.03
    words = {"verdict": "no difference shown", "note": np.nan, "suite": "genetic;transfer"}
    return found.assign(**(words | {"edits": 5} | changes))


def summarised(table: pd.DataFrame) -> Figure:
    return summary(table, verdict_table(table) if len(table) else table)


FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "training_progress": hardening.training_progress,
    "attack_effectiveness": hardening.attack_effectiveness,
    "attack_difficulty": hardening.attack_difficulty,
    "biological_plausibility": hardening.biological_plausibility,
    "perturbation_efficiency": hardening.perturbation_efficiency,
    "model_robustness": hardening.model_robustness,
    "summary": summarised,
}
MEASURES = {
    "training_progress": ("training_loss", "loss", "accuracy"),
    "attack_effectiveness": ("flip_rate", "success_drop_rate", "replay_flip_rate"),
    "attack_difficulty": ("median_edits", "median_queries"),
    "biological_plausibility": ("mean_plausibility",),
    "perturbation_efficiency": ("mean_drop_per_edit",),
    "model_robustness": ("robust_accuracy",),
    "summary": ("robust_accuracy", "accuracy", "ece", "saturation"),
}


def curve(ax: Axes, colour: str) -> Line2D:
    """Find a defence's curve over the rounds: the one with markers."""
    (line,) = [
        line for line in ax.lines
        if line.get_color() == colour and line.get_linestyle() != "None"
        and line.get_marker() not in ("None", "x") and len(np.asarray(line.get_xdata())) > 1
    ]  # fmt: skip
    return line


def bars(ax: Axes, colour: str) -> list[tuple[float, float]]:
    """Give the intervals that are drawn in a colour, from left to right."""
    found = [
        path.vertices for lines in ax.collections if isinstance(lines, LineCollection)
        if to_hex(lines.get_color()[0]) == colour.lower()
        for path in lines.get_paths()
    ]  # fmt: skip
    found.sort(key=lambda ends: ends[0][0])
    return [(float(ends[0][1]), float(ends[1][1])) for ends in found]


def labelled(figure: Figure, words: str) -> list[str]:
    """Give the names in the legend that contain some words."""
    names = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return [name for name in names if words in name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("training_progress", ["training loss", "clean test loss", "clean accuracy", "n = 590"]),
        ("attack_effectiveness", ["flip rate", "confidence drop", "replay", "n = 50 test"]),
        ("attack_difficulty", ["edits to flip", "queries per run", "median", "n = 50 test"]),
        ("biological_plausibility", ["biological plausibility", "plausible", "n = 50 test"]),
        ("perturbation_efficiency", ["confidence drop per edit", "mean over flips"]),
        ("model_robustness", ["robust accuracy", "clean accuracy", "n = 50 test"]),
        ("summary", ["robust accuracy", "ECE", "saturation", "percentage points", "verdict"]),
    ],
)
def test_figures_say_what_they_show_and_of_how_many(
    name: str, words: list[str], tmp_path: Path
) -> None:
    text = text_of(FIGURES[name](hardening_table()), tmp_path / "figure.svg")

    for expected in [*words, *DEFENCES, "promoters · cnn", "promoters · dnabert2"]:
        assert expected in text
    assert "round (0: baseline)" in text


@pytest.mark.parametrize("name", FIGURES)
def test_curves_and_intervals_are_those_of_the_table(name: str) -> None:
    table = hardening_table()
    look = style.looks(DEFENCES)

    figure = FIGURES[name](table)

    width = len(MEASURES[name]) if name == "summary" else 2
    step = 1 if name == "summary" else 2
    for place, encoder in enumerate(("cnn", "dnabert2")):
        # The summary has a model's verdict, three panels, behind its curves.
        first = place * (width + 3) if name == "summary" else place
        for row, measure in enumerate(MEASURES[name]):
            ax = figure.axes[first + row * step]
            for defence in DEFENCES:
                own = table[(table["encoder"] == encoder) & (table["defence"] == defence)]
                line = curve(ax, look[defence].colour)
                assert np.asarray(line.get_ydata()) == pytest.approx(own[measure], nan_ok=True)
                rounds = np.asarray(line.get_xdata(), dtype=float)
                assert np.round(rounds).tolist() == [0, 1, 2, 3]
                if measure in WITH_INTERVALS:
                    ends = own[[f"{measure}_low", f"{measure}_high"]].to_numpy()[1:]
                    assert np.array(bars(ax, look[defence].colour)) == pytest.approx(ends)
                    low, high = ax.get_ylim()
                    assert low < ends.min() and high > min(ends.max(), 1.0)


@pytest.mark.parametrize("name", FIGURES)
def test_equal_input_gives_equal_bytes(name: str, tmp_path: Path) -> None:
    for file in ("one.svg", "two.svg"):
        style.save(FIGURES[name](hardening_table()), tmp_path / file)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_order_of_rows_does_not_matter(name: str, tmp_path: Path) -> None:
    table = hardening_table()
    mixed = table.sample(frac=1, random_state=1)
    first, second = (
        (summary(t, verdict_table(table)) if name == "summary" else FIGURES[name](t))
        for t in (table, mixed)
    )

    style.save(first, tmp_path / "one.svg")
    style.save(second, tmp_path / "two.svg")

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_figures_bear_a_run_without_defences(name: str, tmp_path: Path) -> None:
    empty = pd.DataFrame(columns=hardening_table().columns)

    assert "no defence was run" in text_of(FIGURES[name](empty), tmp_path / "figure.svg")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
def test_figures_bear_models_that_nothing_flips_or_everything(name: str, tmp_path: Path) -> None:
    table = hardening_table(encoders=("cnn",))
    for measure in ("median_edits", "mean_plausibility", "mean_drop_per_edit", "training_loss"):
        table[[n for n in table if str(n).startswith(measure)]] = np.nan
    for measure in ("robust_accuracy", "flip_rate", "saturation", "ece"):
        table[[n for n in table if str(n).startswith(measure)]] = 0.0

    text = text_of(FIGURES[name](table), tmp_path / "figure.svg")

    expected = {
        "training_progress": "nothing was trained",
        "attack_difficulty": "no attack succeeded",
        "biological_plausibility": "no attack succeeded",
        "perturbation_efficiency": "no attack succeeded",
    }
    assert expected.get(name, "") in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
def test_figures_bear_defences_that_stopped_before_the_first_round(
    name: str, tmp_path: Path
) -> None:
    table = hardening_table(last=0).assign(stop_reason=STOPPED)

    text = text_of(FIGURES[name](table), tmp_path / "figure.svg")

    assert ("stopped before round 1" if name == "summary" else "stopped early") in text


def test_overlapping_defences_stand_apart_but_start_together() -> None:
    table = hardening_table({f"defence{number}": "mixed" for number in range(6)})
    table["accuracy"] = 0.8

    ax = hardening.training_progress(table).axes[4]

    curves = [curve(ax, look.colour) for look in style.looks(table["defence"]).values()]
    x = np.array([np.asarray(line.get_xdata(), dtype=float) for line in curves])
    assert set(x[:, 0]) == {0}
    assert np.diff(np.sort(x[:, 1:], axis=0), axis=0).min() > 0.1
    assert np.abs(x - np.arange(4)).max() < 0.5


def test_a_defence_looks_the_same_in_all_figures_and_unlike_the_others() -> None:
    table = hardening_table()
    seen = []
    for draw in FIGURES.values():
        ax = draw(table).axes[0]
        lines = [curve(ax, look.colour) for look in style.looks(DEFENCES).values()]
        seen.append([(line.get_marker(), line.get_linestyle()) for line in lines])

    assert all(found == seen[0] for found in seen)
    # Without colours too.
    assert len({marker for marker, _ in seen[0]}) == len(DEFENCES)


def test_controls_are_hollow_and_come_last() -> None:
    kinds = {"a": "random_mutants", "b": "clean_only", "c": "mixed", "d": "adversarial_only"}
    figure = hardening.model_robustness(hardening_table(kinds))

    (legend,) = figure.legends
    handles = legend.get_lines()[:4]
    assert [str(text.get_text()) for text in legend.get_texts()][:4] == ["d", "c", "b", "a"]
    assert [line.get_markerfacecolor() == "white" for line in handles] == [False, False, True, True]


def test_what_was_trained_on_test_or_attacked_otherwise_says_so(tmp_path: Path) -> None:
    table = hardening_table()
    leak = table["defence"] == "mixed"
    table.loc[leak, ["adversary_source", "attack"]] = ["test", "published"]

    figure = hardening.model_robustness(table)

    assert labelled(figure, "trained on test") == ["mixed (attack: published; trained on test)"]
    assert labelled(figure, "attack:") == ["mixed (attack: published; trained on test)"]
    assert "trained on" in text_of(summarised(table), tmp_path / "figure.svg")


def test_an_early_stop_is_framed_where_it_was() -> None:
    table = hardening_table(encoders=("cnn",))
    early = (table["defence"] == "mixed") & (table["round"] > 2)
    table = table[~early]
    end = (table["defence"] == "mixed") & (table["round"] == 2)
    table.loc[end, ["is_last", "stop_reason"]] = [True, STOPPED]

    figure = hardening.model_robustness(table)

    frames = [
        line for line in figure.axes[0].lines
        if line.get_marker() == "s" and line.get_markerfacecolor() == "none"
    ]  # fmt: skip
    (frame,) = frames
    assert frame.get_markeredgecolor() == style.looks(DEFENCES)["mixed"].colour
    assert np.round(np.asarray(frame.get_xdata(), dtype=float)).tolist() == [2]
    expected = table.loc[end, "robust_accuracy"].tolist()
    assert np.asarray(frame.get_ydata()).tolist() == expected
    assert labelled(figure, "stopped") == ["stopped early"]
    assert not labelled(hardening.model_robustness(hardening_table()), "stopped")


def test_a_round_that_kept_the_model_is_crossed_out() -> None:
    table = hardening_table(encoders=("cnn",))
    kept = (table["defence"] == "mixed") & (table["round"] == 2)
    table.loc[kept, "kept"] = True
    table.loc[kept, "training_loss"] = np.nan

    figure = hardening.training_progress(table)

    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    marked = {
        line.get_color(): np.round(np.asarray(line.get_xdata(), dtype=float)).tolist()
        for line in crosses if len(np.asarray(line.get_xdata()))
    }  # fmt: skip
    assert marked == {style.looks(DEFENCES)["mixed"].colour: [2]}
    assert labelled(figure, "kept") == ["model kept: no adversaries"]


def test_several_seeds_are_averaged() -> None:
    table = hardening_table(encoders=("cnn",), seeds=(0, 1, 2))

    ax = hardening.model_robustness(table).axes[0]

    colour = style.looks(DEFENCES)["mixed"].colour
    own = table[table["defence"] == "mixed"].groupby("round")
    drawn = np.asarray(curve(ax, colour).get_ydata())
    assert drawn == pytest.approx(own["robust_accuracy"].mean())
    ends = own[["robust_accuracy_low", "robust_accuracy_high"]].mean().to_numpy()[1:]
    assert np.array(bars(ax, colour)) == pytest.approx(ends)


def test_a_seed_that_stopped_early_counts_on_with_its_last_model() -> None:
    rows = pd.DataFrame(
        {
            "seed": ["0", "0", "0", "1", "1"],
            "round": [0, 1, 2, 0, 1],
            "accuracy": [0.8, 0.7, 0.6, 0.8, 0.5],
            "median_edits": [2.0, 3.0, np.nan, 2.0, np.nan],
            "training_loss": [np.nan, 1.0, 2.0, np.nan, 3.0],
        }
    )

    line = hardening.rounds_of(rows, ["accuracy", "median_edits", "training_loss"])

    assert line["accuracy"].tolist() == pytest.approx([0.8, 0.6, 0.55])
    assert line["median_edits"].tolist() == pytest.approx([2, 3, np.nan], nan_ok=True)
    assert line["training_loss"].tolist() == pytest.approx([np.nan, 2, 2], nan_ok=True)


def test_clean_accuracy_runs_along_robust_accuracy() -> None:
    table = hardening_table({"mixed": "mixed"}, encoders=("cnn",))

    ax = hardening.model_robustness(table).axes[0]

    drawn = [np.asarray(line.get_ydata()).tolist() for line in ax.lines]
    assert table["accuracy"].tolist() in drawn


def test_what_counts_as_plausible_is_a_line_within_the_panel() -> None:
    ax = hardening.biological_plausibility(hardening_table()).axes[0]

    (line,) = [line for line in ax.lines if line.get_linestyle() == "--" and not line.get_marker()
               .strip("None")]  # fmt: skip
    assert set(np.asarray(line.get_ydata()).tolist()) == {0.8}
    assert ax.get_ylim()[0] < 0.8 < ax.get_ylim()[1]


def test_models_with_different_defences_stand_side_by_side(tmp_path: Path) -> None:
    table = hardening_table()
    table = table[(table["encoder"] == "cnn") | (table["defence"] == "mixed")]

    figure = summarised(table)

    names = [text.get_text() for text in figure.axes[4].texts]
    assert names == [*hardening.KINDS]
    assert [text.get_text() for text in figure.axes[11].texts] == ["mixed"]
    assert len(hardening.attack_effectiveness(table).axes) == 6


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7])
def test_every_model_has_its_panels(n: int) -> None:
    encoders = tuple(f"encoder{number}" for number in range(n))

    figure = hardening.attack_difficulty(hardening_table({"mixed": "mixed"}, encoders, last=1))

    shown = [ax for ax in figure.axes if ax.axison]
    assert len(shown) == 2 * n
    titles = [ax.get_title(loc="left") for ax in shown]
    assert sorted(filter(None, titles)) == [f"promoters · {name}" for name in encoders]


def test_effects_are_in_percentage_points_one_for_each_seed() -> None:
    table = hardening_table({"mixed": "mixed", "clean": "clean_only"}, ("cnn",), seeds=(0, 1))
    verdict = verdict_table(table)

    ax = summary(table, verdict.iloc[::-1]).axes[5]

    colour = style.looks(["mixed", "clean"])["mixed"].colour
    own = verdict[verdict["defence"] == "mixed"]
    (dots,) = [line for line in ax.lines if line.get_color() == colour]
    assert np.asarray(dots.get_xdata()) == pytest.approx(100 * own["delta_robust_accuracy"])
    heights = np.asarray(dots.get_ydata(), dtype=float)
    assert np.round(heights).tolist() == [0, 0] and heights[0] < heights[1]
    (lines,) = [
        found for found in ax.collections if isinstance(found, LineCollection)
        and to_hex(found.get_color()[0]) == colour.lower()
    ]  # fmt: skip
    ends = [[path.vertices[0][0], path.vertices[1][0]] for path in lines.get_paths()]
    expected = 100 * own[["delta_robust_accuracy_low", "delta_robust_accuracy_high"]].to_numpy()
    assert np.array(ends) == pytest.approx(expected)
    assert ax.get_xlim()[0] < 0 and ax.get_xlim()[1] > expected.max()
    assert [0, 0] in [np.asarray(line.get_xdata()).tolist() for line in ax.lines]


def test_verdicts_stand_beside_their_defence() -> None:
    table = hardening_table(encoders=("cnn",))
    words = ["robust gain", "masking", "no difference shown", "no difference shown"]
    notes = ["", "gain paid with clean accuracy", np.nan, "no round was run"]
    # Rows of the verdict come in an order of their own.
    verdict = verdict_table(table, verdict=words, note=notes).iloc[::-1]

    beside = summary(table, verdict).axes[6]

    written = [(text.xy[1], text.get_text()) for text in beside.texts]  # type: ignore[attr-defined]
    for place, (word, note) in enumerate(zip(words, notes, strict=True)):
        here = " ".join(text for at, text in written if at == place).replace("\n", " ")
        assert word in here and "last round 3" in here
        assert str(note) in here or note is np.nan


@pytest.mark.parametrize("verdict", VERDICTS)
def test_each_verdict_names_its_suite_and_its_budget(verdict: str, tmp_path: Path) -> None:
    table = hardening_table({"mixed": "mixed"}, ("cnn",))
    names = [f"a_search_with_a_name_{number}" for number in range(4)]
    judged = verdict_table(table, verdict=verdict, suite=";".join(names), edits=7)

    figure = summary(table, judged)

    axes = figure.axes
    assert axes[5].get_title(loc="left") == "Δ robust accuracy, at most 7 edits"
    assert " ".join(axes[5].get_xlabel().split()).endswith(f"worst case of {', '.join(names)}")
    assert verdict in text_of(figure, tmp_path / "figure.svg")


def test_verdicts_of_seeds_that_differ_are_counted(tmp_path: Path) -> None:
    table = hardening_table({"mixed": "mixed"}, ("cnn",), seeds=(0, 1, 2))
    words = ["masking", "no difference shown", "no difference shown"]
    notes = ["robust accuracy fell; a", "a", "a"]

    text = text_of(summary(table, verdict_table(table, verdict=words, note=notes)), tmp_path / "f")

    assert "no difference shown (2 of 3 seeds)" in text
    assert "masking (1 of 3 seeds)" in text
    assert "robust accuracy fell (1 of 3 seeds)" in text
    assert "; a;" in text and "a (" not in text


@pytest.mark.filterwarnings("error")
def test_summary_bears_defences_without_a_verdict(tmp_path: Path) -> None:
    table = hardening_table()

    text = text_of(summary(table, verdict_table(table).iloc[:0]), tmp_path / "figure.svg")

    assert "no verdict" in text


def test_figures_of_hardening_need_no_deep_learning_library() -> None:
    program = (
        "import sys; from genosiege.figures import hardening, hardening_summary;"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.strip() == "set()", done.stdout + done.stderr
