"""Figures and the sortable page: they are made, say what they show, and never vary."""

import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_text import text_of
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from genosiege.figures import attacks, curves, style
from genosiege.report import sortable_table
from genosiege.sequence import audit, summaries, worst_case
from genosiege.sequence.results import AttackResult, ModelResult


def attack_result(attack: str, encoder: str = "cnn", seed: int = 0) -> AttackResult:
    """Make a plausible attack table: 40 sequences, every fifth misclassified."""
    generator = np.random.default_rng([seed, len(attack), len(encoder)])
    n = 40
    correct = np.arange(n) % 5 != 0
    flipped = correct & (generator.random(n) < 0.7)
    n_edits = np.where(flipped, generator.integers(1, 6, size=n), 0)
    before = np.where(correct, generator.uniform(0.6, 1, n), 0.3)
    after = np.where(flipped, 0.4, before)
    rows = pd.DataFrame(
        {
            "attack_seed": 0,
            "id": [f"test:{number}" for number in range(n)],
            "original": "A" * 100,
            "edits": [
                ";".join(f"{place}:A>C" for place in generator.choice(100, k, replace=False))
                for k in n_edits
            ],
            "n_edits": n_edits,
            "p_true_before": before,
            "p_true_after": after,
            "confidence_drop": before - after,
            "correct_before": correct,
            "success_flip": flipped,
            "keeps_hard_rules": True,
            "flipped": flipped,
            "label": 1,
            "n_queries_unique": np.where(flipped, generator.integers(2, 900, size=n), 1000),
        }
    )
    return AttackResult("promoters", encoder, seed, "baseline", attack, "test", rows, 0)


@pytest.fixture
def results() -> list[AttackResult]:
    return [
        attack_result(attack, encoder) for encoder in ("cnn", "hf") for attack in ("a", "genetic")
    ]


def robust_accuracy(results: list[AttackResult], *others: pd.DataFrame) -> Figure:
    worst, certified = others or (worst_case.worst_case_table(results), audit.certify_table([]))
    return curves.robust_accuracy(summaries.robust_accuracy_table(results), worst, certified)


DRAWN: dict[str, Callable[[list[AttackResult]], Figure]] = {
    "edits": attacks.edits_per_success,
    "confidence": attacks.confidence,
    "positions": lambda results: attacks.edit_positions(results, {"promoters": 80}),
    "curve": robust_accuracy,
    "queries": curves.queries,
}


def certificate(unknown: int) -> ModelResult:
    """Make a certificate of 40 sequences: at one edit exact, at two with some unknown."""
    status = ["skipped_misclassified"] * 8 + ["flipped"] * 12 + ["robust"] * 20
    single = pd.DataFrame({"id": [f"test:{n}" for n in range(40)], "k": 1, "status": status})
    double = single.assign(k=2, status=status[: 40 - unknown] + ["unknown"] * unknown)
    return ModelResult("promoters", "cnn", 0, "baseline", "", pd.concat([single, double]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("edits", ["edits per success (n = {won} successes)", "share of successes", "median"]),
        ("confidence", ["probability of the true class (n = 32 runs)", "before: mean", "after"]),
        ("positions", ["position relative to the TSS (bp)", "(n = {won} successes, ", "TSS"]),
        (
            "curve",
            ["edit budget", "(n = 40 test sequences)", "robust accuracy", "genetic", "worst case"],
        ),
        ("queries", ["queries (different sequences", "(n = 40 test sequences)", "genetic"]),
    ],
)
def test_figures_say_what_they_show_and_of_how_many(
    name: str, expected: list[str], results: list[AttackResult], tmp_path: Path
) -> None:
    text = text_of(DRAWN[name](results), tmp_path / "figure.svg")

    won = int(results[0].rows["success_flip"].sum())
    for words in [*expected, "promoters · cnn", "promoters · hf"]:
        assert words.format(won=won) in text


@pytest.mark.parametrize("name", DRAWN)
def test_equal_input_gives_equal_bytes(
    name: str, results: list[AttackResult], tmp_path: Path
) -> None:
    for file in ("one.svg", "two.svg"):
        style.save(DRAWN[name](results), tmp_path / file)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("name", DRAWN)
