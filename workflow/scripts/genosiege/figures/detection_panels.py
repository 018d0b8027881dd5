"""What the figures of detection share: panels of both arms, names and looks of detectors."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from genosiege.detection.options import EXPRESSION, SEQUENCE
from genosiege.detection.tables.roc_table import SETTING
from genosiege.figures.expression_panels import (
    FAINT,
    NARROWEST,
    PAGE,
    WIDEST,
    preferred,
    usual_t,
)
from genosiege.figures.style import GREY, Look, looks, panels, say

DETECTORS = {
    "spectral": "spectral distance",
    "period3": "period 3",
    "kmer": "k-mer background",
    "mahalanobis": "Mahalanobis",
    "nearest_neighbours": "nearest neighbours",
    "isolation_forest": "isolation forest",
    "vae": "VAE reconstruction",
    "margin": "model margin",
}
"""Detectors in words, in the order of legends."""
ATTACKS = {"fimba": "FIMBA", "vae": "VAE"}
TARGETS = {
    "opposite": "to the other class",
    "error": "to known errors",
    "test_error": "to test errors (leak)",
    "none": "to random values",
}
NULLS = {"clean": "against natural data", "mutants": "against natural mutants"}
MODEL = ["arm", "data", "model"]
FEWEST = 10
"""Least adversaries that a curve or point is drawn of: of fewer it jumps by luck."""


class Panel(NamedTuple):
    """One panel: what it shows, its line, and whether it stands there on the left."""

    ax: Axes
    rows: pd.DataFrame
    line: int
    first: bool


class Grid(NamedTuple):
    """Panels that have something to show."""

    figure: Figure
    panels: list[Panel]


def grid(
    table: pd.DataFrame,
    across: Sequence[str],
    height: float,
    empty: str,
    missing: str = "not attacked",
    widest: float = WIDEST,
) -> Grid:
    """Make panels: per arm and data a line for each attack and its targets, a column per model.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns arm, data, model, and where the table has them attack, targets and null.
    across : sequence of str
        Columns of the table whose values stand side by side, such as the model.
    height : float
        Of a panel, in inches.
    empty, missing : str
        What to say where there is no panel, and in a panel without rows.
    widest : float
        Most inches that a panel takes.
    """
    down = [name for name in ("data", "attack", "targets") if name in table]
    lines = []
    for _, arm in table.groupby("arm", sort=True):
        columns = [_several(key) for key in arm.groupby([*across], sort=True).groups]
        # The only null there is needs no words.
        told = [name for name in across if name != "null" or arm["null"].nunique() > 1]
        for key, own in arm.groupby(down, sort=True):
            row = dict(zip(down, _several(key), strict=True))
            line = []
            for column in columns:
                names = dict(zip(across, column, strict=True))
                title = _title(row | {name: names[name] for name in told})
                line.append((title, own[(own[[*across]] == column).all(axis=1)]))
            lines.append(line)
    most = max((len(line) for line in lines), default=0)
    width = float(np.clip(PAGE / max(most, 1), NARROWEST, widest))
    figure, axes = panels(len(lines) * most, width, height, columns=max(most, 1), empty=empty)
    made = []
    for place, line in enumerate(lines):
        own_axes = axes[place * most : (place + 1) * most]
        for ax in own_axes[len(line) :]:
            ax.set_axis_off()
        for number, (ax, (title, rows)) in enumerate(zip(own_axes, line, strict=False)):
            ax.set_title(title, fontsize=9)
            if rows.empty:
                say(ax, missing)
            else:
                made.append(Panel(ax, rows, place, number == 0))
    return Grid(figure, made)


def _several(key: object) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (str(key),)


def _title(names: Mapping[str, str]) -> str:
    attack = ATTACKS.get(names.get("attack", ""), names.get("attack", ""))
    aim = TARGETS.get(names.get("targets", ""), names.get("targets", ""))
    null = NULLS.get(names.get("null", ""), names.get("null", ""))
    lines = (names["data"], names["model"], " ".join(filter(None, (attack, aim))), null)
    return "\n".join(filter(None, lines))


def one_seed(table: pd.DataFrame) -> pd.DataFrame:
    """Keep of each model the rows of seed "all" where it has them, else its first seed."""
    seeds = table["seed"].astype(str)
    order = seeds.map(lambda seed: -1.0 if seed == "all" else float(seed))
    return table[order == order.groupby([table[name] for name in MODEL]).transform("min")]


def main_setting(table: pd.DataFrame) -> pd.DataFrame:
    """Keep of each attack on expression what would not need further panels.

    That is, of what there is, important features rather than random ones, one order of features
    for all samples, interpolated or decoded values rather than random ones, and the share of the
    way that is closest to 8/9.
    """
    kept = [table.iloc[:0]]
    for _, own in table.groupby([*MODEL, "attack"], sort=True):
        for name, wanted in SETTING.items():
            if name in own:
                own = own[own[name] == preferred(own[name], *wanted)]
        t = usual_t(own) if "t" in own else np.nan
        kept.append(own if np.isnan(t) else own[np.isclose(own["t"], t)])
    return pd.concat(kept)


def detector_looks(table: pd.DataFrame) -> dict[str, Look]:
    """Give each detector a look, the same in all figures; in the order of legends."""
    found = set(table["detector"])
    look = looks({*EXPRESSION, *SEQUENCE, *found})
    order = [*DETECTORS, *sorted(found - set(DETECTORS))]
    return {name: look[name] for name in order if name in found}


def detector_handles(look: Mapping[str, Look], markers: bool = True) -> list[Line2D]:
    """Give the legend's entries of detectors."""
    return [
        Line2D([], [], color=how.colour, ls=how.dashes, marker=how.marker if markers else "",
               ms=5, lw=1.4, label=DETECTORS.get(name, name))
        for name, how in look.items()
    ]  # fmt: skip


def counts(numbers: Iterable[float]) -> str:
    """Give the sizes of groups in words: one number, or from which to which."""
    found = sorted({int(number) for number in numbers if pd.notna(number)}) or [0]
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def not_drawn(ax: Axes, numbers: Iterable[float]) -> None:
    """Say that there are too few adversaries to draw."""
    ax.text(0.5, 0.5, f"n = {counts(numbers)}: not drawn", transform=ax.transAxes,
            ha="center", va="center", color=GREY)  # fmt: skip


def values(rows: pd.DataFrame, name: str) -> tuple[NDArray[np.float64], ...]:
    """Give a column and both ends of its interval."""
    return tuple(
        rows[column].to_numpy(dtype=float) for column in (name, f"{name}_low", f"{name}_high")
    )


def unit_axis(ax: Axes, name: str) -> None:
    """Set up a vertical axis from 0 to 1 of what is no percentage."""
    ax.set_ylim(-0.02, 1.02)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    ax.set_ylabel(name)
    ax.grid(axis="y", color=FAINT, lw=0.8)
    ax.set_axisbelow(True)
