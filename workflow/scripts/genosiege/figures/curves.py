"""Curves of robust accuracy: over edits, over queries, and over perturbations of embeddings."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    MaxNLocator,
    NullLocator,
    PercentFormatter,
    ScalarFormatter,
    StrMethodFormatter,
)

from genosiege.figures.style import (
    BLACK,
    GREY,
    Look,
    label_ends,
    looks,
    over_seeds,
    panels,
    styled,
    title,
)
from genosiege.sequence import summaries
from genosiege.sequence.results import AttackResult
from genosiege.statistics import clustered_wilson_interval

WORST_CASE, CERTIFY = "worst_case", "certify"
MODEL = ["task", "encoder", "stage", "split"]
RATE = ("robust_accuracy", "robust_accuracy_low", "robust_accuracy_high")
CERTIFIED_SPLIT = "test"
MAX_STEPS = 80
"""Points at which the band of a curve over queries is computed."""


@styled
def robust_accuracy(curve: pd.DataFrame, worst_case: pd.DataFrame, certify: pd.DataFrame) -> Figure:
    """Draw robust accuracy over the edit budget, one panel per model, one line per attack.

    Parameters
    ----------
    curve : pandas.DataFrame
        From `summaries.robust_accuracy_table`. Where a mean over model seeds exists, it is
        drawn.
    worst_case : pandas.DataFrame
        From `worst_case.worst_case_table`; its worst case is drawn in black.
    certify : pandas.DataFrame
        From `audit.certify_table`: points of exact answers, or of their bounds.
    """
    look = looks(curve["attack"].astype(str))
    worst = worst_case[worst_case["attack"] == WORST_CASE]
    columns = [*MODEL, "n_sequences"]
    known = pd.concat([table[columns] for table in (curve, worst) if len(table)] or [curve])
    models = list(known.groupby(MODEL, sort=True))
    figure, axes = panels(len(models), width=5.4, height=4.0)
    for ax, (model, found) in zip(axes, models, strict=True):
        ends = {}
        for attack, lines in _of(curve, model).groupby("attack", sort=True):
            ends[str(attack)] = _draw_line(ax, lines, "edit_budget", look[str(attack)])
        if len(lines := _of(worst, model)):
            look_of_all = Look(BLACK, ".", "-")
            ends["worst case"] = _draw_line(ax, lines, "edit_budget", look_of_all, width=2.2)
        _draw_certified(ax, _of(certify.assign(split=CERTIFIED_SPLIT), model))
        _finish(ax, model)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("edit budget (replaced letters; 0: no attack)")
        ax.set_ylabel(f"robust accuracy\n(n = {found['n_sequences'].max()} {model[3]} sequences)")
        label_ends(ax, ends)
    return figure


@styled
def queries(results: Sequence[AttackResult]) -> Figure:
    """Draw the share of the sample that still withstands after so many queries.

    Parameters
    ----------
    results : sequence of AttackResult
        Attack tables; model seeds are pooled.
    """
    groups = summaries.grouped(results)
    look = looks(key[3] for key in groups)
    models = sorted({(task, encoder, stage, split) for task, encoder, stage, _, split in groups})
    figure, axes = panels(len(models), width=5.4, height=4.0)
    for ax, model in zip(axes, models, strict=True):
        task, encoder, stage, split = model
        ends, n = {}, 0
        for attack, how in look.items():
            if members := groups.get((task, encoder, stage, attack, split)):
                rows = pd.concat([member.rows for member in members])
                n = max(n, rows["id"].nunique())
                ends[attack] = _draw_steps(ax, rows, how)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        _finish(ax, model)
        ax.set_xlabel("queries (different sequences asked about; log scale)")
        ax.set_ylabel(f"robust accuracy\n(n = {n} {split} sequences)")
        label_ends(ax, ends)
    return figure


@styled
def latent(table: pd.DataFrame) -> Figure:
    """Draw robust accuracy over the size of perturbations of the embeddings.

    Parameters
    ----------
    table : pandas.DataFrame
        From `audit.latent_table`; several model seeds are averaged.
    """
    look = looks(table["attack"].astype(str))
    models = list(table.groupby(["task", "encoder", "stage", "norm"], sort=True))
    figure, axes = panels(len(models), width=5.0, height=4.0, empty="no latent attack was run")
    for ax, (model, rows) in zip(axes, models, strict=True):
        ends = {}
        for attack, lines in rows.groupby("attack", sort=True):
            ends[str(attack)] = _draw_line(ax, lines, "epsilon", look[str(attack)])
        clean = float((rows["n_correct"] / rows["n_sequences"]).mean())
        ax.axhline(clean, color=GREY, lw=1, ls=(0, (1, 2)))
        ax.annotate(
            "without an attack", (0.01, clean), (0, 3), xycoords=ax.get_yaxis_transform(),
            textcoords="offset points", color=GREY, fontsize=9,
        )  # fmt: skip
        _log_where_wide(ax, rows["epsilon"])
        _finish(ax, model, "not realisable as DNA")
        norm = {"l2": "L2", "linf": "L∞"}.get(str(model[3]).lower(), str(model[3]))
        ax.set_xlabel(f"perturbation ε of the embeddings ({norm} norm,\nrelative to their own)")
        ax.set_ylabel(f"robust accuracy\n(n = {rows['n_sequences'].max()} test sequences)")
        label_ends(ax, ends)
    return figure


def _of(table: pd.DataFrame, model: Sequence[Hashable]) -> pd.DataFrame:
    """Take the rows of one model."""
    return table[(table[MODEL].astype(str) == list(model)).all(axis=1)]


def _draw_line(
    ax: Axes, lines: pd.DataFrame, over: str, look: Look, width: float = 1.5
) -> tuple[float, float, str]:
    """Draw a curve with its band, and say where it ends."""
    line = over_seeds(lines, [over], RATE)
    x, (y, low, high) = line[over], (line[name] for name in RATE)
    ax.fill_between(x, low, high, color=look.colour, alpha=0.12, linewidth=0)
    ax.plot(x, y, color=look.colour, marker=look.marker, ms=4.5, ls=look.dashes, lw=width)
    # Attacks differ in how many edits they are allowed, so curves in where they end.
    return float(x.iloc[-1]), float(y.iloc[-1]), look.colour


def _draw_certified(ax: Axes, lines: pd.DataFrame) -> None:
    """Mark exact answers, and where there is none the range that it lies in."""
    if lines.empty:
        return
    bounds = [f"robust_share_{end}_bound" for end in ("low", "high")]
    columns = [*bounds, f"{bounds[0]}_low", f"{bounds[1]}_high"]
    # Of several models an average is exact only where each is.
    line = over_seeds(lines, ["k"], [*columns, "exact"])
    for exact, points in line.groupby(line["exact"] == 1):
        k = points["k"].to_numpy()
        low, high, lowest, highest = (points[name].to_numpy() for name in columns)
        ax.vlines(k, lowest, highest, color=BLACK, lw=1, zorder=4)
        ax.plot(np.repeat(k, 2), np.column_stack([lowest, highest]).ravel(), "_k", ms=8, zorder=4)
        if exact:
            ax.plot(
                k, low, "D", ms=8, mfc="none", mec=BLACK, mew=1.5, zorder=4,
                label="certified: exact",
            )  # fmt: skip
        else:
            name = "certified: bounds"
            ax.vlines(k, low, high, color=BLACK, lw=6, alpha=0.5, zorder=4, label=name)
    # Below the panel, as no place inside is free of curves for sure.
    ax.legend(
        loc="upper right", bbox_to_anchor=(1.0, -0.16), ncols=2, frameon=False, fontsize=9,
        handlelength=1.2,
    )  # fmt: skip


def _draw_steps(ax: Axes, rows: pd.DataFrame, look: Look) -> tuple[float, float, str]:
    """Draw the share still withstanding after each number of queries, and say where it ends."""
    last = max(int(rows["n_queries_unique"].max()), 1)
    flipped = rows["correct_before"] & rows["success_flip"]
    spent = np.unique(rows.loc[flipped, "n_queries_unique"].to_numpy())
    if len(spent) > MAX_STEPS:
        spent = spent[np.linspace(0, len(spent) - 1, MAX_STEPS).round().astype(int)]
    x = np.unique([1, *spent, last])
    standing = [
        rows["correct_before"] & ~(rows["success_flip"] & (rows["n_queries_unique"] <= q))
        for q in x
    ]
    y = np.array([still.mean() for still in standing])
    low, high = np.array([clustered_wilson_interval(still, rows["id"]) for still in standing]).T
    ax.fill_between(x, low, high, step="post", color=look.colour, alpha=0.12, linewidth=0)
    ax.plot(
        x, y, color=look.colour, ls=look.dashes, drawstyle="steps-post", marker=look.marker,
        ms=4.5, markevery=max(1, len(x) // 6),
    )  # fmt: skip
    return float(x[-1]), float(y[-1]), look.colour


def _log_where_wide(ax: Axes, values: "pd.Series[float]") -> None:
    """Spread the sizes of perturbations evenly, and write each of them out."""
    sizes = sorted(values.unique())
    if sizes[0] > 0 and sizes[-1] / sizes[0] >= 8:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_locator(NullLocator())
    if len(sizes) <= 8:
        ax.set_xticks(sizes, [f"{size:g}" for size in sizes])


def _finish(ax: Axes, model: Sequence[Hashable], note: str = "") -> None:
    task, encoder, stage = map(str, model[:3])
    ax.set_title(title(task, encoder, stage) + (f"\n{note}" if note else ""))
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
