"""The report's figures of attacks, as SVG that reads in colour, in grey and as text."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from genosiege import files, runtime
from genosiege.sequence import summaries
from genosiege.sequence.positions import edit_density
from genosiege.sequence.summaries import AttackResult
from genosiege.statistics import bootstrap_interval, clustered_wilson_interval, weighted_mean

# Okabe and Ito's palette, darkest first; its yellow is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
GREY, PALE = "#555555", "#D0D0D0"

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

MAX_BINS, CONFIDENCE_BINS = 30, 20

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


@styled
def robust_accuracy(curve: pd.DataFrame) -> Figure:
    """Draw robust accuracy over the edit budget, one panel per model, one line per attack.

    Parameters
    ----------
    curve : pandas.DataFrame
        From `summaries.robust_accuracy_table`. Where a mean over model seeds exists, it is
        drawn.
    """
    look = {attack: number for number, attack in enumerate(sorted(curve["attack"].unique()))}
    models = list(curve.groupby(["task", "encoder", "stage", "split"], sort=True))
    figure, axes = _panels(len(models), width=4.6, height=3.4)
    for ax, (model, rows) in zip(axes, models, strict=True):
        task, encoder, stage, split = map(str, model)
        ends = {}
        for attack, lines in rows.groupby("attack", sort=True):
            line = _pooled(lines)
            number = look[attack]
            x, y = line["edit_budget"], line["robust_accuracy"]
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            band = (line["robust_accuracy_low"], line["robust_accuracy_high"])
            ax.fill_between(x, *band, color=colour, alpha=0.18, linewidth=0)
            ax.plot(x, y, color=colour, marker=marker, ms=4, ls=DASHES[number % len(DASHES)])
            # Attacks differ in how many edits they are allowed, so curves in where they end.
            ends[attack] = (int(x.iloc[-1]), float(y.iloc[-1]), colour)
        heights = spread([height for _, height, _ in ends.values()], gap=0.07)
        for (attack, (end, _, colour)), height in zip(ends.items(), heights, strict=True):
            ax.annotate(
                str(attack), (end, height), (6, 0), textcoords="offset points",
                color=_ink(colour), va="center", annotation_clip=False,
            )  # fmt: skip
        ax.set(title=_title(task, encoder, stage), ylim=(0, 1.02))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        ax.set_xlabel("edit budget (replaced letters; 0: no attack)")
        ax.set_ylabel(f"robust accuracy\n(n = {rows['n_sequences'].max()} {split} sequences)")
    return figure


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Move values apart until neighbours are `gap` apart, keeping their order and middle."""
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
    moved = np.empty(len(values))
    moved[order] = [
        np.mean(block) + gap * (place - (len(block) - 1) / 2)
        for block in placed
        for place in range(len(block))
    ]
    return [float(value) for value in moved]


def _by_attack(
    results: Sequence[AttackResult],
    draw: Callable[Concatenate[Axes, tuple[str, ...], list[AttackResult], str, P], None],
    *arguments: P.args,
    **options: P.kwargs,
) -> Figure:
    """Give each group of attack tables a panel and its attack's colour."""
    groups = summaries.grouped(results)
    attacks = sorted({key[3] for key in groups})
    # A row of panels per model, where they fit.
    columns = len(attacks) if 2 <= len(attacks) <= 3 else None
    figure, axes = _panels(len(groups), width=4.2, height=3.3, columns=columns)
    for ax, (key, members) in zip(axes, groups.items(), strict=True):
        task, encoder, stage, attack, _ = key
        ax.set_title(f"{_title(task, encoder, stage)}\n{attack}")
        colour = COLOURS[attacks.index(attack) % len(COLOURS)]
        draw(ax, key, members, colour, *arguments, **options)
    return figure


def _draw_edits(ax: Axes, key: tuple[str, ...], members: list[AttackResult], colour: str) -> None:
    won = summaries.runs(members, successes=True)
    ax.set_xlabel(f"edits per success (n = {len(won)} successes)")
    ax.set_ylabel("share of successes")
    if won.empty:
        return _say(ax, "no success")
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
        return _say(ax, "no sequence was attacked")
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
            (-7 if left else 7, 0), textcoords="offset points", color=_ink(shade),
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
        return _say(ax, "no success")
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


def _panels(
    n: int, width: float, height: float, columns: int | None = None
) -> tuple[Figure, list[Axes]]:
    """Make a figure of n panels, in at most three columns; sizes in inches."""
    # Four panels stand two by two.
    columns = min(n, columns or (2 if n == 4 else 3))
    rows = -(-n // max(columns, 1))
    figure = Figure(figsize=(width * max(columns, 1), height * max(rows, 1)))
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    if n == 0:
        _say(figure.subplots(), "no attack was run")
        return figure, []
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for ax in axes[n:]:
        ax.set_axis_off()
    return figure, axes[:n]


def _pooled(lines: pd.DataFrame) -> pd.DataFrame:
    mean = lines[lines["seed"].astype(str) == "all"]
    return (lines if mean.empty else mean).sort_values("edit_budget")


def _title(task: str, encoder: str, stage: str) -> str:
    return f"{task} · {encoder}" + ("" if stage == "baseline" else f" · {stage}")


def _ink(colour: str) -> str:
    """Darken a colour until text in it stands out from white (contrast 4.5 or more)."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    while 1.05 / (_luminance(rgb) + 0.05) < 4.5:
        rgb = rgb * 0.95
    return mpl.colors.to_hex(tuple(rgb))


def _luminance(rgb: "np.ndarray") -> float:
    """Relative luminance of an sRGB colour, as WCAG 2 defines it."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)
    ax.set(xticks=[], yticks=[])
