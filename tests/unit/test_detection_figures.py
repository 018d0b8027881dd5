"""Figures of detection: they show their tables, say what they show, and never vary."""

import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toy_detection_figures as toy
from figure_text import text_of
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genosiege.detection.tables import (
    adaptive_table,
    best_table,
    detection_table,
    roc_table,
    spectra_table,
    ssim_table,
)
from genosiege.figures import (
    detection_panels,
    detection_scores,
    detection_spectra,
    detection_tradeoff,
    style,
)

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"
Draw = Callable[[pd.DataFrame], Figure]
FIGURES: dict[str, Draw] = {
    "spectra": detection_spectra.spectra,
    "ssim": detection_spectra.ssim,
    "roc": detection_scores.roc,
    "detection": detection_scores.detectability,
    "adaptive": detection_tradeoff.tradeoff,
    "undetected": detection_tradeoff.undetected,
}
WORDS = {
    "spectra": ["power (log10)", "frequency (cycles per gene)", "cycles per base", "period 3",
                "natural errors of the model", "natural mutants", "FIMBA to known errors",
                "n = 150 / 6 / 150", "genetic", "promoters"],
    "ssim": ["SSIM (log10 power); groups of n = 17", "natural error", "to the other class",
             "signal: unlike natural error (2/3)", "as an image", "random gene orders",
             "as published"],
    "roc": ["attacked found", "natural called attacked", "mutants called attacked", "chance",
            "5% false positives", "n = 70 successful attacks", "against 180 natural, k = 2,881",
            "against 180 mutants", "against natural mutants",
            "Mahalanobis", "k-mer background", "VAE to the other class", "promoters"],
    "detection": ["AUROC", "features moved (log scale)", "letters replaced", "2-3", "2,881",
                  "n = 30 to 70 successful attacks", "against natural data", "promoters"],
    "adaptive": ["success", "successes detected at 5% FPR", "n = 100 samples", "n = 100 sequences",
                 "penalty 0 (plain attack)", "penalty 2", "promoters"],
    "undetected": ["undetected success", "n = 100 samples", "n = 100 sequences", "promoters",
                   "plain attack (penalty 0)", "attacker's best penalty", "k-mer background",
                   "success of the plain attack, detected or not", "isolation forest"],
}  # fmt: skip
EMPTY = {
    "spectra": "no spectra were measured",
    "ssim": "no similarity was measured",
    "roc": "no adversaries were scored",
    "detection": "no adversaries were scored",
    "adaptive": "no adaptive attack was run",
    "undetected": "no adaptive attack was run",
}
COLUMNS = {
    "spectra": spectra_table.COLUMNS,
    "ssim": ssim_table.COLUMNS,
    "roc": roc_table.COLUMNS,
    "detection": detection_table.COLUMNS,
    "adaptive": adaptive_table.COLUMNS,
    "undetected": adaptive_table.COLUMNS,
    "best_detector": best_table.COLUMNS,
}


def read(table: pd.DataFrame) -> pd.DataFrame:
    """Read a table back from CSV, as the job finds it."""
    text = io.StringIO(table.to_csv(index=False))
    return pd.read_csv(text, dtype={"seed": str, "severity": str})


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return {
        "spectra": read(toy.spectra(n=20)),
        "ssim": read(toy.ssim()),
        "roc": read(toy.roc()),
        "detection": read(toy.detection()),
        "adaptive": read(toy.adaptive()),
        "undetected": read(toy.adaptive()),
    }


