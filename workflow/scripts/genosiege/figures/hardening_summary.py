"""Adversarial training on one page: the curves that matter, and the verdict on each defence."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import GridSpecFromSubplotSpec
from matplotlib.ticker import MaxNLocator

from genosiege.figures.hardening import (
    MODEL,
    NO_DEFENCE,
    PAGE,
    ROUND,
    Defence,
    Measure,
    defences,
    draw_rounds,
    finish,
    limits,
    stopped,
)
from genosiege.figures.style import GREY, ink, panels, say, styled, title

MEASURES = (
    Measure("robust_accuracy", "robust accuracy (own attack)", "near"),
    Measure("accuracy", "clean accuracy", "near"),
    Measure("ece", "calibration error (ECE)", "zero"),
    Measure("saturation", "saturation (p > 0.99)", "share"),
)
CURVES, FOREST_FRAME, NAME = 2.35, 0.95, 0.45
"""Inches: height of the curves, of the axis and head of the verdicts, and of a model's name."""

GAP, LINE, NOTE_LINE = 0.13, 0.165, 0.125
"""Inches between verdicts, and for each line of a name or verdict, and of a note."""

FOREST = (2.3, 3.2, 3.5)
"""Widths of the names, the effects and the words beside them."""

NAME_WIDTH, SUITE_WIDTH, NOTE_WIDTH = 30, 44, 58
"""Letters in a line of a name, of a suite, and of a note."""

EFFECT = "delta_robust_accuracy"


class Words(NamedTuple):
    """What is written of a defence: lines of its name, of the verdict and of the note."""

    name: list[str]
    verdict: list[str]
    note: list[str]


@styled
def summary(table: pd.DataFrame, verdict: pd.DataFrame) -> Figure:
    """Draw each model's main curves over the rounds, and what became of each defence.

    Parameters
    ----------
    table : pandas.DataFrame
        The hardening table. In curves several model seeds are averaged.
    verdict : pandas.DataFrame
        The verdict table: a row per model, seed and defence; seeds are drawn one by one.
    """
    if table.empty:
        return panels(0, 1.0, 1.0, empty=NO_DEFENCE)[0]
    known = defences(table)
    models = list(table.groupby(MODEL, sort=True))
    figure = Figure()
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.08)
    said = [_all_words(rows, _of(verdict, key), known) for key, rows in models]
    below = [
        _height(words, _of(verdict, key)) for words, (key, _) in zip(said, models, strict=True)
    ]
    heights = [NAME + CURVES + height for height in below]
    figure.set_size_inches(PAGE, sum(heights))
    parts = np.ravel(figure.subfigures(len(models), 1, squeeze=False, height_ratios=heights))
    for part, (key, rows), words, height in zip(parts, models, said, below, strict=True):
        grid = part.add_gridspec(2, 1, height_ratios=[CURVES, height])
        curves = grid[0].subgridspec(1, len(MEASURES))
        _draw_curves(part, curves, rows, known, int(table["round"].max()))
        cells = grid[1].subgridspec(1, 3, width_ratios=FOREST)
        beside = [part.add_subplot(cell) for cell in cells]
        _draw_verdicts(beside, _of(verdict, key), words, known)
        part.suptitle(
            title(str(key[0]), str(key[1]), "baseline"), x=0.01, ha="left", fontsize=11,
            fontweight="bold",
        )  # fmt: skip
    return figure


def _of(verdict: pd.DataFrame, model: Iterable[Hashable]) -> pd.DataFrame:
    """Take the rows of one model, seed by seed."""
    own = (verdict[MODEL].astype(str) == [*map(str, model)]).all(axis=1)
    return verdict[own].sort_values("seed")


def _suite(verdict: pd.DataFrame) -> list[str]:
    """Say in lines what the worst case is of: the same for all defences of a run."""
    if verdict.empty:
        return []
    names = str(verdict["suite"].iloc[0]).replace(";", ", ")
    return wrap(f"worst case of {names}", SUITE_WIDTH)


def _height(words: Mapping[str, Words], verdict: pd.DataFrame) -> float:
    """Inches that the verdicts take: rows of equal height, so that no two touch."""
    lines = [
        max(len(name) * LINE, len(verdict) * LINE + len(note) * NOTE_LINE)
        for name, verdict, note in words.values()
    ]
    return FOREST_FRAME + LINE * len(_suite(verdict)) + len(words) * (GAP + max(lines))


def _draw_curves(
    part: SubFigure,
    cells: GridSpecFromSubplotSpec,
    rows: pd.DataFrame,
    known: Mapping[str, Defence],
    last: int,
) -> None:
    """Draw the measures of a model side by side."""
    for place, measure in enumerate(MEASURES):
        ax = part.add_subplot(cells[place])
        if draw_rounds(ax, rows, measure, known):
            ax.set_ylim(*limits(rows, measure))
            finish(ax, measure, last)
        else:
            ax.clear()
            say(ax, measure.empty)
        n = rows["n_sequences" if measure.column == "robust_accuracy" else "n_test"].max()
        ax.set_title(measure.label, fontweight="normal")
        ax.set_xlabel(f"{ROUND}\nn = {n:.0f} test sequences", fontsize=9)


