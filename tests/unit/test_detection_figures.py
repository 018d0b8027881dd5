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
}
WORDS = {
    "spectra": ["power (log10)", "frequency (cycles per gene)", "cycles per base", "period 3",
                "natural errors of the model", "natural mutants", "FIMBA to known errors",
                "n = 150 / 6 / 150", "genetic", "promoters"],
    "ssim": ["SSIM (log10 power); groups of n = 17", "natural error", "to the other class",
             "signal: unlike natural error (2/3)", "as an image", "random gene orders",
             "as published"],
    "roc": ["attacked found", "natural called attacked", "mutants called attacked", "chance",
            "5% false positives", "successful attacks, k = 2,881", "against natural mutants",
            "Mahalanobis", "k-mer background", "VAE to the other class", "promoters"],
    "detection": ["AUROC", "features moved (log scale)", "letters replaced", "2-3", "2,881",
                  "n = 30 to 70 successful attacks", "against natural data", "promoters"],
    "adaptive": ["success", "successes detected at 5% FPR", "n = 100 samples", "n = 100 sequences",
                 "penalty 0 (plain attack)", "penalty 2", "undetected: 25, 50, 75%", "promoters"],
}  # fmt: skip
EMPTY = {
    "spectra": "no spectra were measured",
    "ssim": "no similarity was measured",
    "roc": "no detector was scored",
    "detection": "no detector was scored",
    "adaptive": "no adaptive attack was run",
}
COLUMNS = {
    "spectra": spectra_table.COLUMNS,
    "ssim": ssim_table.COLUMNS,
    "roc": roc_table.COLUMNS,
    "detection": detection_table.COLUMNS,
    "adaptive": adaptive_table.COLUMNS,
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

    assert text.count("not attacked") == 1


@pytest.mark.parametrize("name", FIGURES)
def test_toy_tables_have_the_columns_of_the_real_ones(
    name: str, tables: dict[str, pd.DataFrame]
) -> None:
    known = set(COLUMNS[name])

    assert set(tables[name]) <= known
    assert known - set(tables[name]) <= {"fpr_at_1", "fpr_at_5", "k", "n_targets"}


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
    assert "all attacks, k = 2,881" in text


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
    for detector, rows in own.groupby("detector"):
        how, rows = look[str(detector)], rows.sort_values("penalty")
        assert xy(drawn(ax, how)) == pytest.approx(rows[["detected_at_5", "success"]].to_numpy())
        crosses = segments(ax, how.colour)
        for row in rows.itertuples():
            for line in (
                (row.detected_at_5, row.success_low, row.detected_at_5, row.success_high),
                (row.detected_at_5_low, row.success, row.detected_at_5_high, row.success),
            ):
                assert tuple(np.round(line, 6).tolist()) in crosses
        ends = [
            line for line in ax.lines
            if line.get_color() == how.colour and len(xy(line)) == 1
        ]  # fmt: skip
        assert [line.get_markerfacecolor() for line in ends] == [how.colour, "white"]
        expected = rows[["detected_at_5", "success"]].to_numpy()[[0, -1]]
        assert np.vstack([xy(line) for line in ends]) == pytest.approx(expected)


def test_grey_curves_join_equal_undetected_success(figures: dict[str, Figure]) -> None:
    curves = [line for line in figures["adaptive"].axes[0].lines if line.get_linestyle() == ":"]
    curves = [xy(line) for line in curves if line.get_color() == style.GREY]

    hidden = [np.unique(((1 - x) * y).round(9)).tolist() for x, y in (line.T for line in curves)]
    assert hidden == [[0.25], [0.5], [0.75]]


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


@pytest.mark.parametrize(
    ("success", "words"), [(0.4, "too few validation samples"), (0.0, "no success")]
)
def test_without_a_share_detected_the_panel_says_why(
    success: float, words: str, tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    table = tables["adaptive"].assign(detected_at_5=np.nan, success=success)

    text = text_of(detection_tradeoff.tradeoff(table), tmp_path / "figure.svg")

    assert text.count(words) == 3


# Seeds, captions, imports -----------------------------------------------------------


def test_all_seeds_together_are_drawn_where_a_model_has_them_else_the_first() -> None:
    table = pd.DataFrame(
        {"arm": "expression", "data": "tcga", "model": list("aaabbb"),
         "seed": ["1", "all", "0", "10", "9", "9"], "row": range(6)}
    )  # fmt: skip

    assert detection_panels.one_seed(table)["row"].tolist() == [1, 4, 5]


@pytest.mark.parametrize("name", COLUMNS)
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