@pytest.fixture(scope="module")
def figures(tables: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    return {name: draw(tables[name]) for name, draw in FIGURES.items()}


@pytest.fixture(scope="module")
def saved(figures: dict[str, Figure], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The figures, each saved once: saving moves a figure's layout."""
    folder = tmp_path_factory.mktemp("figures")
    paths = {name: folder / f"{name}.svg" for name in figures}
    for name, figure in figures.items():
        style.save(figure, paths[name])
    return paths


def words_of(path: Path) -> str:
    """Give the words of a figure that was saved."""
    return " | ".join(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text()))


def panel(figure: Figure, *title: str) -> Axes:
    """Find a panel by the lines of its title."""
    (found,) = (ax for ax in figure.axes if ax.get_title(loc="left") == "\n".join(title))
    return found


def drawn(ax: Axes, look: style.Look, colour: str | None = None) -> Line2D:
    """Find the line of a detector."""
    (found,) = (
        line for line in ax.lines
        if line.get_color() == (colour or look.colour) and len(np.asarray(line.get_xdata())) > 1
        and line.get_marker() in (look.marker, "None")
    )  # fmt: skip
    return found


def segments(ax: Axes, colour: str) -> set[tuple[float, ...]]:
    """Give the ends of all intervals of one colour, rounded."""
    return {
        tuple(np.round(path.vertices, 6).ravel().tolist())
        for group in ax.collections
        if to_hex(group.get_edgecolor()[0][:3]) == to_hex(to_rgba(colour)[:3])
        for path in group.get_paths()
    }


def xy(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xydata(), dtype=float)


# All of them ------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
def test_figures_say_what_they_show_and_of_how_many(name: str, saved: dict[str, Path]) -> None:
    text = words_of(saved[name])

    for words in [*WORDS[name], "tcga", "cnn", "random_forest"]:
        assert words in text, words


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
def test_order_of_rows_does_not_matter(
    name: str, saved: dict[str, Path], tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    mixed = tables[name].sample(frac=1, random_state=1)

    style.save(FIGURES[name](mixed), tmp_path / "mixed.svg")

    assert (tmp_path / "mixed.svg").read_bytes() == saved[name].read_bytes()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
def test_figures_bear_an_empty_table_and_say_what_was_not_run(name: str, tmp_path: Path) -> None:
    empty = read(pd.DataFrame(columns=COLUMNS[name]))

    assert EMPTY[name] in text_of(FIGURES[name](empty), tmp_path / "figure.svg")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("arm", ["expression", "sequence"])
def test_figures_bear_one_arm_alone(
    name: str, arm: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    text = text_of(FIGURES[name](tables[name].query("arm == @arm")), tmp_path / "figure.svg")

    there = name != "ssim" or arm == "expression"
    assert ("tcga" in text) == (there and arm == "expression")
    assert ("promoters" in text) == (arm == "sequence" and there)


def test_natural_spectra_stand_where_nothing_flipped(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables["spectra"]
    flips = (table["group"] == "attacked") & (table["model"] != "cnn")

    text = text_of(detection_spectra.spectra(table[~flips]), tmp_path / "figure.svg")

    assert "not attacked" not in text
    assert text.count("FIMBA") == text_of(
        detection_spectra.spectra(table), tmp_path / "whole.svg"
    ).count("FIMBA")


@pytest.mark.parametrize("name", ["roc", "detection"])
def test_a_model_without_an_attack_of_the_others_says_so(
    name: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables[name].query("model == 'cnn' or targets != 'error'")

    text = text_of(FIGURES[name](table), tmp_path / "figure.svg")

    assert text.count("nothing to compare") == 1


@pytest.mark.parametrize("name", FIGURES)
def test_toy_tables_have_the_columns_of_the_real_ones(
    name: str, tables: dict[str, pd.DataFrame]
) -> None:
    known = set(COLUMNS[name])

    assert set(tables[name]) <= known
    assert known - set(tables[name]) <= {"fpr_at_1", "fpr_at_5", "k", "n_targets"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["roc", "detection"])
def test_few_adversaries_are_counted_and_not_drawn(
    name: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    few = tables[name]["attack"] == "genetic"
    table = tables[name].assign(n_adversaries=tables[name]["n_adversaries"].mask(few, 9))
    look = detection_panels.detector_looks(table)

    figure = FIGURES[name](table)

    ax = panel(figure, "promoters", "cnn", "genetic", "against natural mutants")
    assert [text.get_text() for text in ax.texts] == ["n = 9: not drawn"]
    assert not ax.lines and not ax.collections
    other = panel(figure, "promoters", "cnn", "random", "against natural mutants")
    assert drawn(other, look["kmer"])
    text = text_of(figure, tmp_path / "figure.svg")
    assert text.count("n = 9: not drawn") == text.count("n = 9 successful attacks") == 2
    table = table.assign(n_adversaries=10)
    assert "not drawn" not in text_of(FIGURES[name](table), tmp_path / "whole.svg")


@pytest.mark.parametrize("name", ["roc", "detection"])
def test_random_features_are_drawn_where_there_are_no_others_and_named(
    name: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables[name].query("arm == 'expression' and attack == 'fimba'")
    random = table.assign(features="random", importance="none", values="uniform", targets="none")

    text = text_of(FIGURES[name](random), tmp_path / "figure.svg")

    assert text.count("random features") == text.count("FIMBA to random values") == 2
    assert "random features" not in text_of(FIGURES[name](table), tmp_path / "usual.svg")


@pytest.mark.parametrize("name", ["roc", "detection", "adaptive"])
def test_detectors_look_the_same_in_all_figures(name: str, tables: dict[str, pd.DataFrame]) -> None:
    one = detection_panels.detector_looks(tables[name])
    other = detection_panels.detector_looks(tables[name].query("detector == 'margin'"))

    assert other["margin"] == one["margin"]
    assert len({look.colour for look in one.values()}) == len(one) == 8


# Spectra ----------------------------------------------------------------------------


def test_spectra_are_means_with_bands_of_the_first_seed(
    figures: dict[str, Figure], tables: dict[str, pd.DataFrame]
) -> None:
    ax = panel(figures["spectra"], "tcga", "cnn", "FIMBA to known errors")

    own = tables["spectra"].query("arm == 'expression' and model == 'cnn' and seed == '0'")
    shown = {tuple(np.round(np.asarray(line.get_ydata()), 9).tolist()) for line in ax.lines}
    for group, columns in (
        ("natural", ["mean"]),
        ("natural_error", ["mean", "low", "high"]),
        ("attacked", ["mean", "low", "high"]),
    ):
        rows = own[(own["group"] == group) & (own["targets"].isna() | (own["targets"] == "error"))]
        for column in columns:
            assert tuple(rows[column].round(9).tolist()) in shown
    assert len(ax.lines) == 7
    (area,) = ax.collections
    natural = own.query("group == 'natural'")
    heights = area.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(natural["low"].min())
    assert heights.max() == pytest.approx(natural["high"].max())


def test_dna_has_its_period_marked_and_an_attack_has_its_own_mutants(
    figures: dict[str, Figure], tables: dict[str, pd.DataFrame]
) -> None:
    ax = panel(figures["spectra"], "promoters", "cnn", "random")

    mutants = tables["spectra"].query(
        "group == 'mutant' and attack == 'random' and seed == '0'"
    )["mean"].tolist()  # fmt: skip
    assert any(np.asarray(line.get_ydata()).tolist() == mutants for line in ax.lines)
    assert any(np.asarray(line.get_xdata()).tolist() == [1 / 3, 1 / 3] for line in ax.lines)
    expression = panel(figures["spectra"], "tcga", "cnn", "FIMBA to known errors")
    assert not expression.texts


def test_panels_of_a_line_share_their_axis_and_hold_all_bands(
    figures: dict[str, Figure], tables: dict[str, pd.DataFrame]
) -> None:
    one, other = (
        panel(figures["spectra"], "tcga", model, "FIMBA to the other class").get_ylim()
        for model in ("cnn", "random_forest")
    )

    own = tables["spectra"].query("arm == 'expression' and seed == '0' and targets != 'error'")
    assert one == other
    assert one[0] < own["low"].min() and own["high"].max() < one[1]


@pytest.mark.filterwarnings("error")
def test_spectra_without_an_attack_are_drawn(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables["spectra"].query("group == 'natural'")

    text = text_of(detection_spectra.spectra(table), tmp_path / "figure.svg")

    assert "tcga" in text and "promoters" in text and "not attacked" not in text


# SSIM -------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["log_power", "power"])
def test_similarities_are_means_over_seeds_with_both_nulls(
    scale: str, tables: dict[str, pd.DataFrame]
) -> None:
    ax = panel(detection_spectra.ssim(tables["ssim"], scale), "tcga", "cnn", "to known errors")

    mean = (
        tables["ssim"]
        .query("model == 'cnn' and targets == 'error' and features == 'shap' and scale == @scale")
        .groupby(["view", "comparison"])[
            ["ssim", "ssim_low", "ssim_high", "order_low", "order_high"]
        ]
    )
    order = list(detection_spectra.COMPARISONS)
    for view, (marker, colour, shift) in detection_spectra.VIEWS.items():
        own = mean.mean().loc[view].loc[order]
        y = np.arange(5) + shift
        full, hollow = (line for line in ax.lines if line.get_marker() == marker)
        assert xy(full) == pytest.approx(np.c_[own["ssim"], y][:4])
        assert xy(hollow) == pytest.approx(np.c_[own["ssim"], y][4:])
        assert hollow.get_markerfacecolor() == "white"
        draws, orders = segments(ax, colour), segments(ax, style.PALE)
        for row, height in zip(own.itertuples(), y, strict=True):
            line = (row.order_low, height, row.order_high, height)
            assert tuple(np.round(line, 6).tolist()) in orders
            if row.Index != "published":
                line = (row.ssim_low, height, row.ssim_high, height)
                assert tuple(np.round(line, 6).tolist()) in draws


def test_comparisons_keep_their_places_where_one_model_has_no_errors(
    tables: dict[str, pd.DataFrame],
) -> None:
    table = tables["ssim"].query("model != 'cnn' or not comparison.str.contains('error')")

    figure = detection_spectra.ssim(table)

    ax = panel(figure, "tcga", "cnn", "to known errors")
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == list(detection_spectra.COMPARISONS.values())
    full = next(line for line in ax.lines if line.get_marker() == "o")
    assert xy(full)[:, 1].round(2).tolist() == [-0.18, 1.82]


def test_all_similarities_lie_within_the_axis(tables: dict[str, pd.DataFrame]) -> None:
    table = tables["ssim"].assign(ssim_low=-0.3)

    figure = detection_spectra.ssim(table)

    assert all(ax.get_xlim()[0] < -0.3 for ax in figure.axes)
    assert len({ax.get_xlim() for ax in figure.axes}) == 1


# ROC --------------------------------------------------------------------------------


def test_curves_are_the_points_of_the_table(
    figures: dict[str, Figure], tables: dict[str, pd.DataFrame]
) -> None:
    look = detection_panels.detector_looks(tables["roc"])
    ax = panel(figures["roc"], "promoters", "cnn", "genetic", "against natural mutants")

    own = tables["roc"].query("attack == 'genetic' and null == 'mutants'")
    for detector, rows in own.groupby("detector"):
        line = drawn(ax, look[str(detector)])
        assert xy(line) == pytest.approx(rows[["fpr", "tpr"]].to_numpy())
        assert line.get_linestyle() == look[str(detector)].dashes or line.is_dashed()
    assert xy(ax.lines[0]).tolist() == [[0, 0], [1, 1]]


def test_one_severity_and_successful_adversaries_are_drawn(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    own = tables["roc"].query("attack == 'fimba' and targets == 'error' and model == 'cnn'")
    others = [own.assign(severity="100", tpr=0.1), own.assign(adversaries="all", tpr=0.2)]

    figure = detection_scores.roc(pd.concat([*others, own]))

    lines = figure.axes[0].lines[2:]
    assert len(lines) == own["detector"].nunique()
    assert all(np.asarray(line.get_ydata())[-1] == 1 for line in lines)
    text = text_of(detection_scores.roc(own.assign(adversaries="all")), tmp_path / "figure.svg")
    assert "n = 70 all attacks" in text


# AUROC by severity ------------------------------------------------------------------


def test_aurocs_of_successful_adversaries_over_k_with_intervals(
    figures: dict[str, Figure], tables: dict[str, pd.DataFrame]
) -> None:
    look = detection_panels.detector_looks(tables["detection"])
    ax = panel(figures["detection"], "tcga", "cnn", "FIMBA to known errors")

    own = tables["detection"].query(
        "model == 'cnn' and attack == 'fimba' and targets == 'error' and features == 'shap'"
        " and seed == 'all' and adversaries == 'successful' and t > 0.5 and severity != '10'"
    )
    assert ax.get_xscale() == "log" and own["detector"].nunique() == 6
    for detector, rows in own.groupby("detector"):
        rows = rows.assign(k=rows["severity"].astype(float)).sort_values("k")
        line = xy(drawn(ax, look[str(detector)]))
        assert line[:, 0] == pytest.approx(rows["k"].to_numpy(), rel=0.15)
        assert line[:, 1].tolist() == pytest.approx(rows["auroc"].tolist())
        ends = np.array(sorted(segments(ax, look[str(detector)].colour)))
        assert ends[:, 1] == pytest.approx(rows["auroc_low"].to_numpy(), abs=1e-6)
        assert ends[:, 3] == pytest.approx(rows["auroc_high"].to_numpy(), abs=1e-6)


def test_severities_of_edits_are_categories_and_all_is_the_last(
    figures: dict[str, Figure], tables: dict[str, pd.DataFrame]
) -> None:
    look = detection_panels.detector_looks(tables["detection"])
    ax = panel(figures["detection"], "promoters", "cnn", "genetic", "against natural mutants")

    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2-3", "4+", "all"]
    own = tables["detection"].query(
        "attack == 'genetic' and null == 'mutants' and seed == 'all' and detector == 'kmer'"
        " and adversaries == 'successful'"
    ).set_index("severity")  # fmt: skip
    line = drawn(ax, look["kmer"])
    assert xy(line)[:, 0].round().tolist() == [0, 1, 2, 3]
    expected = own.loc[["1", "2-3", "4+", "all"], "auroc"].tolist()
    assert xy(line)[:, 1].tolist() == pytest.approx(expected)
    assert line.get_linestyle() == "None"


@pytest.mark.filterwarnings("error")
def test_points_of_few_adversaries_are_left_out_and_not_joined_across(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables["detection"].query("attack == 'vae' and model == 'cnn' and seed == 'all'")
    few = table["severity"] == "200"
    table = table.assign(n_adversaries=table["n_adversaries"].mask(few, 9))
    look = detection_panels.detector_looks(table)

    figure = detection_scores.detectability(table)

    line = xy(drawn(figure.axes[0], look["vae"]))
    assert np.flatnonzero(np.isnan(line[:, 1])).tolist() == [2]
    assert len(line) == 5
    assert len(segments(figure.axes[0], look["vae"].colour)) == 4
    assert "n = 30 to 70 successful" in text_of(figure, tmp_path / "figure.svg")


def test_where_nothing_succeeds_all_attacked_samples_are_drawn(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables["detection"].copy()
    failed = (table["adversaries"] == "successful") & (table["targets"] == "error")
    table.loc[failed, ["auroc", "auroc_low", "auroc_high"]] = np.nan

    text = text_of(detection_scores.detectability(table), tmp_path / "figure.svg")

    # Both models; at k = 10, too.
    assert text.count("n = 20 to 70 all attacks") == 2


def test_one_severity_alone_is_drawn(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    table = tables["detection"].query("severity == '50'")

    assert "50" in text_of(detection_scores.detectability(table), tmp_path / "figure.svg")


def test_labels_of_a_crowded_axis_are_thinned_and_keep_the_last() -> None:
    known = np.array([1, 5, 10, 11, 12, 50, 100, 2000, 2881], dtype=float)

    labels = detection_scores.thinned(known)

    assert labels[-1] == "2,881" and labels[-2] == "" and labels[3] == ""
    assert len(labels) == len(known) and sum(map(bool, labels)) >= 4


# Success against detectability ------------------------------------------------------


def test_points_are_joined_along_the_penalty_with_both_intervals(
    figures: dict[str, Figure], tables: dict[str, pd.DataFrame]
) -> None:
    look = detection_panels.detector_looks(tables["adaptive"])
    ax = panel(figures["adaptive"], "tcga", "random_forest")

    own = tables["adaptive"].query("model == 'random_forest' and seed == 'all'")
    assert own["detector"].nunique() == 6
    shifts = set()
    for detector, rows in own.groupby("detector"):
        how, rows = look[str(detector)], rows.sort_values("penalty")
        line, expected = xy(drawn(ax, how)), rows[["detected_at_5", "success"]].to_numpy()
        assert line[:, 0] == pytest.approx(expected[:, 0])
        # Lines stand a little apart, each as a whole.
        shift = line[0, 1] - expected[0, 1]
        assert line[:, 1] == pytest.approx(expected[:, 1] + shift)
        assert abs(shift) <= 0.1
        shifts.add(round(shift, 6))
        crosses = segments(ax, how.colour)
        for row in rows.itertuples():
            low, y, high = (end + shift for end in (row.success_low, row.success, row.success_high))
            for ends in (
                (row.detected_at_5, low, row.detected_at_5, high),
                (row.detected_at_5_low, y, row.detected_at_5_high, y),
            ):
                assert np.abs(np.array([*crosses]) - ends).max(axis=1).min() < 2e-6
        marks = [
            mark for mark in ax.lines
            if mark.get_color() == how.colour and len(xy(mark)) == 1
        ]  # fmt: skip
        assert [mark.get_markerfacecolor() for mark in marks] == [how.colour, "white"]
        assert marks[0].get_markersize() > 1.5 * marks[1].get_markersize()
        assert np.vstack([xy(mark) for mark in marks]) == pytest.approx(line[[0, -1]])
    assert len(shifts) == 6


def near(table: pd.DataFrame) -> pd.DataFrame:
    """Give an attack that is hardly detected, and hardly ever fails."""
    return table.assign(
        detected_at_5=table["detected_at_5"] / 10, success=0.9 + table["success"] / 10
    )


def test_axes_show_the_points_of_a_line_alone_and_all_of_them(
    tables: dict[str, pd.DataFrame],
) -> None:
    table = tables["adaptive"]
    few = table["arm"] == "expression"
    table = pd.concat([near(table[few]), table[~few]])

    figure = detection_tradeoff.tradeoff(table)

    one, other = (panel(figure, "tcga", model) for model in ("cnn", "random_forest"))
    wide = panel(figure, "promoters", "cnn")
    assert one.get_xlim() == other.get_xlim() and one.get_ylim() == other.get_ylim()
    assert one.get_xlim()[1] < 0.15 and one.get_ylim()[0] > 0.85
    assert wide.get_xlim()[1] > 0.3 and wide.get_ylim()[0] < 0.6
    for ax in (one, other, wide):
        points = np.vstack([xy(line) for line in ax.lines])
        assert (points >= (ax.get_xlim()[0], ax.get_ylim()[0])).all()
        assert (points <= (ax.get_xlim()[1], ax.get_ylim()[1])).all()
        assert points.min() > -1e-9 and points.max() < 1 + 1e-9
        for axis in (ax.xaxis, ax.yaxis):
            ticks = np.asarray(axis.get_majorticklocs())
            assert len(ticks) > 1 and ticks.min() > -1e-8 and ticks.max() < 1 + 1e-8
            labels = [axis.get_major_formatter()(tick) for tick in ticks]
            assert labels == [f"{100 * tick:.0f}%" for tick in ticks]


def test_equal_points_are_drawn_with_room_around(tables: dict[str, pd.DataFrame]) -> None:
    table = tables["adaptive"].assign(detected_at_5=0.0, success=1.0)

    axes = [ax for ax in detection_tradeoff.tradeoff(table).axes if ax.axison]
    assert len(axes) == 3
    for ax in axes:
        assert ax.get_xlim()[0] < 0 and 0.05 < ax.get_xlim()[1] < 0.2
        assert ax.get_ylim()[1] > 1 and 0.8 < ax.get_ylim()[0] < 0.95


@pytest.mark.filterwarnings("error")
def test_a_penalty_without_success_has_no_mark(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables["adaptive"].query("model == 'random_forest' and detector == 'vae'").copy()
    columns = ["detected_at_5", "detected_at_5_low", "detected_at_5_high"]
    table.loc[table["penalty"] == 2, columns] = np.nan

    figure = detection_tradeoff.tradeoff(table)

    text_of(figure, tmp_path / "figure.svg")
    assert not [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["adaptive", "undetected"])
@pytest.mark.parametrize(
    ("success", "words"), [(0.4, "too few validation samples"), (0.0, "no success")]
)
def test_without_a_share_detected_the_panel_says_why(
    success: float, words: str, name: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    unknown = dict.fromkeys(["detected_at_5", "undetected_success"], np.nan)
    table = tables["adaptive"].assign(**unknown, success=success)

    text = text_of(FIGURES[name](table), tmp_path / "figure.svg")

    assert text.count(words) == 3


# Undetected success -----------------------------------------------------------------


def marks_of(ax: Axes, colour: str) -> dict[str, tuple[float, float]]:
    """Give the marks of a detector by their faces."""
    return {
        str(line.get_markerfacecolor()): tuple(xy(line)[0].tolist())
        for line in ax.lines
        if line.get_color() == colour and line.get_marker() == "o"
    }


def test_the_plain_attack_stands_beside_the_best_hiding_with_intervals(
    figures: dict[str, Figure], tables: dict[str, pd.DataFrame]
) -> None:
    look = detection_panels.detector_looks(tables["adaptive"])
    for data, model in (("tcga", "cnn"), ("tcga", "random_forest"), ("promoters", "cnn")):
        ax = panel(figures["undetected"], data, model)
        own = tables["adaptive"].query("data == @data and model == @model and seed == 'all'")
        order = [name for name in look if name in set(own["detector"])]
        assert len(order) == 6
        named = [tick.get_text() for tick in ax.get_yticklabels()]
        words = [detection_panels.DETECTORS[name] for name in order]
        assert named == (words if model == "cnn" else [""] * 6)
        success = segments(ax, style.GREY)
        for place, name in enumerate(order):
            rows = own[own["detector"] == name]
            plain = rows[rows["penalty"] == 0].iloc[0]
            best = rows.loc[rows["undetected_success"].idxmax()]
            marks = marks_of(ax, look[name].colour)
            bars = segments(ax, look[name].colour)
            for face, row, side in ((look[name].colour, plain, -1), ("white", best, 1)):
                x, y = marks[face]
                assert x == pytest.approx(row["undetected_success"])
                assert 0.1 < side * (y - place) < 0.3
                ends = (row["undetected_success_low"], y, row["undetected_success_high"], y)
                assert tuple(np.round(ends, 6).tolist()) in bars
            level = plain["success"]
            tick = (level, place - 0.5, level, place + 0.5)
            assert tuple(np.round(tick, 6).tolist()) in success


def test_both_marks_are_of_the_plain_attack_where_hiding_gains_nothing(
    tables: dict[str, pd.DataFrame],
) -> None:
    table = tables["adaptive"].query("detector == 'margin' and arm == 'sequence'").copy()
    table["undetected_success"] = 0.4
    table["undetected_success_high"] = np.where(table["penalty"] == 0, 0.5, 0.9)
    colour = detection_panels.detector_looks(table)["margin"].colour

    (ax,) = detection_tradeoff.undetected(table).axes

    assert [x for x, _ in marks_of(ax, colour).values()] == [0.4, 0.4]
    assert {round(end[2], 6) for end in segments(ax, colour)} == {0.5}


@pytest.mark.filterwarnings("error")
def test_without_a_plain_attack_only_the_best_is_drawn(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables["adaptive"].query("penalty > 0")
    look = detection_panels.detector_looks(table)

    figure = detection_tradeoff.undetected(table)

    text = text_of(figure, tmp_path / "figure.svg")
    assert "plain attack" not in text and "attacker's best penalty" in text
    assert set(marks_of(figure.axes[0], look["margin"].colour)) == {"white"}
    assert not segments(figure.axes[0], style.GREY)


@pytest.mark.filterwarnings("error")
def test_a_detector_that_one_model_lacks_keeps_its_row(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables["adaptive"].query(
        "arm == 'expression' and (model != 'cnn' or detector != 'mahalanobis')"
    )
    look = detection_panels.detector_looks(table)

    figure = detection_tradeoff.undetected(table)

    text_of(figure, tmp_path / "figure.svg")
    one, other = (panel(figure, "tcga", model) for model in ("cnn", "random_forest"))
    assert "Mahalanobis" in [tick.get_text() for tick in one.get_yticklabels()]
    assert not marks_of(one, look["mahalanobis"].colour)
    for name in ("margin", "spectral"):
        heights = [[y for _, y in marks_of(ax, look[name].colour).values()] for ax in (one, other)]
        assert heights[0] == heights[1]


# Seeds, captions, imports -----------------------------------------------------------


def test_all_seeds_together_are_drawn_where_a_model_has_them_else_the_first() -> None:
    table = pd.DataFrame(
        {"arm": "expression", "data": "tcga", "model": list("aaabbb"),
         "seed": ["1", "all", "0", "10", "9", "9"], "row": range(6)}
    )  # fmt: skip

    assert detection_panels.one_seed(table)["row"].tolist() == [1, 4, 5]


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "undetected"])
def test_captions_define_every_column_and_no_other(name: str) -> None:
    caption = (CAPTIONS / f"{name}.rst").read_text()

    defined = [line.split("``")[1] for line in caption.splitlines() if line.startswith("``")]
    assert defined == list(COLUMNS[name])


def test_tables_and_figures_need_no_learning_library() -> None:
    program = (
        "import sys;"
        "from genosiege.figures import (detection_scores, detection_spectra, detection_tradeoff);"
        "print({'torch', 'sklearn', 'skimage', 'xgboost'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.strip() == "set()", done.stdout + done.stderr
