"""What an attacker who knows the detector gains by hiding, and what it costs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genosiege.figures.detection_panels import (
    counts,
    detector_handles,
    detector_looks,
    grid,
    one_seed,
    values,
)
from genosiege.figures.expression_panels import grey, legend, share_axis, texts
from genosiege.figures.style import GREY, Look, styled

HIDDEN = (0.25, 0.5, 0.75)
"""Shares of undetected successes that grey curves join."""


@styled
def tradeoff(table: pd.DataFrame) -> Figure:
    """Draw success over the share detected, joined along the penalty, a panel per data and model.

    Parameters
    ----------
    table : pandas.DataFrame
        From `adaptive_table.adaptive_table`; the seed "all" where there is one. A penalty without
        a success has no share detected, and is left out.
    """
    table = texts(table, "arm", "data", "model", "detector")
    table = one_seed(table[table["success"].notna()])
    look = detector_looks(table)
    drawn = grid(table, ("model",), 2.9, "no adaptive attack was run")
    for ax, rows, _, first in drawn.panels:
        _draw_equals(ax)
        for detector, own in rows.groupby("detector", sort=True):
            _draw(ax, own.sort_values("penalty"), look[str(detector)])
        if rows["detected_at_5"].isna().all():
            tried = (rows["success"] > 0).any()
            words = "no threshold:\ntoo few validation samples" if tried else "no success"
            ax.text(0.5, 0.5, words, ha="center", va="center", color=GREY)
        sampled = "sequences" if rows["arm"].iloc[0] == "sequence" else "samples"
        share_axis(ax, f"successes detected at 5% FPR\nn = {counts(rows['n'])} {sampled}", "x")
        ax.xaxis.label.set_fontsize(9)
        share_axis(ax, "success" if first else "")
    if drawn.panels:
        legend(drawn.figure, [*detector_handles(look), *_ends(table),
                              grey("undetected: 25, 50, 75%", ":")])  # fmt: skip
    return drawn.figure


def _draw_equals(ax: Axes) -> None:
    for hidden in HIDDEN:
        x = np.linspace(0, 1 - hidden, 50)
        ax.plot(x, hidden / (1 - x), color=GREY, lw=0.7, ls=":", zorder=0)


def _draw(ax: Axes, rows: pd.DataFrame, how: Look) -> None:
    ends = ((rows["penalty"].min(), how.colour), (rows["penalty"].max(), "white"))
    rows = rows[rows["detected_at_5"].notna()]
    if rows.empty:
        # Marks that are not there, yet may leave the panel, disturb the layout.
        return
    x, x_low, x_high = values(rows, "detected_at_5")
    y, y_low, y_high = values(rows, "success")
    ax.vlines(x, y_low, y_high, color=how.colour, lw=0.6, alpha=0.5)
    ax.hlines(y, x_low, x_high, color=how.colour, lw=0.6, alpha=0.5)
    ax.plot(x, y, color=how.colour, ls=how.dashes, lw=1.3, marker=how.marker, ms=3.5,
            clip_on=False, zorder=3)  # fmt: skip
    for penalty, face in ends:
        at = rows["penalty"].to_numpy() == penalty
        if not at.any():
            continue
        ax.plot(x[at], y[at], how.marker, color=how.colour, mfc=face, ms=7,
                clip_on=False, zorder=4)  # fmt: skip


def _ends(table: pd.DataFrame) -> list[Line2D]:
    """Say what large marks mean: the smallest and the largest penalty."""
    first, last = table["penalty"].min(), table["penalty"].max()
    plain = " (plain attack)" if first == 0 else ""
    return [
        Line2D([], [], ls="none", marker="o", ms=7, color=GREY, mfc=face, label=label)
        for face, label in (
            (GREY, f"penalty {first:g}{plain}"),
            ("white", f"penalty {last:g}"),
        )
    ]
