"""Adversarial training over its rounds: all defences of a model side by side."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from genosiege.figures.style import (
    BLACK,
    GREY,
    Look,
    looks,
    over_seeds,
    panels,
    say,
    styled,
    title,
)

MODEL = ["task", "encoder"]
KINDS = ("adversarial_only", "mixed", "clean_only", "random_mutants")
"""Kinds of defences, in the order in which they are shown."""

CONTROLS = KINDS[2:]
PLAUSIBLE = 0.8
NO_DEFENCE = "no defence was run"
ROUND = "round (0: baseline)"

DODGE, DODGE_OF_ALL = 0.14, 0.6
"""Rounds by which neighbouring defences stand apart, and all of them at most."""

MAX_COLUMNS, PAGE = 3, 9.4
"""Models beside each other at most; inches that they share."""


class Measure(NamedTuple):
    """What a row of panels shows.

    `scale` is "share" (per cent from 0), "near" (per cent around the values), "whole" (per cent
    from 0 to 100), "zero" (a number from 0), "score" (a number up to 1) or "free". `beside`
    names a column that is drawn thinly along; `line` is a value worth a dashed line, and its
    name.
    """

    column: str
    label: str
    scale: Literal["share", "near", "whole", "zero", "score", "free"]
    empty: str = "nothing was measured"
    beside: str = ""
    line: tuple[float, str] | None = None

    @property
    def columns(self) -> list[str]:
        """The value and the ends of its interval."""
        return [self.column, f"{self.column}_low", f"{self.column}_high"]


class Defence(NamedTuple):
    """How a defence is named and drawn, the same in all figures of a table."""

    name: str
    label: str
    look: Look
    control: bool


NO_FLIP = "no attack succeeded"
TRAINING = (
    Measure("training_loss", "training loss\n(mean over the steps)", "free", "nothing was trained"),
    Measure("loss", "clean test loss\n(cross-entropy)", "free"),
    Measure("accuracy", "clean accuracy", "near"),
)
EFFECTIVENESS = (
    Measure("flip_rate", "flip rate\n(fresh attack)", "share"),
    Measure("success_drop_rate", "success rate\n(confidence drop)", "share"),
    Measure("replay_flip_rate", "replay flip rate\n(old adversaries)", "share"),
)
DIFFICULTY = (
    Measure("median_edits", "edits to flip\n(median over flips)", "zero", NO_FLIP),
    Measure("median_queries", "queries per run\n(median over runs)", "zero", "nothing attacked"),
)
PLAUSIBILITY = (
    Measure(
        "mean_plausibility", "biological plausibility\n(mean over flips)", "score", NO_FLIP,
        line=(PLAUSIBLE, "plausible"),
    ),
)  # fmt: skip
EFFICIENCY = (
    Measure("mean_drop_per_edit", "confidence drop per edit\n(mean over flips)", "zero", NO_FLIP),
)
ROBUSTNESS = (
    Measure("robust_accuracy", "robust accuracy\n(own attack)", "whole", beside="accuracy"),
)


@styled
def training_progress(table: pd.DataFrame) -> Figure:
    """Draw training loss, clean test loss and clean accuracy over the rounds.

    Parameters
    ----------
    table : pandas.DataFrame
        The hardening table: a row per round, round 0 included. Several model seeds are
        averaged.
    """
    return _draw(table, TRAINING, "n_test")


@styled
def attack_effectiveness(table: pd.DataFrame) -> Figure:
    """Draw how often the attack succeeds, run afresh and replayed (see `training_progress`)."""
    return _draw(table, EFFECTIVENESS, "n_sequences")


@styled
def attack_difficulty(table: pd.DataFrame) -> Figure:
    """Draw the edits and queries that the attack needs (see `training_progress`)."""
    return _draw(table, DIFFICULTY, "n_sequences")


@styled
def biological_plausibility(table: pd.DataFrame) -> Figure:
    """Draw how plausible the successful edits are (see `training_progress`)."""
    return _draw(table, PLAUSIBILITY, "n_sequences")


@styled
def perturbation_efficiency(table: pd.DataFrame) -> Figure:
    """Draw the confidence that each edit costs the model (see `training_progress`)."""
    return _draw(table, EFFICIENCY, "n_sequences")


@styled
def model_robustness(table: pd.DataFrame) -> Figure:
    """Draw robust accuracy, beside clean accuracy (see `training_progress`)."""
    return _draw(table, ROBUSTNESS, "n_sequences")


def defences(table: pd.DataFrame) -> dict[str, Defence]:
    """Settle how the defences of a table are named and drawn, treatments before controls.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns defence, kind, attack and adversary_source, such as the hardening table.

    Returns
    -------
    dict of str to Defence
        In the order in which they are shown. The label says so where a defence was trained on
        test sequences, or has another attack than most.
    """
    look = looks(table["defence"].astype(str))
    known = table.drop_duplicates("defence").set_index("defence")
    usual = known["attack"].mode().iloc[0]
    found = []
    for name in look:
        row = known.loc[name]
        notes = [f"attack: {row['attack']}"] if row["attack"] != usual else []
        notes += ["trained on test"] if row["adversary_source"] == "test" else []
        label = name + (f" ({'; '.join(notes)})" if notes else "")
        found.append(Defence(name, label, look[name], row["kind"] in CONTROLS))
    found.sort(key=lambda defence: (KINDS.index(known.loc[defence.name, "kind"]), defence.name))
    return {defence.name: defence for defence in found}


def rounds_of(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Average a defence's rounds over model seeds; a row per round, in order.

    Of a seed that stopped early the last model stays, so that each round's mean is one over the
    same seeds. Nothing was trained then: `training_loss` stays empty.
    """
    last = int(rows["round"].max())
    carried = []
    for seed, found in rows.groupby("seed", sort=True):
        line = found.set_index("round").sort_index()[[*columns]].astype(float)
        full = line.reindex(range(last + 1), method="ffill")
        if "training_loss" in full:
            full.loc[~full.index.isin(line.index), "training_loss"] = np.nan
        carried.append(full.rename_axis("round").reset_index().assign(seed=seed))
    return over_seeds(pd.concat(carried), ["round"], columns)


