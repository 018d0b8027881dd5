"""What an attacker who knows the detector gains by hiding, and what it costs."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from genosiege.figures.detection_panels import (
    DETECTORS,
    Panel,
    counts,
    detector_handles,
    detector_looks,
    grid,
    one_seed,
    values,
)
from genosiege.figures.expression_panels import FAINT, dodges, legend, share_axis, texts
from genosiege.figures.style import GREY, Look, styled

EMPTY = "no adaptive attack was run"
NO_THRESHOLD = "no threshold:\ntoo few validation samples"
NARROWEST = 0.1
"""Least reach of an axis that is drawn close up."""
ROOM = 0.1
"""Share of an axis that the lines of all detectors stand apart."""
APART = 0.17
"""Half of what both marks of a detector stand apart, in rows."""


@styled
def undetected(table: pd.DataFrame) -> Figure:
    """Draw the undetected success at each detector without hiding and with the best hiding.

    Parameters
    ----------
    table : pandas.DataFrame
        From `adaptive_table.adaptive_table`; the seed "all" where there is one. The best penalty
        is the one of the highest undetected success, of equal ones the smallest.
    """
    table = texts(table, "arm", "data", "model", "detector")
    table = one_seed(table[table["success"].notna()])
    look = detector_looks(table)
    drawn = grid(table, ("model",), 2.7, EMPTY)
    for _, line in groupby(drawn.panels, lambda panel: panel.line):
        for ax, rows, names in _rows_of(list(line), list(look)):
            _draw_rows(ax, rows, names, look)
            sampled = "sequences" if rows["arm"].iloc[0] == "sequence" else "samples"
            share_axis(ax, f"undetected success\nn = {counts(rows['n'])} {sampled}", "x")
            ax.xaxis.label.set_fontsize(9)
    if drawn.panels:
        legend(drawn.figure, _both(plain=bool((table["penalty"] == 0).any())))
    return drawn.figure


def _rows_of(
    line: Sequence[Panel], order: Sequence[str]
) -> list[tuple[Axes, pd.DataFrame, list[str]]]:
    """Give the panels of a line equal rows, and name these beside the first."""
    found = {name for panel in line for name in panel.rows["detector"]}
    names = [name for name in order if name in found]
    for number, panel in enumerate(line):
        words = [DETECTORS.get(name, name) if number == 0 else "" for name in names]
        panel.ax.set_yticks(range(len(names)), words)
        panel.ax.set_ylim(len(names) - 0.5, -0.5)
        panel.ax.tick_params(axis="y", length=0)
        for border in np.arange(1, len(names)) - 0.5:
            panel.ax.axhline(border, color=FAINT, lw=0.8, zorder=0)
    return [(panel.ax, panel.rows, names) for panel in line]


def _draw_rows(ax: Axes, rows: pd.DataFrame, names: Sequence[str], look: dict[str, Look]) -> None:
    for place, name in enumerate(names):
        own = rows[rows["detector"] == name].sort_values("penalty")
        plain, known = own[own["penalty"] == 0], own[own["undetected_success"].notna()]
        ax.vlines(plain["success"], place - 0.5, place + 0.5, color=GREY, lw=0.8, zorder=1)
        if known.empty:
            continue
        best = known.iloc[[int(known["undetected_success"].to_numpy().argmax())]]
        colour = look[name].colour
        for shift, row, face in (
            (-APART, known[known["penalty"] == 0], colour), (APART, best, "white"),
        ):  # fmt: skip
            if row.empty:
                continue
            x, low, high = values(row, "undetected_success")
            ax.hlines(place + shift, low, high, color=colour, lw=1.3, zorder=2)
            ax.plot(x, [place + shift], "o", color=colour, mfc=face, mew=1.3, ms=6,
                    clip_on=False, zorder=3)  # fmt: skip
    words = _without_marks(rows, "undetected_success")
    if words:
        ax.text(0.5, (len(names) - 1) / 2, words, ha="center", va="center", color=GREY)


def _without_marks(rows: pd.DataFrame, name: str) -> str:
    """Say why a panel shows nothing, or nothing but zeros."""
    if not (rows["success"] > 0).any():
        return "no success"
    return NO_THRESHOLD if rows[name].isna().all() else ""


def _both(plain: bool) -> list[Line2D]:
    marks = [_mark(GREY, "plain attack (penalty 0)")] if plain else []
    marks.append(_mark("white", "attacker's best penalty"))
    if plain:
        marks.append(Line2D([], [], ls="none", marker="|", ms=12, mew=0.8, color=GREY,
                            label="success of the plain attack, detected or not"))  # fmt: skip
    return marks


def _mark(face: str, label: str, size: float = 6) -> Line2D:
    return Line2D([], [], ls="none", marker="o", ms=size, color=GREY, mfc=face, mew=1.3,
                  label=label)  # fmt: skip


@styled
def tradeoff(table: pd.DataFrame) -> Figure:
    """Draw success over the share detected, joined along the penalty, a panel per data and model.

    Parameters
    ----------
    table : pandas.DataFrame
        From `adaptive_table.adaptive_table`; the seed "all" where there is one. A penalty without
        a success has no share detected, and is left out. The axes of a line of panels show the
        range of its points; lines stand a little apart.
    """
    table = texts(table, "arm", "data", "model", "detector")
    table = one_seed(table[table["success"].notna()])
    look = detector_looks(table)
    drawn = grid(table, ("model",), 3.4, EMPTY)
    for _, line in groupby(drawn.panels, lambda panel: panel.line):
        _draw_line(list(line), look)
    if drawn.panels:
        legend(drawn.figure, [*detector_handles(look), *_ends(table)])
    return drawn.figure


def _draw_line(line: Sequence[Panel], look: dict[str, Look]) -> None:
    points = pd.concat([panel.rows for panel in line])
    points = points[points["detected_at_5"].notna()]
    x, y = (_close_up(points[name].to_numpy()) for name in ("detected_at_5", "success"))
    names = [name for name in look if name in set(points["detector"])]
    shifts = dodges(len(names), ROOM * (y[1] - y[0]))
    for ax, rows, _, first in line:
        # No mark stands beyond 0 or 1.
        shown = rows.loc[rows["detected_at_5"].notna(), "success"].to_numpy()
        low, high = shown.min(initial=1), shown.max(initial=0)
        within = np.clip(0, -low - shifts.min(initial=0), 1 - high - shifts.max(initial=0))
        for shift, detector in zip(shifts + within, names, strict=True):
            own = rows[rows["detector"] == detector].sort_values("penalty")
            _draw(ax, own, look[detector], float(shift))
        words = _without_marks(rows, "detected_at_5")
        if words:
            ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=GREY)
        sampled = "sequences" if rows["arm"].iloc[0] == "sequence" else "samples"
        share_axis(ax, f"successes detected at 5% FPR\nn = {counts(rows['n'])} {sampled}", "x")
        ax.xaxis.label.set_fontsize(9)
        share_axis(ax, "success" if first else "")
        ax.set(xlim=x, ylim=y, xticks=_ticks(*x), yticks=_ticks(*y))


def _close_up(shares: NDArray[np.float64]) -> tuple[float, float]:
    """Give the ends of an axis that shows little more than these shares."""
    if not len(shares):
        return -0.02, 1.02
    low, high = float(shares.min()), float(shares.max())
    reach = max(high - low, NARROWEST)
    middle = np.clip((low + high) / 2, reach / 2, 1 - reach / 2)
    return middle - 0.58 * reach, middle + 0.58 * reach


def _ticks(low: float, high: float) -> list[float]:
    """Give round shares between both ends; there are none beyond 0 and 1."""
    found = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in found if max(low, -1e-9) <= tick <= min(high, 1 + 1e-9)]


def _draw(ax: Axes, rows: pd.DataFrame, how: Look, shift: float) -> None:
    # Large below, small above, so that both show where they meet.
    ends = ((rows["penalty"].min(), how.colour, 8), (rows["penalty"].max(), "white", 5))
    rows = rows[rows["detected_at_5"].notna()]
    if rows.empty:
        # Marks that are not there, yet may leave the panel, disturb the layout.
        return
    x, x_low, x_high = values(rows, "detected_at_5")
    y, y_low, y_high = (column + shift for column in values(rows, "success"))
    ax.vlines(x, y_low, y_high, color=how.colour, lw=0.5, alpha=0.35)
    ax.hlines(y, x_low, x_high, color=how.colour, lw=0.5, alpha=0.35)
    ax.plot(x, y, color=how.colour, ls=how.dashes, lw=1.2, marker=how.marker, ms=2.5,
            clip_on=False, zorder=3)  # fmt: skip
    for penalty, face, size in ends:
        at = rows["penalty"].to_numpy() == penalty
        if not at.any():
            continue
        ax.plot(x[at], y[at], how.marker, color=how.colour, mfc=face, ms=size,
                clip_on=False, zorder=4)  # fmt: skip


def _ends(table: pd.DataFrame) -> list[Line2D]:
    """Say what large marks mean: the smallest and the largest penalty."""
    first, last = table["penalty"].min(), table["penalty"].max()
    plain = " (plain attack)" if first == 0 else ""
    return [_mark(GREY, f"penalty {first:g}{plain}", 8), _mark("white", f"penalty {last:g}", 5)]