def test_figures_bear_an_attack_that_never_succeeds(name: str, tmp_path: Path) -> None:
    result = attack_result("genetic")
    rows = result.rows.assign(success_flip=False, n_edits=0, edits="", correct_before=False)

    text = text_of(DRAWN[name]([result._replace(rows=rows)]), tmp_path / "figure.svg")

    assert "n = " in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", DRAWN)
def test_figures_bear_runs_of_a_single_sequence(name: str, tmp_path: Path) -> None:
    result = attack_result("genetic")
    rows = result.rows.assign(id="test:0")

    text = text_of(DRAWN[name]([result._replace(rows=rows)]), tmp_path / "figure.svg")

    for words in {"confidence": ["before: mean", "after: mean"]}.get(name, ["n = "]):
        assert words in text


@pytest.mark.parametrize("name", DRAWN)
def test_figures_bear_a_run_without_attacks(name: str, tmp_path: Path) -> None:
    assert "no attack was run" in text_of(DRAWN[name]([]), tmp_path / "figure.svg")


def test_position_axis_without_tss_counts_from_the_first_letter(
    results: list[AttackResult], tmp_path: Path
) -> None:
    text = text_of(attacks.edit_positions(results, {"promoters": None}), tmp_path / "f.svg")

    assert "position in the sequence (bp)" in text
    assert "TSS" not in text


def test_curve_of_several_seeds_draws_their_mean(tmp_path: Path) -> None:
    results = [attack_result("genetic", seed=seed) for seed in (0, 1)]
    curve = summaries.robust_accuracy_table(results)

    line = robust_accuracy(results).axes[0].lines[0]

    mean = curve[curve["seed"] == "all"]["robust_accuracy"]
    assert np.asarray(line.get_ydata()).tolist() == mean.tolist()


def test_each_label_leads_to_the_end_of_its_own_curve() -> None:
    most = {"a": 10, "genetic": 4, "published": 7}
    results = [attack_result(name)._replace(max_edits=edits) for name, edits in most.items()]

    axes = robust_accuracy(results).axes[0]

    labels = {text.get_text(): text for text in axes.texts if isinstance(text, Annotation)}
    ends = {name: line.get_xydata()[-1] for name, line in zip(labels, axes.lines, strict=True)}
    assert list(labels) == ["a", "genetic", "published", "worst case"]
    assert {name: end[0] for name, end in ends.items()} == most | {"worst case": 10}
    for name, end in ends.items():
        assert labels[name].xy == tuple(end)
        assert labels[name].arrow_patch is not None


@pytest.mark.parametrize("figure", ["curve", "queries"])
def test_the_labels_of_eight_attacks_neither_touch_nor_leave_the_panel(figure: str) -> None:
    results = [attack_result(f"attack{number}") for number in range(8)]

    axes = DRAWN[figure](results).axes[0]

    heights = sorted(text.xyann[1] for text in axes.texts if isinstance(text, Annotation))
    assert len(heights) == (9 if figure == "curve" else 8)
    assert min(np.diff(heights)) > 0.06
    assert heights[0] > 0 and heights[-1] < 1.02


def test_worst_case_of_several_models_is_their_mean() -> None:
    results = [attack_result(name, seed=seed) for name in ("a", "genetic") for seed in (0, 1, 2)]
    worst = worst_case.worst_case_table(results)
    worst = worst[worst["attack"] == "worst_case"]

    line = robust_accuracy(results).axes[0].lines[-1]

    assert line.get_color() == style.BLACK
    expected = worst.groupby("edit_budget")["robust_accuracy"].mean()
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize(("unknown", "words"), [(0, ["exact"]), (15, ["bounds", "exact"])])
def test_certified_values_are_points_or_ranges(
    unknown: int, words: list[str], tmp_path: Path
) -> None:
    results = [attack_result("genetic")]
    certified = audit.certify_table([certificate(unknown)])

    figure = robust_accuracy(results, worst_case.worst_case_table(results), certified)

    text = text_of(figure, tmp_path / "figure.svg")
    assert [f"certified: {word}" in text for word in ("bounds", "exact")] == [
        word in words for word in ("bounds", "exact")
    ]
    lines = figure.axes[0].lines
    (diamonds,) = [line for line in lines if line.get_marker() == "D"]
    points = np.asarray(diamonds.get_xydata()).tolist()
    assert points == ([[1, 0.5]] if unknown else [[1, 0.5], [2, 0.5]])
    (legend,) = [figure.axes[0].get_legend()]
    assert len(legend.get_texts()) == len(words)