def stops(rows: pd.DataFrame) -> list[int]:
    """List the rounds after which training stopped before all were run, in any seed."""
    ends = rows[rows["is_last"].eq(True)]
    return sorted({int(number) for number in ends.loc[stopped(ends["stop_reason"]), "round"]})


def stopped(reasons: "pd.Series[str]") -> "pd.Series[bool]":
    """Tell which reasons for a last round are a stop before all rounds were run."""
    said = reasons.fillna("").astype(str)
    # A stop has its reason in words; only the full count begins like this.
    return (said != "") & ~said.str.match(r"all \d+ rounds? w")


def draw_rounds(
    ax: Axes, rows: pd.DataFrame, measure: Measure, known: Mapping[str, Defence]
) -> bool:
    """Draw a measure of one model over the rounds of its defences; tell whether there is any.

    The defences start from a common point, the baseline, and stand a little apart in the later
    rounds, as they often lie on each other.
    """
    shown = [known[name] for name in known if name in set(rows["defence"].astype(str))]
    columns = [name for name in measure.columns if name in rows]
    wanted = [*dict.fromkeys([*columns, *filter(None, [measure.beside])])]
    seen = False
    for shift, defence in zip(dodges(len(shown)), shown, strict=True):
        own = rows[rows["defence"] == defence.name]
        line = rounds_of(own, wanted)
        x = line["round"].to_numpy(dtype=float)
        x[1:] += shift
        y = line[measure.column].to_numpy()
        seen |= bool(np.isfinite(y).any())
        if measure.beside:
            ax.plot(x, line[measure.beside], color=defence.look.colour, lw=0.8, alpha=0.8)
        _draw_defence(ax, x, y, defence)
        if len(columns) > 1:
            low, high = (line[name].to_numpy() for name in columns[1:])
            ax.vlines(x[1:], low[1:], high[1:], color=defence.look.colour, lw=1, zorder=2)
            ax.vlines(x[:1], low[:1], high[:1], color=BLACK, lw=1, zorder=4)
        for number in stops(own):
            _mark_stop(ax, number + shift, y[number], defence)
    return seen


