"""Figures made from attack tables: edits, confidence and where the edits fall."""

from collections.abc import Callable, Mapping, Sequence
from typing import Concatenate, ParamSpec

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from genosiege import runtime
from genosiege.figures.style import GREY, PALE, ink, looks, panels, say, styled, title
from genosiege.sequence import summaries
from genosiege.sequence.positions import edit_density
from genosiege.sequence.results import AttackResult
from genosiege.statistics import bootstrap_interval, clustered_wilson_interval, weighted_mean

P = ParamSpec("P")

MAX_BINS, CONFIDENCE_BINS = 30, 20


@styled
def edits_per_success(results: Sequence[AttackResult]) -> Figure:
    """Draw how many edits each attack's successes needed.

    Parameters
    ----------
    results : sequence of AttackResult
        Attack tables; model seeds are pooled, everything else has a panel of its own.
    """
    return _by_attack(results, _draw_edits)


@styled
def confidence(results: Sequence[AttackResult]) -> Figure:
    """Draw the probability of the true class before and after each attack.

    Parameters
    ----------
    results : sequence of AttackResult
        Attack tables; model seeds are pooled, everything else has a panel of its own.
    """
    return _by_attack(results, _draw_confidence)


@styled
def edit_positions(results: Sequence[AttackResult], tss_index: Mapping[str, int | None]) -> Figure:
    """Draw where successful edits lie, against an even spread along the sequence.

    Parameters
    ----------
    results : sequence of AttackResult
        Attack tables; model seeds are pooled, everything else has a panel of its own.
    tss_index : mapping of str to int or None
        For each task the 0-based offset of the transcription start site, if it has one.
    """
    return _by_attack(results, _draw_positions, tss_index)


def _by_attack(
    results: Sequence[AttackResult],
    draw: Callable[Concatenate[Axes, tuple[str, ...], list[AttackResult], str, P], None],
    *arguments: P.args,
    **options: P.kwargs,
) -> Figure:
    """Give each group of attack tables a panel and its attack's colour."""
    groups = summaries.grouped(results)
    attacks = sorted({key[3] for key in groups})
    look = looks(attacks)
    # A row of panels per model, where they fit.
    columns = len(attacks) if 2 <= len(attacks) <= 4 else 4 if len(attacks) % 4 == 0 else None
    figure, axes = panels(len(groups), width=4.2, height=3.3, columns=columns)
    for ax, (key, members) in zip(axes, groups.items(), strict=True):
        task, encoder, stage, attack, _ = key
        ax.set_title(f"{title(task, encoder, stage)}\n{attack}")
        draw(ax, key, members, look[attack].colour, *arguments, **options)
    return figure


def _draw_edits(ax: Axes, key: tuple[str, ...], members: list[AttackResult], colour: str) -> None:
    won = summaries.runs(members, successes=True)
    ax.set_xlabel(f"edits per success (n = {len(won)} successes)")
    ax.set_ylabel("share of successes")
    if won.empty:
        return say(ax, "no success")
    counts = np.arange(1, max(5, int(won["n_edits"].max())) + 1)
    shares = np.array([(won["n_edits"] == count).mean() for count in counts])
    ends = np.array([clustered_wilson_interval(won["n_edits"] == k, won["id"]) for k in counts]).T
    ax.bar(counts, shares, color=colour, width=0.8)
    ax.errorbar(
        counts, shares, np.clip([shares - ends[0], ends[1] - shares], 0, None),
        fmt="none", ecolor="black", capsize=2, lw=1,
    )  # fmt: skip
    median = won["n_edits"].median()
    top = max(float(ends[1].max()), 0.05) * 1.25
    ax.plot(median, 0.9 * top, "v", color="black", ms=6)
    right = median > counts.mean()
    ax.annotate(
        f"median {median:g}", (median, 0.9 * top), (-7 if right else 7, 0),
        textcoords="offset points", ha="right" if right else "left", va="center",
    )  # fmt: skip
    ax.set_ylim(0, top)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return None