def test_curve_over_queries_counts_what_is_not_flipped_yet() -> None:
    result = attack_result("genetic")
    rows = result.rows
    flips = rows.loc[rows["success_flip"], "n_queries_unique"]

    line = curves.queries([result]).axes[0].lines[0]

    drawn = dict(np.asarray(line.get_xydata()).tolist())
    assert set(drawn) == {1, 1000, *flips}
    for asked, share in drawn.items():
        assert share == pytest.approx((32 - (flips <= asked).sum()) / 40)
    assert line.get_drawstyle() == "steps-post"


def test_median_of_edits_is_marked_where_it_lies(results: list[AttackResult]) -> None:
    axes = attacks.edits_per_success(results[:1]).axes[0]

    rows = results[0].rows
    median = rows.loc[rows["success_flip"], "n_edits"].median()
    assert median in [x for line in axes.lines for x in np.asarray(line.get_xdata()).tolist()]


def test_labels_move_apart_and_keep_their_order() -> None:
    assert style.spread([0.5, 0.52, 0.9, 0.48], gap=0.1) == pytest.approx([0.5, 0.6, 0.9, 0.4])


def test_labels_stay_within_their_limits() -> None:
    assert style.spread([0.02, 0.0, 0.5], 0.1, low=0.03) == pytest.approx([0.13, 0.03, 0.5])
    assert style.spread([0.98, 1.0, 0.97], 0.1, high=1.0) == pytest.approx([0.9, 1.0, 0.8])


@pytest.mark.parametrize("colour", style.COLOURS)
def test_text_colours_stand_out_from_white(colour: str) -> None:
    rgb = np.array([int(style.ink(colour)[i : i + 2], 16) / 255 for i in (1, 3, 5)])

    assert 1.05 / (style.luminance(rgb) + 0.05) >= 4.45


class Cells(HTMLParser):
    """Collects the cells' sort keys, and every reference to another file."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str | None] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found: dict[str, Any] = dict(attrs)
        if tag == "td":
            self.keys.append(found["data-value"])
        self.references += [found[name] for name in ("src", "href") if name in found]


def test_sortable_page_keeps_all_digits_and_asks_for_no_other_file() -> None:
    table = pd.DataFrame({"name <b>": ['x"y', "z"], "rate": [1 / 3, np.nan], "n": [10, 2]})

    page = sortable_table.render(table, "A & B")

    cells = Cells()
    cells.feed(page)
    assert cells.keys == ['x"y', repr(1 / 3), "10", "z", "", "2"]
    assert cells.references == [] and "http" not in page
    assert "name &lt;b&gt;" in page and "A &amp; B" in page
    assert ">0.3333<" in page


def test_sortable_page_writes_large_numbers_out() -> None:
    page = sortable_table.render(pd.DataFrame({"median_queries": [12345.5]}), "Queries")

    assert ">12345.5<" in page


def test_sortable_page_puts_an_interval_beside_its_rate() -> None:
    table = pd.DataFrame({"rate": [0.5], "n": [8], "rate_low": [0.2], "rate_high": [0.8]})

    page = sortable_table.render(table, "Rates")

    assert "0.5 [0.2, 0.8]" in page
    assert "rate_low" not in page


def test_tables_and_figures_are_made_without_a_deep_learning_library() -> None:
    program = (
        "import sys; from genosiege.report import sortable_table;"
        "from genosiege.figures import attacks, curves, interpretability, transfer;"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.strip() == "set()", done.stdout + done.stderr