def _draw_defence(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], defence: Defence
) -> None:
    """Draw a curve; its markers begin with round 1, as round 0 is the model of all."""
    colour, marker, dashes = defence.look
    ax.plot(
        x, y, color=colour, ls=dashes, lw=1.2, marker=marker, ms=4.5, zorder=3,
        mfc="white" if defence.control else colour, markevery=slice(1, None), clip_on=False,
    )  # fmt: skip
    ax.plot(x[:1], y[:1], "o", color=BLACK, ms=4.5, zorder=4, clip_on=False)


def _mark_stop(ax: Axes, x: float, y: float, defence: Defence) -> None:
    """Frame the last point, also where it is the baseline."""
    colour, marker, _ = defence.look
    face = "white" if defence.control else colour
    ax.plot(x, y, marker, color=colour, mfc=face, ms=4.5, zorder=3)
    ax.plot(x, y, "s", ms=10, mew=1.2, mfc="none", mec=colour, zorder=5)


def dodges(n: int) -> list[float]:
    """Places of n defences around a round, evenly apart."""
    step = min(DODGE, DODGE_OF_ALL / max(n - 1, 1))
    return [step * (place - (n - 1) / 2) for place in range(n)]


def finish(ax: Axes, measure: Measure, last: int) -> None:
    """Set up the axes of a panel over rounds."""
    ax.set_xlim(-0.5, last + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=min(last + 1, 10), integer=True))
    if last == 0:
        ax.set_xticks([0])
    if measure.scale in ("share", "near", "whole"):
        ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.4g}%"))
    elif measure.column == "median_queries":
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    ax.grid(axis="y", color="#E6E6E6", lw=0.8)
    ax.set_axisbelow(True)


def limits(tables: pd.DataFrame, measure: Measure) -> tuple[float, float]:
    """Range of the y axis that shows all values and intervals of a measure."""
    names = [name for name in [*measure.columns, measure.beside] if name in tables]
    values = tables[names].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if measure.line:
        low, high = min(low, measure.line[0]), max(high, measure.line[0])
    if measure.scale == "whole":
        return 0.0, 1.02
    if measure.scale == "score":
        return max(0.0, float(low) - 0.1), 1.02
    if measure.scale in ("share", "zero"):
        ceiling = 1.02 if measure.scale == "share" else np.inf
        return 0.0, float(min(ceiling, 1.08 * high)) or 1.0
    # A span below two per cent of the value would make much of noise.
    reach = max(high - low, 0.02 * high, 1e-3)
    middle = (high + low) / 2
    return float(middle - 0.58 * reach), float(middle + 0.58 * reach)