def _draw_confidence(
    ax: Axes, key: tuple[str, ...], members: list[AttackResult], colour: str
) -> None:
    rows = summaries.runs(members)
    ax.set_xlabel(f"probability of the true class (n = {len(rows)} runs)")
    ax.set_ylabel("share of runs")
    if rows.empty:
        return say(ax, "no sequence was attacked")
    bins = np.linspace(0, 1, CONFIDENCE_BINS + 1).tolist()
    weights = np.full(len(rows), 1 / len(rows))
    before, after = rows["p_true_before"], rows["p_true_after"]
    tops = [np.histogram(values, bins)[0].max() / len(rows) for values in (before, after)]
    ax.hist(before, bins, weights=weights, color=PALE, edgecolor=GREY, hatch="////", lw=0.8)
    ax.hist(after, bins, weights=weights, histtype="stepfilled", color=colour, alpha=0.35)
    ax.hist(after, bins, weights=weights, histtype="step", color=colour, lw=2)
    top = max(tops)
    for values, name, marker, shade, height in (
        (before, "before", "s", GREY, 1.30),
        (after, "after", "o", colour, 1.12),
    ):
        mean = float(values.mean())
        interval = bootstrap_interval(
            values, rows["id"], weighted_mean, runtime.stream(*key, "confidence", name)
        )
        # Of a single sequence there is no interval: the point stands alone.
        low, high = np.where(np.isnan(interval), mean, interval)
        ax.errorbar(
            mean, height * top, xerr=[[mean - low], [high - mean]],
            fmt=marker, color=shade, capsize=3, lw=1.5, ms=5,
        )  # fmt: skip
        left = mean > 0.5
        ax.annotate(
            f"{name}: mean {mean:.2f}", (low if left else high, height * top),
            (-7 if left else 7, 0), textcoords="offset points", color=ink(shade),
            ha="right" if left else "left", va="center",
        )  # fmt: skip
    ax.set(xlim=(0, 1), ylim=(0, top * 1.42))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return None


def _draw_positions(
    ax: Axes,
    key: tuple[str, ...],
    members: list[AttackResult],
    colour: str,
    tss_index: Mapping[str, int | None],
) -> None:
    won = summaries.runs(members, successes=True)
    n_edits = int(won["n_edits"].sum())
    origin = tss_index.get(key[0])
    place = "in the sequence (bp)" if origin is None else "relative to the TSS (bp)"
    ax.set_xlabel(f"position {place}\n(n = {len(won)} successes, {n_edits} edits)")
    ax.set_ylabel("relative density of edits")
    if not n_edits:
        return say(ax, "no success")
    # Some eight edits per bin at least: fewer say nothing.
    n_bins = min(MAX_BINS, int(won["original"].str.len().max()) // 10, n_edits // 8)
    density = edit_density(won, max(5, n_bins), runtime.stream(*key, "edit_positions"))
    edges = density.edges - (origin or 0)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    ax.stairs(density.null_high, edges - 0.5, baseline=density.null_low, fill=True, color=PALE)
    ax.axhline(1, color=GREY, lw=1)
    ax.errorbar(
        middles, density.fold,
        np.clip([density.fold - density.low, density.high - density.fold], 0, None),
        fmt="o", color=colour, ms=4, lw=1, capsize=0,
    )  # fmt: skip
    # Of a single sequence there is no interval, so no upper end either.
    top = float(np.nanmax([density.fold, density.high, density.null_high])) * 1.15
    if origin is not None:
        ax.axvline(0, color="black", ls="--", lw=1)
        ax.annotate("TSS", (0, top), (-4, 0), textcoords="offset points", ha="right", va="top")
    ax.set(ylim=(0, top), xlim=(edges[0] - 0.5, edges[-1] - 0.5))
    return None
