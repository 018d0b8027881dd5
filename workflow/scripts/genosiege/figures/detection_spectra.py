"""Power spectra of natural and attacked data, and their similarity against its nulls."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from genosiege.figures.detection_panels import MODEL, Panel, counts, grid, one_seed, values
from genosiege.figures.expression_panels import FAINT, average, legend, preferred, texts
from genosiege.figures.style import COLOURS, GREY, PALE, Dashes, styled


class Group(NamedTuple):
    """How a group of samples is drawn, and in which words."""

    words: str
    colour: str
    dashes: Dashes


GROUPS = {
    "natural": Group("natural", "#333333", "-"),
    "natural_error": Group("natural errors of the model", COLOURS[1], "--"),
    "mutant": Group("natural mutants", COLOURS[1], "--"),
    "attacked": Group("attacked", COLOURS[0], "-."),
    "adversary": Group("adversaries", COLOURS[0], "-."),
}
COMPARISONS = {
    "natural": "natural",
    "natural_error": "natural error",
    "attacked": "attacked",
    "attacked_error": "attacked with\nnatural error",
    "published": "as published",
}
"""From above: what is compared with natural spectra, if nothing else is said."""
SCALES = {"log_power": "log10 power", "power": "power"}
VIEWS = {"signal": ("o", COLOURS[0], -0.18), "image": ("s", COLOURS[1], 0.18)}
PERIOD = 1 / 3
BANDS = 40
"""Of frequencies of expression, whose spectra are too rough to be drawn one upon the other."""
DATA = ["arm", "data"]
ATTACK = ("attack", "targets")
SSIM = ("ssim", "ssim_low", "ssim_high")
ORDERS = ("order_low", "order_high")


@styled
def spectra(table: pd.DataFrame) -> Figure:
    """Draw mean spectra with the band over samples, a panel per data, attack and model.

    Parameters
    ----------
    table : pandas.DataFrame
        From `spectra_table.spectra_table`; of several seeds the first.
    """
    table = one_seed(texts(table, *MODEL, "group", *ATTACK))
    table = _beside_each_attack(_thinned(table))
    drawn = grid(table, ("model",), 2.8, "no spectra were measured")
    heights = _heights(drawn.panels) if drawn.panels else {}
    for ax, rows, line, first in drawn.panels:
        _draw_groups(ax, rows)
        unit = "gene"
        if rows["arm"].iloc[0] == "sequence":
            unit = "base"
            ax.axvline(PERIOD, color=GREY, lw=0.8, ls=":", zorder=0)
            ax.annotate("period 3", (PERIOD, 1), (2, -1), xycoords=ax.get_xaxis_transform(),
                        textcoords="offset points", color=GREY, fontsize=8, va="top")  # fmt: skip
        ax.set(xlim=(0, 0.5), ylim=heights[line])
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.yaxis.set_major_locator(MaxNLocator(5))
        sizes = rows.groupby("group")["n_samples"].max()
        n = " / ".join(f"{int(sizes[name]):,}" for name in GROUPS if name in sizes)
        ax.set_xlabel(f"frequency (cycles per {unit})\nn = {n}", fontsize=9)
        ax.set_ylabel("power (log10)" if first else "")
    legend(drawn.figure, [
        Line2D([], [], color=colour, ls=dashes, lw=1.6, label=words)
        for name, (words, colour, dashes) in GROUPS.items() if name in set(table["group"])
    ])  # fmt: skip
    return drawn.figure


def _draw_groups(ax: Axes, rows: pd.DataFrame) -> None:
    for name in (name for name in GROUPS if name in set(rows["group"])):
        _, colour, dashes = GROUPS[name]
        own = rows[rows["group"] == name].sort_values("frequency")
        x, mean, low, high = (
            own[column].to_numpy(dtype=float) for column in ("frequency", "mean", "low", "high")
        )
        if name == "natural":
            ax.fill_between(x, low, high, color=FAINT, linewidth=0, zorder=1)
        else:
            # Areas on areas cannot be told apart.
            for end in (low, high):
                ax.plot(x, end, color=colour, ls=dashes, lw=0.5)
        ax.plot(x, mean, color=colour, ls=dashes, lw=1.3)


def _heights(shown: Sequence[Panel]) -> dict[int, tuple[float, float]]:
    """Give the vertical axis that the panels of each line share."""
    known = pd.concat([panel.rows.assign(line=panel.line) for panel in shown])
    ends = known.groupby("line").agg({"low": "min", "high": "max"})
    return {
        int(str(line)): (low - 0.04 * (high - low), high + 0.12 * (high - low))
        for line, low, high in ends.itertuples()
    }


def _beside_each_attack(table: pd.DataFrame) -> pd.DataFrame:
    """Repeat the natural groups in the panel of each attack on these data, flips or none."""
    alone = table["group"].isin(["natural", "natural_error"])
    attacks = table.loc[~alone, [*DATA, *ATTACK]].drop_duplicates()
    natural = table[alone].drop(columns=[*ATTACK]).merge(attacks, on=DATA, how="left")
    natural = natural.fillna(dict.fromkeys(ATTACK, ""))
    return pd.concat([table[~alone], natural], ignore_index=True)


def _thinned(table: pd.DataFrame) -> pd.DataFrame:
    """Average expression over bands of frequency; DNA keeps the peak at a period of three."""
    genes = table["arm"] == "expression"
    if not genes.any():
        return table
    own = table[genes]
    own = own.assign(band=np.ceil(own["frequency"].to_numpy(dtype=float) * 2 * BANDS))
    keys = [*MODEL, "group", *ATTACK, "n_samples", "band"]
    means = own.groupby(keys, as_index=False)[["frequency", "mean", "low", "high"]].mean()
    return pd.concat([table[~genes], means.drop(columns="band")], ignore_index=True)


@styled
def ssim(table: pd.DataFrame, scale: str = "log_power") -> Figure:
    """Draw the similarity to natural spectra and its nulls, a panel per data, targets and model.

    Parameters
    ----------
    table : pandas.DataFrame
        From `ssim_table.ssim_table`. Drawn are important features; of several seeds the means,
        of the ends of intervals too.
    scale : str
        Which spectra are compared: "log_power", or "power".
    """
    words = (*MODEL, "targets", "features", "view", "scale", "comparison", "reading")
    table = texts(table, *words)
    table = table[(table["scale"] == scale) & table["comparison"].isin(COMPARISONS)]
    if len(table):
        features = preferred(table["features"], "shap", "permutation")
        table = table[table["features"] == features]
    drawn = grid(table, ("model",), 3.0, "no similarity was measured")
    order = [name for name in COMPARISONS if name in set(table["comparison"])]
    for ax, rows, _, first in drawn.panels:
        for view in VIEWS:
            _draw_view(ax, rows[rows["view"] == view], order, view)
        for border in np.arange(1, len(order)) - 0.5:
            ax.axhline(border, color=FAINT, lw=0.8, zorder=0)
        ax.set_yticks(range(len(order)), [COMPARISONS[name] if first else "" for name in order])
        ax.set_ylim(len(order) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        n = counts(rows.loc[rows["comparison"] != "published", "n_samples"])
        words = (f"SSIM ({SCALES[scale]}); groups of n = {n}", *_readings(rows))
        ax.set_xlabel("\n".join(words), fontsize=8)
    if drawn.panels:
        _same_axis([panel.ax for panel in drawn.panels], table)
        legend(drawn.figure, _handles())
    return drawn.figure


def _draw_view(ax: Axes, rows: pd.DataFrame, order: Sequence[str], view: str) -> None:
    if rows.empty:
        return
    marker, colour, shift = VIEWS[view]
    mean = average(rows, ["comparison"], [*SSIM, *ORDERS]).set_index("comparison")
    mean = mean.reindex([name for name in order if name in mean.index])
    y = np.array([order.index(name) for name in mean.index]) + shift
    ax.hlines(y, mean["order_low"], mean["order_high"], color=PALE, lw=7, zorder=1)
    value, low, high = values(mean, SSIM[0])
    ax.hlines(y, low, high, color=colour, lw=1.3, zorder=2)
    # The published form is no draw, and answers another question.
    for own, face in ((mean.index != "published", colour), (mean.index == "published", "white")):
        ax.plot(value[own], y[own], marker, color=colour, mfc=face, ms=5.5, zorder=3)


def _readings(rows: pd.DataFrame) -> list[str]:
    """Say by view what the table reads in the attacked data; of several seeds the commonest."""
    lines = []
    for view in VIEWS:
        own = rows[(rows["view"] == view) & (rows["comparison"] == "attacked")]
        said = own.loc[own["reading"] != "", "reading"]
        if len(said):
            counted = said.value_counts().sort_index().sort_values(ascending=False, kind="stable")
            seeds = "" if len(counted) == 1 else f" ({counted.iloc[0]}/{len(said)})"
            lines.append(f"{view}: {counted.index[0]}{seeds}")
    return lines


def _same_axis(axes: Sequence[Axes], table: pd.DataFrame) -> None:
    """Show all that is drawn, on the same axis in all panels."""
    shown = table[[*SSIM, *ORDERS]].to_numpy(dtype=float)
    low = min(0.0, float(np.nanmin(shown)))
    for ax in axes:
        ax.set_xlim(low - 0.02 * (1 - low), 1.02)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.grid(axis="x", color=FAINT, lw=0.8)
        ax.set_axisbelow(True)


def _handles() -> list[Line2D]:
    return [
        *(
            Line2D([], [], color=colour, marker=marker, ms=5, lw=1.3, label=words)
            for (marker, colour, _), words in zip(
                VIEWS.values(), ("as a signal", "as an image"), strict=True
            )
        ),
        Line2D([], [], color=PALE, lw=7, label="random gene orders"),
    ]
