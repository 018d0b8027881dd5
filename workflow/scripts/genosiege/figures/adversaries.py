"""The adversary viewer: original over adversary, edits, motifs, and the effect of single edits."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from genosiege.figures.style import BLACK, GREY, PALE, ink, looks, panels, styled
from genosiege.sequence import mutagenesis
from genosiege.sequence.motifs import Motif, Site, find_sites
from genosiege.sequence.positions import single_edits

WIDTH = 100
"""Letters in a line."""
MOST_LINES = 6
"""Lines of one adversary; of a longer sequence those with most edits are drawn."""

# Heights in the coordinates of a line, whose track of probabilities goes from 0 to 1.
_ADVERSARY, _ORIGINAL, _MOTIF, _TOP = 1.36, 1.72, 2.05, 2.6


class _Line(NamedTuple):
    """One line of one adversary."""

    example: Mapping[Hashable, object]
    start: int
    stop: int
    first: bool


@styled
def viewer(
    examples: pd.DataFrame,
    scanned: pd.DataFrame,
    motifs: Sequence[Motif],
    tss_index: int | None,
    attacks: Sequence[str] = (),
) -> Figure:
    """Draw chosen adversaries of one model, each as an alignment over its mutagenesis.

    Parameters
    ----------
    examples : pandas.DataFrame
        From `showcase.choose`, of one model.
    scanned : pandas.DataFrame
        From `mutagenesis.scan`, of the same originals.
    motifs : sequence of Motif
        What is marked above the original.
    tss_index : int or None
        0-based position of the transcription start site; positions count from it then.
    attacks : sequence of str
        The attacks of the whole run, so that each has the same colour in all figures.
    """
    if examples.empty:
        return panels(0, 0, 0, empty="no sequence was attacked")[0]
    colours = {name: look.colour for name, look in looks([*attacks, *examples["attack"]]).items()}
    lines = [line for example in examples.to_dict("records") for line in _lines(example)]
    heights = [1.5 if line.first else 1.3 for line in lines]
    figure = Figure(figsize=(12.5, sum(heights) + 0.4))
    figure.set_layout_engine("constrained", h_pad=0.03, w_pad=0.1)
    axes = np.ravel(figure.subplots(len(lines), 1, squeeze=False, height_ratios=heights))
    for ax, line in zip(axes, lines, strict=True):
        example = line.example
        original = str(example["original"])
        of_this = scanned[scanned["id"] == example["id"]]
        colour = colours[str(example["attack"])]
        _draw_track(ax, line, mutagenesis.track(of_this, len(original)), _p_before(example))
        _draw_letters(ax, line, original, str(example["edits"]), colour)
        _draw_sites(ax, line, find_sites(original, motifs, tss_index), tss_index)
        _finish(ax, line, tss_index)
    axes[-1].set_xlabel(
        "position (bp from the transcription start site, which is 0)"
        if tss_index is not None
        else "position (0-based)"
    )
    return figure


def _p_before(example: Mapping[Hashable, object]) -> float:
    """Give the probability of the true class before the attack."""
    return float(str(example["p_true_before"]))


def _lines(example: Mapping[Hashable, object]) -> list[_Line]:
    """Divide a sequence into lines; of a long one take those where most is edited."""
    length = len(str(example["original"]))
    # A last line of a few letters is no line.
    n_lines = max(1, round(length / WIDTH))
    borders = np.linspace(0, length, n_lines + 1).round().astype(int)
    spans = list(pairwise(borders.tolist()))
    places = single_edits(pd.Series([str(example["edits"])]))["position"].to_numpy()
    edited = [int(((places >= start) & (places < stop)).sum()) for start, stop in spans]
    kept = sorted(sorted(range(n_lines), key=lambda i: -edited[i])[:MOST_LINES])
    return [_Line(example, *spans[number], number == kept[0]) for number in kept]


def _draw_track(ax: Axes, line: _Line, lowest: NDArray[np.float64], before: float) -> None:
    """Draw how low the best single substitution at each position brings the probability."""
    places = np.arange(line.start, line.stop)
    part = lowest[line.start : line.stop]
    known = np.isfinite(part)
    ax.bar(
        places[known], before - part[known], bottom=part[known], width=0.9,
        color=np.where(part[known] < 0.5, BLACK, GREY), linewidth=0,
    )  # fmt: skip
    ax.axhline(before, color=GREY, lw=0.8)
    ax.axhline(0.5, color=GREY, lw=0.8, ls=(0, (2, 2)))


def _draw_letters(ax: Axes, line: _Line, original: str, edits: str, colour: str) -> None:
    for place in range(line.start, line.stop):
        ax.text(
            place, _ORIGINAL, original[place], ha="center", va="center", fontsize=8, color=GREY,
            family="monospace",
        )  # fmt: skip
    found = single_edits(pd.Series([edits]))
    for place, base in zip(found["position"].astype(int), found["new"], strict=True):
        if not line.start <= place < line.stop:
            continue
        ax.axvspan(place - 0.5, place + 0.5, 0, _ORIGINAL / _TOP, color=PALE, lw=0, zorder=0)
        ax.text(
            place, _ADVERSARY, base, ha="center", va="center", fontsize=8.5, color=ink(colour),
            family="monospace", fontweight="bold",
        )  # fmt: skip


def _draw_sites(ax: Axes, line: _Line, sites: Sequence[Site], tss_index: int | None) -> None:
    """Put a bracket with its name above each motif of the original."""
    ends = [-np.inf, -np.inf]
    for site in sorted(sites, key=lambda site: site.start):
        first, last = site.start, site.positions.stop - 1
        if not line.start <= (first + last) / 2 < line.stop:
            continue
        name = site.name.replace("_", " ")
        # Names that would run into their neighbour's go a level up.
        level = 0 if first >= ends[0] else 1
        width = max(last - first + 1, 0.75 * len(name) + 0.5)
        ends[level] = first + width
        height = _MOTIF + 0.28 * level
        ax.plot([first - 0.4, last + 0.4], [height - 0.1] * 2, color=BLACK, lw=1.5)
        ax.text(first - 0.4, height - 0.05, name, fontsize=6.5, color=BLACK, va="bottom")
    if tss_index is not None and line.start <= tss_index < line.stop:
        ax.annotate(
            "", (tss_index + 3.5, _TOP - 0.04), (tss_index, _TOP - 0.04),
            arrowprops={"arrowstyle": "->", "color": BLACK, "lw": 1.2, "shrinkA": 0},
        )  # fmt: skip
        ax.plot([tss_index] * 2, [_ORIGINAL + 0.14, _TOP - 0.04], color=BLACK, lw=1.2)
        ax.text(tss_index + 4, _TOP - 0.04, "TSS", fontsize=7, va="center")


def _finish(ax: Axes, line: _Line, tss_index: int | None) -> None:
    example, offset = line.example, tss_index or 0
    if line.first:
        after = float(str(example["p_true_after"]))
        ax.set_title(
            f"{example['attack']} · {example['choice']} · {example['id']}, class "
            f"{example['label']} · P(true class) {_p_before(example):.3f} → {after:.3f}, "
            f"{example['n_edits']} edit{'' if example['n_edits'] == 1 else 's'}"
        )
    ax.set_xlim(line.start - 1, max(line.stop, line.start + WIDTH))
    ax.set_ylim(0, _TOP)
    first = -(-(line.start - offset) // 10) * 10
    ticks = np.arange(first + offset, line.stop, 10)
    ax.set_xticks(ticks, [f"{tick - offset:+d}".replace("-", "−").replace("+0", "0")
                          if tss_index is not None else str(tick) for tick in ticks],
                  fontsize=8)  # fmt: skip
    ax.set_yticks(
        [0, 0.5, 1, _ADVERSARY, _ORIGINAL], ["0", "0.5", "1", "adversary", "original"], fontsize=8
    )
    ax.set_ylabel("P(true class)", y=0.2, fontsize=8)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=2)
