"""What the edits change, against chance: dots with intervals upon the band of the null."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETLEFT, CARETRIGHT
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from genosiege.figures.style import GREY, PALE, Look, looks, panels, styled, title

MODEL = ["task", "encoder", "stage", "split"]
DOT, LEVEL_GAP, FRAME = 0.10, 0.10, 0.85
"""Inches: height of an attack's dot, between levels, and around a block of levels."""

RARE = 3
"""Motifs found and expected less often than this are left out."""

EDGES = (2.0, 4.0, 8.0)
"""The axis of folds ends at one of these and its inverse; what lies beyond, lies at the edge."""

COLUMNS = (
    (("substitution", "substitutions"), ("transition", "")),
    (("motif_lost", "motif sites lost"), ("motif_created", "motif sites created")),
    (("top_decile", "edits at important positions"), ("auroc", "")),
)
"""Blocks of levels in three columns: each block's name in `_blocks`, and on the figure."""


class Block(NamedTuple):
    """Levels that share an axis."""

    label: str
    ranked: bool
    rows: pd.DataFrame

    @property
    def levels(self) -> list[str]:
        """The levels, from the top of the axis down."""
        return list(dict.fromkeys(self.rows["level"].astype(str)))

    def height(self, n_attacks: int) -> float:
        """Inches that the block takes, its axis included."""
        return len(self.levels) * (n_attacks * DOT + LEVEL_GAP) + FRAME


@styled
def folds(table: pd.DataFrame) -> Figure:
    """Draw substitutions, motifs and agreement with mutagenesis, one row of panels per model.

    Parameters
    ----------
    table : pandas.DataFrame
        From `interpretability.interpretability_table`; positions have a figure of their own.
    """
    order = {level: place for place, level in enumerate(table["level"].unique())}
    # Too few to tell: the table has them.
    rare = (table[["observed", "expected"]] < RARE).all(axis=1)
    rare &= table["feature"].str.startswith("motif_")
    table = table[(table["feature"] != "position") & ~rare]
    table = table.sort_values("level", key=lambda levels: levels.map(order), kind="stable")
    if table.empty:
        nothing = "no attack succeeded: there is nothing to interpret"
        return panels(0, 1.0, 1.0, empty=nothing)[0]
    look = looks(table["attack"].astype(str))
    models = [(key, _columns(rows), rows) for key, rows in table.groupby(MODEL, sort=True)]
    heights = [
        max(sum(block.height(rows["attack"].nunique()) for block in column) for column in columns)
        for _, columns, rows in models
    ]
    # Above each model stand its name and the legend.
    heights = [height + 0.8 for height in heights]
    n_columns = max(len(columns) for _, columns, _ in models)
    figure = Figure(figsize=(4.0 * n_columns, sum(heights)))
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    parts = np.ravel(figure.subfigures(len(models), 1, squeeze=False, height_ratios=heights))
    for part, (key, columns, rows) in zip(parts, models, strict=True):
        used = {attack: look[attack] for attack in look if attack in set(rows["attack"])}
        _draw_model(part, columns, n_columns, used)
        task, encoder, stage, split = map(str, key)
        part.suptitle(
            f"{title(task, encoder, stage)} · {split} sequences", x=0.01, ha="left",
            fontsize=10, fontweight="bold",
        )  # fmt: skip
        _explain(part, rows, used)
    return figure


def _columns(rows: pd.DataFrame) -> list[list[Block]]:
    """Sort a model's rows into columns of blocks, leaving out what there is nothing of."""
    named = rows.assign(block=rows["feature"])
    agreement = rows["feature"] == "mutagenesis_agreement"
    named.loc[agreement, "block"] = rows.loc[agreement, "level"]
    words = {
        "share": "transitions",
        "top_decile": "among the\ntop 10 %",
        "auroc": "edited against\nunedited",
    }
    named["level"] = rows["level"].astype(str).replace(words).str.replace("_", " ")
    columns = [
        [Block(label, name == "auroc", named[named["block"] == name]) for name, label in column]
        for column in COLUMNS
    ]
    return [blocks for column in columns if (blocks := [b for b in column if len(b.rows)])]


