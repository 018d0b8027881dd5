"""How far detectors tell attacked data from natural data: ROC curves, and AUROC by severity."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from genosiege.figures.detection_panels import (
    FEWEST,
    counts,
    detector_handles,
    detector_looks,
    grid,
    main_setting,
    not_drawn,
    one_seed,
    unit_axis,
    values,
)
from genosiege.figures.expression_panels import dodges, grey, legend, preferred, share_axis, texts
from genosiege.figures.style import GREY, Look, styled

WORDS = ("arm", "data", "model", "attack", "targets", "severity", "adversaries", "null", "detector")
SETTING = ("importance", "features", "values")
ACROSS = ("model", "null")
EMPTY = "no adversaries were scored"
MISSING = "nothing to compare"
EDITS = ("1", "2-3", "4+", "all")
"""Severities of attacks on sequences, in order."""
LABEL_ROOM = 0.11
"""Least distance of two labels of a logarithmic axis, as a share of it."""


@styled
def roc(table: pd.DataFrame) -> Figure:
    """Draw the ROC curve of each detector, a panel per data, attack, model and null.

    Parameters
    ----------
    table : pandas.DataFrame
        From `roc_table.roc_table`. Drawn are all edits of an attack on sequences and the largest
        k of one on expression, and successful adversaries where there are any. Curves of fewer
        than `FEWEST` adversaries are left out.
    """
    table = texts(table, *WORDS, *SETTING)
    table = one_seed(table[table["tpr"].notna()])
    look = detector_looks(table)
    drawn = grid(table, ACROSS, 3.1, EMPTY, MISSING, widest=3.4)
    for ax, rows, _, first in drawn.panels:
        own = _of_one_kind(rows)
        if (own["n_adversaries"] < FEWEST).all():
            not_drawn(ax, own["n_adversaries"])
        else:
            _draw_curves(ax, own, look)
        others = "mutants" if own["null"].iloc[0] == "mutants" else "natural"
        share_axis(ax, f"{others} called attacked\n{_what(own, others)}", "x")
        share_axis(ax, "attacked found" if first else "")
        ax.xaxis.label.set_fontsize(9)
    if drawn.panels:
        legend(drawn.figure, [*detector_handles(look, markers=False),
                              grey("chance", ":"), grey("5% false positives", "--")])  # fmt: skip
    return drawn.figure


def _draw_curves(ax: Axes, own: pd.DataFrame, look: Mapping[str, Look]) -> None:
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
    ax.axvline(0.05, color=GREY, lw=0.8, ls="--")
    for detector, how in look.items():
        curve = own[own["detector"] == detector].sort_values(["fpr", "tpr"])
        ax.plot(curve["fpr"], curve["tpr"], color=how.colour, ls=how.dashes, lw=1.4)


def _of_one_kind(rows: pd.DataFrame) -> pd.DataFrame:
    """Choose one severity and one kind of adversaries."""
    rows = rows[rows["adversaries"] == preferred(rows["adversaries"], "successful")]
    found = sorted(set(rows["severity"]), key=_number)
    return rows[rows["severity"] == ("all" if "all" in found else found[-1])]


def _number(severity: str) -> float:
    """Order severities; words come first."""
    try:
        return float(severity)
    except ValueError:
        return -1.0


def _what(rows: pd.DataFrame, others: str) -> str:
    """Say which attacked data a panel shows, and how many on both sides."""
    severity = rows["severity"].iloc[0]
    words = f"n = {counts(rows['n_adversaries'])} {rows['adversaries'].iloc[0]} attacks"
    words += f"\nagainst {counts(rows['n_natural'])} {others}"
    if rows["arm"].iloc[0] == "expression" and _number(severity) > 0:
        words += f", k = {int(_number(severity)):,}"
    return words + _random(rows)


def _random(rows: pd.DataFrame) -> str:
    """Say where features are not the important ones that the caption speaks of."""
    return "\nrandom features" if (rows["features"] == "random").all() else ""


@styled
def detectability(table: pd.DataFrame) -> Figure:
    """Draw each detector's AUROC over the attack's severity, panels as in `roc`.

    Parameters
    ----------
    table : pandas.DataFrame
        From `detection_table.detection_table`. Drawn are successful adversaries where a panel
        has any; of several settings of FIMBA important features, interpolated values and the t
        closest to 8/9; the seed "all" where there is one. Points of fewer than `FEWEST`
        adversaries are left out, and not joined across.
    """
    table = texts(table, *WORDS, *SETTING)
    table = main_setting(one_seed(table[table["auroc"].notna()]))
    look = detector_looks(table)
    drawn = grid(table, ACROSS, 2.9, EMPTY, MISSING)
    for ax, rows, _, first in drawn.panels:
        own = rows[rows["adversaries"] == preferred(rows["adversaries"], "successful")]
        numbered = own["arm"].iloc[0] == "expression"
        enough = own[own["n_adversaries"] >= FEWEST]
        if enough.empty:
            not_drawn(ax, own["n_adversaries"])
            ax.set_xticks([])
        else:
            (_draw_numbered if numbered else _draw_categories)(ax, own, look)
            ax.axhline(0.5, color=GREY, lw=1, ls=":")
        unit_axis(ax, "AUROC" if first else "")
        axis = "features moved (log scale)" if numbered else "letters replaced"
        shown = own if enough.empty else enough
        words = f"n = {counts(shown['n_adversaries'])} {own['adversaries'].iloc[0]} attacks"
        ax.set_xlabel(f"{axis}\n{words}{_random(own)}", fontsize=9)
    if drawn.panels:
        legend(drawn.figure, [*detector_handles(look), grey("chance", ":")])
    return drawn.figure


def _draw_numbered(ax: Axes, own: pd.DataFrame, look: Mapping[str, Look]) -> None:
    own = own.assign(k=own["severity"].astype(float)).sort_values("k")
    known = np.unique(own["k"])
    reach = np.log(known[-1] / known[0]) or 1.0
    for shift, (detector, how) in zip(dodges(len(look), 0.06), look.items(), strict=True):
        line = own[own["detector"] == detector]
        _draw(ax, line["k"].to_numpy() * np.exp(reach * shift), line, how, how.dashes)
    ax.set_xscale("log")
    ax.set_xlim(known[0] * np.exp(-0.06 * reach), known[-1] * np.exp(0.06 * reach))
    ax.set_xticks(known, thinned(known))
    ax.tick_params(axis="x", labelsize=8)
    ax.xaxis.set_minor_locator(NullLocator())


def thinned(known: NDArray[np.float64]) -> list[str]:
    """Label what has room on a logarithmic axis: the last number, and from it to the left."""
    reach = np.log(known[-1] / known[0]) or 1.0
    labels, left = [""] * len(known), np.inf
    for place in reversed(range(len(known))):
        text = f"{int(known[place]):,}"
        x = np.log(known[place] / known[0]) / reach
        # Long numbers need more room.
        half = LABEL_ROOM * max(len(text), 2) / 6
        if x + half <= left:
            labels[place], left = text, x - half
    return labels


def _draw_categories(ax: Axes, own: pd.DataFrame, look: Mapping[str, Look]) -> None:
    order = _ordered(set(own["severity"]))
    for shift, (detector, how) in zip(dodges(len(look), 0.7), look.items(), strict=True):
        line = own[own["detector"] == detector].set_index("severity")
        line = line.loc[[name for name in order if name in line.index]]
        x = np.array([order.index(name) for name in line.index]) + shift
        # No line: "all" is no step of the severity.
        _draw(ax, x, line, how, "none")
    for border in np.arange(1, len(order)) - 0.5:
        ax.axvline(border, color="#E6E6E6", lw=0.8, zorder=0)
    ax.set_xticks(range(len(order)), order)
    ax.set_xlim(-0.5, len(order) - 0.5)
    ax.tick_params(axis="x", length=0)


def _ordered(found: set[str]) -> Sequence[str]:
    return [name for name in EDITS if name in found] + sorted(found - set(EDITS))


def _draw(ax: Axes, x: NDArray[np.float64], line: pd.DataFrame, how: Look, dashes: object) -> None:
    enough = line["n_adversaries"].to_numpy() >= FEWEST
    if not enough.any():
        # Marks that are not there, yet may leave the panel, disturb the layout.
        return
    y, low, high = values(line, "auroc")
    ax.vlines(x[enough], low[enough], high[enough], color=how.colour, lw=0.9)
    # Gaps, so that lines stop there.
    y = np.where(enough, y, np.nan)
    ax.plot(x, y, color=how.colour, ls=dashes, lw=1.2, marker=how.marker, ms=4.5,
            clip_on=False, zorder=3)  # fmt: skip