def _draw_verdicts(
    axes: Sequence[Axes],
    verdict: pd.DataFrame,
    words: Mapping[str, Words],
    known: Mapping[str, Defence],
) -> None:
    """Name each defence, draw its effects with their intervals, and write the verdict."""
    names, ax, beside = axes
    for place, (name, written) in enumerate(words.items()):
        _write_name(names, written.name, place, known[name])
        _draw_effects(ax, verdict[verdict["defence"] == name], place, known[name])
        # Both together stand in the middle of the row.
        up = 36 * (len(written.note) * NOTE_LINE - len(written.verdict) * LINE)
        _write(beside, (0, place), written.verdict, up, va="bottom")
        _write(beside, (0, place), written.note, up - 1.5, va="top", fontsize=8, color=GREY)
    for panel in axes:
        panel.set_ylim(len(words) - 0.5, -0.5)
    for panel in (names, beside):
        panel.set_xlim(0, 1)
        panel.set_axis_off()
    ax.axvline(0, color=GREY, lw=1, zorder=1)
    ends = 100 * verdict[[f"{EFFECT}_low", f"{EFFECT}_high", EFFECT]].to_numpy(dtype=float)
    reach = 1.08 * max([1.0, *np.abs(ends[np.isfinite(ends)])])
    ax.set_xlim(-reach, reach)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    # Of a defence without a verdict there is no n.
    n = f", n = {verdict['n_sequences'].max():.0f} test sequences" if len(verdict) else ""
    said = ["last round − baseline", f"(percentage points{n})", *_suite(verdict)]
    ax.set_xlabel("\n".join(said), fontsize=9)
    most = f", at most {verdict['edits'].max():.0f} edits" if len(verdict) else ""
    ax.set_title(f"Δ robust accuracy{most}", fontweight="normal")
    beside.set_title("verdict", fontweight="normal")


def _write_name(ax: Axes, lines: list[str], place: int, defence: Defence) -> None:
    """Name a defence behind a piece of its curve, which explains the panels above."""
    colour, marker, dashes = defence.look
    ax.plot([0.02, 0.08, 0.14], [place] * 3, color=colour, ls=dashes, lw=1.2, marker=marker,
            ms=4.5, markevery=[1], mfc="white" if defence.control else colour)  # fmt: skip
    _write(ax, (0.18, place), lines, va="center", color=ink(colour), fontsize=9)


def _write(
    ax: Axes, at: tuple[float, float], lines: list[str], up: float = 0, **options: Any
) -> None:
    """Put lines at a point, or so many points above it."""
    text = ax.annotate(
        "\n".join(lines), at, (0, up), textcoords="offset points", annotation_clip=False,
        **options,
    )  # fmt: skip
    # The widths of the panels are settled, whatever is written in them.
    text.set_in_layout(False)


def _draw_effects(ax: Axes, rows: pd.DataFrame, place: int, defence: Defence) -> None:
    """Draw a point with its interval for each model seed, one below the other."""
    colour, marker, _ = defence.look
    y = place + 0.14 * (np.arange(len(rows)) - (len(rows) - 1) / 2)
    value, low, high = (
        100 * rows[name].to_numpy(dtype=float)
        for name in (EFFECT, f"{EFFECT}_low", f"{EFFECT}_high")
    )
    ax.hlines(y, low, high, color=colour, lw=1.4, zorder=2)
    ax.plot(
        value, y, ls="none", marker=marker, color=colour, ms=5.5, zorder=3,
        mfc="white" if defence.control else colour,
    )  # fmt: skip


def _all_words(
    rows: pd.DataFrame, verdict: pd.DataFrame, known: Mapping[str, Defence]
) -> dict[str, Words]:
    """Settle what is written of each of a model's defences, in the order of showing."""
    run = set(rows["defence"].astype(str))
    return {
        name: Words(wrap(defence.label, NAME_WIDTH), *_words(verdict[verdict["defence"] == name]))
        for name, defence in known.items()
        if name in run
    }


def _words(rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Sum up the verdicts of several model seeds, and their notes, in lines."""
    if rows.empty:
        return ["no verdict"], []
    verdicts = _counted(rows["verdict"].astype(str).tolist(), len(rows))
    last = [
        f"stopped before round {number + 1:.0f}" if early else f"last round {number:.0f}"
        for number, early in zip(rows["last_round"], stopped(rows["stop_reason"]), strict=True)
    ]
    notes = [note for text in rows["note"].fillna("") for note in str(text).split("; ") if note]
    told = [*_counted(last, len(rows)), *_counted(notes, len(rows))]
    return verdicts, wrap("; ".join(told), NOTE_WIDTH)


def _counted(texts: list[str], n: int) -> list[str]:
    """List different texts, each with its number where not all seeds have it."""
    return [
        text if count == n else f"{text} ({count} of {n} seeds)"
        for text, count in Counter(texts).most_common()
    ]