def _draw_model(
    part: SubFigure, columns: list[list[Block]], n_columns: int, look: Mapping[str, Look]
) -> None:
    outer = part.add_gridspec(1, n_columns)
    total = max(sum(block.height(len(look)) for block in column) for column in columns)
    for place, column in enumerate(columns):
        ratios = [block.height(len(look)) for block in column]
        # A short column ends where its blocks do.
        rest = [total - sum(ratios)] if total - sum(ratios) > 0.1 else []
        inner = outer[place].subgridspec(len(ratios + rest), 1, height_ratios=ratios + rest)
        for i, block in enumerate(column):
            _draw_block(part.add_subplot(inner[i]), block, look)


def _draw_block(ax: Axes, block: Block, look: Mapping[str, Look]) -> None:
    values = block.rows[["low", "high", "null_low", "null_high"]].to_numpy()
    centre = 0.5 if block.ranked else 1.0
    if block.ranked:
        low, high = 0.0, 1.0
        ax.set_xlabel("AUROC (0.5: chance)")
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    else:
        seen = values[np.isfinite(values) & (values > 0)]
        reach = max(np.max(seen, initial=1.0), 1 / np.min(seen, initial=1.0))
        high = next((edge for edge in EDGES if edge >= reach), EDGES[-1])
        low = 1 / high
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(
            FuncFormatter(lambda x, _: f"{x:g}" if x >= 1 else f"1/{1 / x:g}")
        )
        ax.set_xlabel("fold over chance")
    margin = 0.03 if block.ranked else 1.1
    ax.set_xlim((low - margin, high + margin) if block.ranked else (low / margin, high * margin))
    levels, step = block.levels, 0.8 / len(look)
    ax.axvline(centre, color=GREY, lw=1, zorder=1)
    for number, attack in enumerate(look):
        rows = block.rows[block.rows["attack"] == attack].dropna(subset="fold")
        y = np.array([levels.index(name) for name in rows["level"].astype(str)])
        y = y + (number - (len(look) - 1) / 2) * step
        _draw_dots(
            ax, rows, y, look[attack], (low, high), step, "observed" if block.ranked else "fold"
        )
    for border in range(1, len(levels)):
        ax.axhline(border - 0.5, color="#E6E6E6", lw=0.8, zorder=0)
    ax.set_yticks(range(len(levels)), levels)
    ax.set_ylim(len(levels) - 0.5, -0.5)
    ax.set_title(block.label, fontweight="normal")
    ax.tick_params(axis="y", length=0)


def _draw_dots(
    ax: Axes,
    rows: pd.DataFrame,
    y: NDArray[np.float64],
    look: Look,
    limits: tuple[float, float],
    step: float,
    measure: str,
) -> None:
    names = [measure, "low", "high", "null_low", "null_high"]
    value, low, high, null_low, null_high = (
        np.clip(rows[name].to_numpy(dtype=float), *limits) for name in names
    )
    ax.barh(y, null_high - null_low, left=null_low, height=0.85 * step, color=PALE, zorder=0.5)
    # Of a single sequence there is no interval: the point stands alone.
    known = np.isfinite(low)
    ax.hlines(y[known], low[known], high[known], color=look.colour, lw=1.2, zorder=2)
    beyond = rows[measure].to_numpy(dtype=float)
    for here, marker, fill in (
        (beyond < limits[0], CARETLEFT, "white"),
        (beyond > limits[1], CARETRIGHT, "white"),
        ((beyond >= limits[0]) & (beyond <= limits[1]), look.marker, look.colour),
    ):
        ax.plot(
            value[here], y[here], ls="none", marker=marker, ms=4.5, color=look.colour, mfc=fill,
            zorder=3,
        )  # fmt: skip


def _explain(part: SubFigure, rows: pd.DataFrame, look: Mapping[str, Look]) -> None:
    """Name the attacks with their number of edits, and the band."""
    edits = rows[rows["feature"] == "substitution"].groupby("attack")["n"].first()
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], color=how.colour, marker=how.marker, ms=5, lw=1.2,
            label=f"{attack} (n = {edits[attack]} edits)",
        )
        for attack, how in look.items()
    ]  # fmt: skip
    handles.append(Patch(color=PALE, label="middle 95 % of edits put at random"))
    part.legend(
        handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize=9,
        borderaxespad=0.2,
    )  # fmt: skip
