"""Simulate a task whose truth is known: P(sequence | label) of any string, exactly.

The model
---------
The label is 0 (background) or 1 (promoter), each with probability 1/2. A sequence then has one of
three levels of GC content, which the label makes more or less likely, and is written from left to
right. At each position an element that the sequence does not have yet begins with a probability
that depends on label and position; else one base follows, drawn from the level's first-order
Markov chain (`simulate.transition_matrices`), given the base before it. An element's bases are
drawn from its frequency matrix, each on its own. So there is at most one site per element, and
sites never overlap. The TATA box, the initiator, the GC box and the CCAAT box stand where they do
in `simulate`; background has them, too, but rarely.

The truth
---------
What is drawn like this has a likelihood that a forward algorithm sums up over all levels and
sites. Its states are the level, the elements used so far, and the last base. An N is summed over
its four bases. So the posterior of the label is known of every string, whoever wrote it, and its
more probable label, the *Bayes label*, is the best that any model can say.

Source of the algorithm: Rabiner (1989), Proc. IEEE 77, 257-286, for states with durations.
"""

import logging
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege import files, runtime
from genosiege.data import simulate
from genosiege.data.simulate import BASES, Element

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

LEVELS = (0.0, 0.35, 0.8)
"""Composition levels, see `simulate`; GC content 0.35, 0.47 and 0.61."""
LEVELS_GIVEN_LABEL = ((0.65, 0.30, 0.05), (0.15, 0.35, 0.50))
"""Share of each level among sequences of label 0, and of label 1."""


class Planted(NamedTuple):
    """An element, and how often a sequence of label 0 and of label 1 has it."""

    element: Element
    shares: tuple[float, float]


ELEMENTS = (
    Planted(simulate.GC_BOX, (0.05, 0.90)),
    Planted(simulate.CCAAT, (0.03, 0.65)),
    Planted(simulate.TATA, (0.02, 0.40)),
    Planted(simulate.INITIATOR, (0.05, 0.80)),
)


Parameters = simulate.Design
parameters = Parameters.from_source


def write(settings: Parameters, split: str, path: str | os.PathLike[str]) -> None:
    """Simulate one split and write it as CSV with the columns sequence and label."""
    rng = runtime.stream(settings.seed, split, "planted")
    n = settings.rows(split)
    # Not drawn anew for each: a split's share of promoters says nothing of one of them.
    labels = rng.permutation(np.arange(n) < n // 2).astype(np.int64)
    table = pd.DataFrame({"sequence": draw(settings, labels, rng), "label": labels})
    with files.whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    log.info("%s: %d simulated sequences, seed %d", path, len(table), settings.seed)


class Form(NamedTuple):
    """An element along sequences of one length: where it may begin, how often, with what bases."""

    element: int
    strands: tuple[Floats, ...]
    """Its frequency matrix on each strand that it is written on, equally often."""
    begins: range
    hazards: Floats
    """Shape (begins, 2): probability of each label that it begins here if it has not before."""

    @property
    def size(self) -> int:
        """Its length in bp."""
        return len(self.strands[0])


def forms(elements: Sequence[Planted], length: int, tss_index: int) -> list[Form]:
    """Lay out the elements along sequences; what would stick out of them is left away."""
    found, at_once = [], np.zeros((length, 2))
    for number, (element, shares) in enumerate(elements):
        window = np.arange(element.first, element.last + 1)
        each = np.array(shares) / len(window)
        # Evenly over the window: its part of what has not been placed yet.
        hazards = each / (1 - each * np.arange(len(window))[:, None])
        strands: tuple[Floats, ...] = (element.frequencies,)
        if element.both_strands:
            # Codes count from A to T, so the complement of code b is 3 - b.
            strands += (element.frequencies[::-1, ::-1],)
        fits = (window + tss_index >= 0) & (window + tss_index + len(strands[0]) <= length)
        if fits.any():
            first = int(window[fits][0]) + tss_index
            begins = range(first, first + int(fits.sum()))
            found.append(Form(number, strands, begins, hazards[fits]))
            at_once[begins] += hazards[fits]
    if at_once.max(initial=0) > 1:
        i, label = np.unravel_index(at_once.argmax(), at_once.shape)
        raise ValueError(
            f"at position {i} something would begin with probability {at_once[i, label]:.3g} in a "
            f"sequence of label {label}: plant less, or over wider windows"
        )
    return found


def levels() -> tuple[Floats, Floats]:
    """Give each level's matrix (levels, 4, 4), and how often it has each base (levels, 4)."""
    matrices = simulate.transition_matrices(np.array(LEVELS))
    return matrices, np.linalg.matrix_power(matrices, 256)[:, 0]


def draw(
    settings: Parameters,
    labels: NDArray[np.int64],
    rng: np.random.Generator,
    elements: Sequence[Planted] = ELEMENTS,
) -> list[str]:
    """Draw one sequence per label.

    Parameters
    ----------
    settings : Parameters
        Length and start site.
    labels : ndarray of int, shape (n,)
        0 or 1.
    rng : numpy.random.Generator
        Source of all randomness.
    elements : sequence of Planted
        What is planted.
    """
    n, length = len(labels), settings.length
    matrices, single = levels()
    level = _choose(np.array(LEVELS_GIVEN_LABEL)[labels], rng)
    layout = forms(elements, length, settings.tss_index)
    bases = np.zeros((n, length), dtype=np.intp)
    used, boundary = np.zeros((n, len(elements)), dtype=bool), np.zeros(n, dtype=np.intp)
    for i in range(length):
        rows = np.flatnonzero(boundary == i)
        drawn, reached = rng.random(len(rows)), np.zeros(len(rows))
        rest = np.ones(len(rows), dtype=bool)
        for form in layout:
            if i not in form.begins:
                continue
            hazard = form.hazards[form.begins.index(i)][labels[rows]]
            until = reached + hazard * ~used[rows, form.element]
            begins = rest & (drawn >= reached) & (drawn < until)
            strand = rng.integers(len(form.strands), size=len(rows))
            for number, frequencies in enumerate(form.strands):
                _write(bases, rows[begins & (strand == number)], i, frequencies, rng)
            boundary[rows[begins]] = i + form.size
            used[rows[begins], form.element] = True
            rest, reached = rest & ~begins, until
        follow = rows[rest]
        following = matrices[level[follow], bases[follow, i - 1]] if i else single[level[follow]]
        bases[follow, i] = _choose(following, rng)
        boundary[follow] = i + 1
    letters = np.frombuffer(BASES.encode(), dtype=np.uint8)[bases]
    return [row.tobytes().decode() for row in letters]


def _choose(probabilities: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw one column for each row of probabilities."""
    bounds = np.cumsum(probabilities, axis=1)[:, :-1]
    chosen: NDArray[np.intp] = (rng.random(len(probabilities))[:, None] >= bounds).sum(axis=1)
    return chosen


def _write(
    bases: NDArray[np.intp],
    rows: NDArray[np.intp],
    begin: int,
    frequencies: Floats,
    rng: np.random.Generator,
) -> None:
    for offset, row in enumerate(frequencies):
        drawn = _choose(np.broadcast_to(row, (len(rows), len(BASES))), rng)
        bases[rows, begin + offset] = drawn
