"""What the figures share: colours, markers, panels, labels, and how they are saved."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from itertools import cycle
from typing import NamedTuple, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from genosiege import files

# Okabe and Ito's palette, darkest first, one of Tol's and a brown, chosen so that each pair stays
# apart for eyes without red or green cones; the former's yellow is too pale for lines on white, and
# black is left to what stands above the attacks. The last four were found by search: of all colours
# on a grid as far from these, from black and from each other as a set of four can be.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255", "#603000",
    "#3024C0", "#FC7890", "#6C6048", "#0C0054",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "d")
Dashes = str | tuple[int, tuple[int, ...]]
DASHES: tuple[Dashes, ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1)),
    (0, (3, 1, 1, 1)),
    (0, (1, 1)),
    (0, (8, 2)),
    (0, (6, 1, 1, 1, 1, 1)),
    (0, (1, 3)),
    (0, (8, 2, 2, 2)),
    (0, (4, 4)),
)
BLACK, GREY, PALE = "#000000", "#555555", "#D0D0D0"

STYLE = {
    "svg.fonttype": "none",
    # Names of clip paths and markers are random without a salt.
    "svg.hashsalt": "genosiege",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}

EMPTY_SIZE = (7.0, 3.0)
"""Inches: a figure without panels has room for a sentence."""

LABEL_GAP = 0.066
"""Least distance of labels beside a panel, as a share of its height."""


class Look(NamedTuple):
    """How an attack is drawn: told apart by colour, and without colours by the rest."""

    colour: str
    marker: str
    dashes: Dashes


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Give each name a look of its own, the same in all figures of these names."""
    ways = zip(cycle(COLOURS), cycle(MARKERS), cycle(DASHES), strict=False)
    return {name: Look(*way) for name, way in zip(sorted(set(names)), ways, strict=False)}


P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under the house style, whatever the caller's own settings are."""

    @wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> Figure:
        with mpl.rc_context({**mpl.rcParamsDefault, **STYLE}):
            return draw(*arguments, **options)

    return drawn


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as SVG; equal figures give equal bytes."""
    with mpl.rc_context({**mpl.rcParamsDefault, **STYLE}), files.whole(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def label_ends(ax: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Name curves to the right of a panel, each with a thin line from where it ends.

    Parameters
    ----------
    ax : Axes
        Its limits must be set already.
    ends : mapping of str to (x, y, colour)
        For each name the curve's last point.
    """
    low, high = ax.get_ylim()
    gap = LABEL_GAP * (high - low)
    heights = spread([y for _, y, _ in ends.values()], gap, low + gap / 3, high - gap / 3)
    for (name, (x, y, colour)), height in zip(ends.items(), heights, strict=True):
        ax.annotate(
            name, (x, y), (1.05, height), textcoords=ax.get_yaxis_transform(),
            color=ink(colour), va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "shrinkA": 1, "shrinkB": 3,
                        "relpos": (0, 0.5)},
        )  # fmt: skip


def spread(
    values: Sequence[float], gap: float, low: float = -np.inf, high: float = np.inf
) -> list[float]:
    """Move values apart until neighbours are `gap` apart, keeping their order and middle.

    They stay within `low` and `high` where there is room for them.
    """
    order = np.argsort(values, kind="stable")
    placed: list[list[float]] = []
    # Merge what overlaps into one block, centred on the mean of its members.
    for value in np.asarray(values, dtype=float)[order]:
        placed.append([value])
        while len(placed) > 1:
            below, above = placed[-2], placed[-1]
            reach = gap * (len(below) + len(above)) / 2
            if np.mean(above) - np.mean(below) >= reach - 1e-12:
                break
            placed[-2:] = [below + above]
    apart = [
        float(np.mean(block)) + gap * (place - (len(block) - 1) / 2)
        for block in placed
        for place in range(len(block))
    ]
    for i, value in enumerate(apart):
        apart[i] = max(value, apart[i - 1] + gap if i else low)
    for i in reversed(range(len(apart))):
        apart[i] = min(apart[i], apart[i + 1] - gap if i + 1 < len(apart) else high)
    moved = np.empty(len(values))
    moved[order] = apart
    return [float(value) for value in moved]


def over_seeds(lines: pd.DataFrame, by: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Take the mean over model seeds: the rows of seed "all" where a table has them.

    Otherwise values and the ends of their intervals are averaged: the band tells of the
    sequences drawn, not of how far models differ.
    """
    mean = lines[lines["seed"].astype(str) == "all"]
    if mean.empty:
        mean = lines.groupby([*by], as_index=False)[[*values]].mean()
    return mean.sort_values([*by])


def panels(
    n: int,
    width: float,
    height: float,
    columns: int | None = None,
    empty: str = "no attack was run",
) -> tuple[Figure, list[Axes]]:
    """Make a figure of n panels, in at most three columns; sizes in inches.

    Without panels the figure says so, in the words of `empty`.
    """
    # Four panels stand two by two.
    columns = min(n, columns or (2 if n == 4 else 3))
    rows = -(-n // max(columns, 1))
    figure = Figure(figsize=(width * columns, height * rows) if n else EMPTY_SIZE)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    if n == 0:
        say(figure.subplots(), empty)
        return figure, []
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for ax in axes[n:]:
        ax.set_axis_off()
    return figure, axes[:n]


def title(task: str, encoder: str, stage: str) -> str:
    """Name a model above its panel; that it is the baseline needs no word."""
    return f"{task} · {encoder}" + ("" if stage == "baseline" else f" · {stage}")


def ink(colour: str) -> str:
    """Darken a colour until text in it stands out from white (contrast 4.5 or more)."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    while 1.05 / (luminance(rgb) + 0.05) < 4.5:
        rgb = rgb * 0.95
    return mpl.colors.to_hex(tuple(rgb))


def ink_on(colour: Sequence[float] | NDArray[np.float64]) -> str:
    """Choose black or white for text on a colour (red, green, blue in [0, 1], and maybe alpha)."""
    # Either has a contrast of 4.5 or more on one side of this luminance.
    return BLACK if luminance(np.array(colour[:3])) > 0.18 else "white"


def luminance(rgb: NDArray[np.float64]) -> float:
    """Relative luminance of an sRGB colour, as WCAG 2 defines it."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def say(ax: Axes, text: str) -> None:
    """Put words where there is nothing to draw."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)
    ax.set(xticks=[], yticks=[])
