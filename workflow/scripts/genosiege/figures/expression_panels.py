"""What the figures of the expression arm share: grids of panels, dots with intervals, legends."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from genosiege.figures.style import GREY, Look, looks, panels

PAGE = 10.0
"""Inches that the panels of a row share, if they stay wide enough to read."""
NARROWEST, WIDEST = 2.5, 5.0
FAINT = "#E6E6E6"
ROOM = 0.75
"""Share of a category's height that its dots take."""


class Grid(NamedTuple):
    """Panels, a row of them per dataset and a column per model or another name."""

    figure: Figure
    panels: dict[tuple[str, str], Axes]


def texts(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Give columns of words as such: a CSV file has empty ones as missing values."""
    return table.assign(**{name: table[name].fillna("").astype(str) for name in names})


def grid(rows: Sequence[str], columns: Sequence[str], height: float, empty: str) -> Grid:
    """Make panels, titled by row and column.

    Parameters
    ----------
    rows, columns : sequence of str
        Their names.
    height : float
        Of a panel, in inches.
    empty : str
        What to say where there is none.
    """
    n = len(rows) * len(columns)
    width = float(np.clip(PAGE / max(len(columns), 1), NARROWEST, WIDEST))
    figure, axes = panels(n, width, height, columns=max(len(columns), 1), empty=empty)
    places = [(row, column) for row in rows for column in columns]
    made = dict(zip(places, axes, strict=True))
    for (row, column), ax in made.items():
        ax.set_title(f"{row}\n{column}")
    return Grid(figure, made)


def model_looks(table: pd.DataFrame) -> dict[str, Look]:
    """Give each model a look, the same in all figures of equal models."""
    return looks(table["model"].astype(str))


def dodges(n: int, room: float = 0.6) -> NDArray[np.float64]:
    """Places of n marks around a common one, evenly apart."""
    return (np.arange(n) - (n - 1) / 2) * room / max(n, 1)


def share_axis(ax: Axes, name: str, axis: str = "y") -> None:
    """Set up an axis from 0 to 100 %."""
    own = ax.yaxis if axis == "y" else ax.xaxis
    (ax.set_ylim if axis == "y" else ax.set_xlim)(-0.02, 1.02)
    own.set_major_locator(MaxNLocator(5, steps=[2, 5, 10]))
    own.set_major_formatter(PercentFormatter(1, decimals=0))
    own.set_label_text(name)
    ax.grid(axis="y" if axis == "y" else "x", color=FAINT, lw=0.8)
    ax.set_axisbelow(True)


def dots(
    ax: Axes,
    table: pd.DataFrame,
    category: str,
    order: Sequence[str],
    value: str,
    look: Mapping[str, Look],
) -> None:
    """Draw a value of each category and model with its interval, categories from above.

    Parameters
    ----------
    ax : Axes
        The panel.
    table : pandas.DataFrame
        One row per category and model, seeds averaged: columns model, `category`, and the
        value with both ends.
    category : str
        The column that the vertical axis shows.
    order : sequence of str
        Its values, from above.
    value : str
        The column that the horizontal axis shows.
    look : mapping of str to Look
        Of the models.
    """
    for shift, (model, how) in zip(dodges(len(look), ROOM), look.items(), strict=True):
        own = table[table["model"] == model].set_index(category)
        own = own.reindex([name for name in order if name in own.index]).dropna(subset=[value])
        y = np.array([order.index(name) for name in own.index]) + shift
        ax.hlines(y, own[f"{value}_low"], own[f"{value}_high"], color=how.colour, lw=1.2)
        ax.plot(own[value], y, how.marker, color=how.colour, ms=5, clip_on=False)
    ax.set_yticks(range(len(order)), [*order])
    ax.set_ylim(len(order) - 0.5, -0.5)
    for border in np.arange(1, len(order)) - 0.5:
        ax.axhline(border, color=FAINT, lw=0.8, zorder=0)
    ax.tick_params(axis="y", length=0)


def model_handles(look: Mapping[str, Look]) -> list[Line2D]:
    """Give the legend's entries of models drawn as dots."""
    return [
        Line2D([], [], ls="none", marker=how.marker, color=how.colour, ms=6, label=model)
        for model, how in look.items()
    ]


def legend(figure: Figure, handles: Iterable[Line2D]) -> None:
    """Name what is drawn, above the panels, which keep their height."""
    entries = [*handles]
    if not entries:
        return
    longest = max(len(str(entry.get_label())) for entry in entries)
    fitting = int(figure.get_figwidth() // (0.8 + 0.07 * longest))
    columns = max(1, min(fitting, len(entries)))
    figure.set_figheight(figure.get_figheight() + 0.2 * -(-len(entries) // columns))
    figure.legend(
        handles=entries, loc="outside upper left", ncols=columns, frameon=False, fontsize=9,
        handlelength=2.6, borderaxespad=0.1,
    )  # fmt: skip


def grey(label: str, dashes: str, marker: str = "", filled: bool = True) -> Line2D:
    """Give the legend's entry of what a way of drawing means, whatever the colour."""
    return Line2D([], [], color=GREY, ls=dashes, marker=marker, ms=5, lw=1.3, label=label,
                  mfc=GREY if filled else "white")  # fmt: skip


def average(table: pd.DataFrame, by: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Average over the seeds, the ends of intervals too; settings without a value stay nan."""
    return table.groupby([*by], as_index=False, sort=True, dropna=False)[[*values]].mean()


def usual_t(table: pd.DataFrame) -> float:
    """Choose the share of the way that is drawn: the default 8/9, or what comes closest."""
    known = table["t"].dropna().unique()
    return float(known[np.argmin(np.abs(known - 8 / 9))]) if len(known) else np.nan


def preferred(values: Iterable[str], *wanted: str) -> str:
    """Choose what is drawn of several settings: the first one wanted, else the first by name."""
    found = sorted(set(values))
    return next((name for name in wanted if name in found), found[0])
