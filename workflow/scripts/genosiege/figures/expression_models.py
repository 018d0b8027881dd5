"""Attacks at equal budgets on all models, and how far models look at the same genes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genosiege.figures.expression_panels import (
    ROOM,
    average,
    dodges,
    dots,
    grid,
    legend,
    model_handles,
    model_looks,
    share_axis,
    texts,
)
from genosiege.figures.style import BLACK, GREY, Look, luminance, panels, styled
from genosiege.figures.transfer import COLOURS

ATTACKS = ("fimba", "fimba_random", "hopskipjump", "zoo", "lowprofool")
"""From above: ours, its control, then by what they ask of the model."""
NOT_APPLICABLE = "not_applicable"
RATE = ("flip_rate", "flip_rate_low", "flip_rate_high")


@styled
def comparison(table: pd.DataFrame) -> Figure:
    """Draw the flip rate of each attack at the same budget, a panel per dataset and budget.

    Parameters
    ----------
    table : pandas.DataFrame
        From `comparison_table.comparison_table`; of several seeds the mean.
    """
    table = texts(table, "dataset", "model", "attack", "status")
    known = set(table["attack"])
    order = [name for name in ATTACKS if name in known] + sorted(known - set(ATTACKS))
    look, budgets = model_looks(table), sorted(table["budget"].unique())
    names = [f"at most {budget:,} queries per sample" for budget in budgets]
    drawn = grid(
        names, sorted(table["dataset"].unique()), 1.2 + 0.6 * len(order), "no attacks were compared"
    )
    for (name, dataset), ax in drawn.panels.items():
        budget = budgets[names.index(name)]
        own = table[(table["dataset"] == dataset) & (table["budget"] == budget)]
        ax.set_title(f"{dataset}\n{name}")
        dots(ax, average(own, ["attack", "model"], RATE), "attack", order, RATE[0], look)
        counts = own.loc[own["n_attacked"] > 0, "n_attacked"]
        n = f"{counts.min()} to {counts.max()}" if counts.nunique() > 1 else f"{counts.max()}"
        share_axis(ax, f"flip rate\n(n = {n} correctly classified samples per model)", "x")
        _mark_where_not(ax, own, order, look)
    handles = model_handles(look)
    if (table["status"] == NOT_APPLICABLE).any():
        handles.append(Line2D([], [], ls="none", marker="x", ms=5, color=GREY,
                              label="not applicable: no gradients"))  # fmt: skip
    legend(drawn.figure, handles)
    return drawn.figure


def _mark_where_not(
    ax: Axes, own: pd.DataFrame, order: Sequence[str], look: Mapping[str, Look]
) -> None:
    """Put a cross, left of all rates, where an attack does not apply to a model."""
    for shift, (model, how) in zip(dodges(len(look), ROOM), look.items(), strict=True):
        rows = own[(own["model"] == model) & (own["status"] == NOT_APPLICABLE)]
        for attack in sorted(rows["attack"].unique()):
            ax.set_xlim(left=-0.1)
            ax.plot(-0.06, order.index(attack) + shift, "x", ms=5, color=how.colour)


@styled
def overlap(table: pd.DataFrame, k: int = 50) -> Figure:
    """Draw how many of their first k genes models share, a panel per dataset and method.

    Parameters
    ----------
    table : pandas.DataFrame
        From `importance_table.importance_table`.
    k : int
        Which of its k is drawn; the largest below it that was compared where that exceeds
        the genes.
    """
    table = texts(table, "dataset", "compared", "model", "method", "other", "status")
    table = table[table["compared"].isin(["seeds", "models"]) & (table["k"] <= k)]
    table = table[~table["status"].str.contains("k_exceeds_features")]
    groups = list(table.groupby(["dataset", "method"], sort=True))
    models = sorted({*table["model"], *table["other"]} - {""})
    size = 1.7 + 0.75 * len(models)
    methods = table["method"].nunique()
    figure, axes = panels(len(groups), size + 0.3, size, columns=methods or None,
                          empty="no importance was measured")  # fmt: skip
    for ax, ((dataset, method), rows) in zip(axes, groups, strict=True):
        largest = rows["k"].max()
        _draw_matrix(ax, rows[rows["k"] == largest], models)
        ax.set_title(f"{dataset}\n{method}, first {largest} genes")
    if groups:
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 1), COLOURS), ax=axes, shrink=0.7, aspect=25
        )
        bar.set_label("shared genes (Jaccard index)")
        bar.ax.spines[:].set_visible(False)
    return figure


def _draw_matrix(ax: Axes, rows: pd.DataFrame, models: list[str]) -> None:
    values, chances = (np.full((len(models), len(models)), np.nan) for _ in range(2))
    for row in rows.itertuples(index=False):
        one = models.index(str(row.model))
        two = one if row.compared == "seeds" else models.index(str(row.other))
        for place in ((one, two), (two, one)):
            values[place] = float(str(row.overlap))
            chances[place] = float(str(row.overlap_by_chance))
    ax.pcolormesh(values, cmap=COLOURS, vmin=0, vmax=1, edgecolors="white", linewidth=2)
    for (line, column), value in np.ndenumerate(values):
        place = (column + 0.5, line + 0.5)
        if np.isnan(value):
            ax.text(*place, "–", color=GREY, ha="center", va="center")
            continue
        light = luminance(np.array(COLOURS(value)[:3])) > 0.18
        ax.text(
            *place, f"{value:.2f}\n({chances[line, column]:.2f})", ha="center", va="center",
            color=BLACK if light else "white", fontsize=8,
        )  # fmt: skip
    middles = np.arange(len(models)) + 0.5
    ax.set_xticks(middles, models, rotation=30, ha="right", rotation_mode="anchor")
    ax.set_yticks(middles, models)
    ax.tick_params(length=0)
    ax.set(aspect="equal")
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
