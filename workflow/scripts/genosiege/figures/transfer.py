"""The matrix of adversaries made against one model and tried on another."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from genosiege.figures.style import GREY, ink_on, panels, styled

# Even in lightness from light to dark, so that it reads in grey and without red or green.
COLOURS = colormaps["cividis_r"]


@styled
def matrix(table: pd.DataFrame) -> Figure:
    """Draw the flip rate of each pair of models, one panel per attack and stage.

    Parameters
    ----------
    table : pandas.DataFrame
        From `audit.transfer_table`; counts of several model seeds are added up.
    """
    # A model bears its task's name where there are several.
    tasks = {*table["source_task"].astype(str), *table["target_task"].astype(str)}
    named = table.assign(
        **{
            side: table[f"{side}_encoder"].astype(str)
            + ("\n" + table[f"{side}_task"].astype(str) if len(tasks) > 1 else "")
            for side in ("source", "target")
        }
    )
    models = sorted({*named["source"], *named["target"]})
    groups = list(named.groupby(["stage", "attack"], sort=True))
    size = 1.9 + 0.95 * len(models)
    figure, axes = panels(
        len(groups), size + 0.4, size, empty="no adversary was tried on another model"
    )
    for ax, (key, rows) in zip(axes, groups, strict=True):
        stage, attack = map(str, key)
        _draw_matrix(ax, rows, models)
        ax.set_title(attack if stage == "baseline" else f"{attack} · {stage}")
    if groups:
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 1), COLOURS), ax=axes, shrink=0.7, aspect=25
        )
        bar.set_label("flip rate on the target")
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _draw_matrix(ax: Axes, rows: pd.DataFrame, models: list[str]) -> None:
    counts = rows.groupby(["source", "target"])[["n", "n_flipped"]].sum()
    counts = counts.reindex(pd.MultiIndex.from_product([models, models]), fill_value=0)
    shape = (len(models), len(models))
    n, flipped = (counts[name].to_numpy().reshape(shape) for name in ("n", "n_flipped"))
    rates = np.divide(flipped, n, out=np.full(shape, np.nan), where=n > 0)
    ax.pcolormesh(rates, cmap=COLOURS, vmin=0, vmax=1, edgecolors="white", linewidth=2)
    for (row, column), rate in np.ndenumerate(rates):
        place = (column + 0.5, row + 0.5)
        if np.isnan(rate):
            ax.text(*place, "–", color=GREY, ha="center", va="center")
            continue
        ax.text(
            *place, f"{rate:.0%}\nn = {n[row, column]}", color=ink_on(COLOURS(rate)),
            ha="center", va="center", fontsize=9,
        )  # fmt: skip
    middles = np.arange(len(models)) + 0.5
    ax.set_xticks(middles, models, rotation=30, ha="right", rotation_mode="anchor")
    ax.set_yticks(middles, models)
    ax.tick_params(length=0)
    ax.set(xlabel="tried on (target)", ylabel="made against (source)", aspect="equal")
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