def _draw(table: pd.DataFrame, measures: Sequence[Measure], count: str) -> Figure:
    """Draw models side by side, and a row of panels per measure."""
    if table.empty:
        return panels(0, 1.0, 1.0, empty=NO_DEFENCE)[0]
    known = defences(table)
    models = list(table.groupby(MODEL, sort=True))
    # Four stand two by two.
    columns = 2 if len(models) == 4 else min(len(models), MAX_COLUMNS)
    blocks = -(-len(models) // columns)
    figure, axes = panels(
        blocks * len(measures) * columns,
        width=6.4 if columns == 1 else PAGE / columns,
        height=2.3 if len(measures) > 1 else 3.4,
        columns=columns,
    )
    grid = np.reshape(np.array(axes, dtype=object), (blocks, len(measures), columns))
    last = int(table["round"].max())
    for place in range(blocks * columns):
        column = grid[place // columns, :, place % columns]
        if place >= len(models):
            for ax in column:
                ax.set_axis_off()
            continue
        (task, encoder), rows = models[place]
        for ax, measure in zip(column, measures, strict=True):
            _draw_panel(ax, rows, measure, known, last, limits(table, measure))
            if place % columns == 0:
                ax.set_ylabel(measure.label)
        name = title(str(task), str(encoder), "baseline")
        column[0].set_title(fill(name, int(10 * PAGE / columns)))
        column[-1].set_xlabel(f"{ROUND}\nn = {rows[count].max():.0f} test sequences")
    explain(figure, table, known, measures)
    return figure


def _draw_panel(
    ax: Axes,
    rows: pd.DataFrame,
    measure: Measure,
    known: Mapping[str, Defence],
    last: int,
    within: tuple[float, float],
) -> None:
    if not draw_rounds(ax, rows, measure, known):
        ax.clear()
        return say(ax, measure.empty)
    ax.set_ylim(*within)
    finish(ax, measure, last)
    if measure.line:
        value, name = measure.line
        ax.axhline(value, color=GREY, lw=1, ls="--", zorder=1)
        ax.annotate(
            name, (0.99, value), (0, -3), xycoords=ax.get_yaxis_transform(),
            textcoords="offset points", ha="right", va="top", color=GREY, fontsize=9,
        )  # fmt: skip
    if measure.column == "training_loss":
        _mark_kept(ax, rows, known)
    return None


def _mark_kept(ax: Axes, rows: pd.DataFrame, known: Mapping[str, Defence]) -> None:
    """Mark at the foot of a panel the rounds that left a model as it was."""
    shown = [known[name] for name in known if name in set(rows["defence"].astype(str))]
    for shift, defence in zip(dodges(len(shown)), shown, strict=True):
        kept = rows[(rows["defence"] == defence.name) & rows["kept"].eq(True)]
        x = np.unique(kept["round"].to_numpy(dtype=float)) + shift
        ax.plot(
            x, np.full(len(x), 0.05), "x", ms=6, mew=1.8, color=defence.look.colour,
            transform=ax.get_xaxis_transform(),
        )  # fmt: skip


def explain(
    figure: Figure, table: pd.DataFrame, known: Mapping[str, Defence], measures: Sequence[Measure]
) -> None:
    """Name the defences above the panels, and the marks that these hold."""
    handles = [handle(defence) for defence in known.values()]
    if any(measure.beside for measure in measures):
        handles.append(Line2D([], [], color=GREY, lw=0.8, label="clean accuracy (thin)"))
    if stops(table):
        handles.append(Line2D([], [], ls="none", marker="s", ms=10, mew=1.2, mfc="none",
                              color=GREY, label="stopped early"))  # fmt: skip
    if measures is TRAINING and table["kept"].eq(True).any():
        handles.append(Line2D([], [], ls="none", marker="x", ms=6, mew=1.8, color=GREY,
                              label="model kept: no adversaries"))  # fmt: skip
    longest = max(len(str(entry.get_label())) for entry in handles)
    fitting = int(figure.get_figwidth() // (0.7 + 0.063 * longest))
    columns = max(1, min(fitting, len(handles)))
    # The panels keep their height.
    figure.set_figheight(figure.get_figheight() + 0.2 * -(-len(handles) // columns))
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, frameon=False, fontsize=9,
        handlelength=2.8, borderaxespad=0.1,
    )  # fmt: skip


def handle(defence: Defence) -> Line2D:
    """Give the legend's entry of a defence."""
    colour, marker, dashes = defence.look
    return Line2D(
        [], [], color=colour, marker=marker, ls=dashes, lw=1.2, ms=5, label=defence.label,
        mfc="white" if defence.control else colour,
    )  # fmt: skip
