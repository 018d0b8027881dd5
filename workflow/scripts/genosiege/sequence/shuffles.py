"""Edits as arrays, and the same number of edits put at random: what a null is made of."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege.sequence.constraints import BASES, Bound, Constraints
from genosiege.sequence.positions import single_edits

Shuffle = tuple[NDArray[np.int64], NDArray[np.int8]]
"""Position and new base of each edit, shape (m,)."""

AT_ONCE = 50
"""Shuffles drawn together: enough to keep numpy busy, few enough for the memory."""

_CODES = np.full(128, -1, dtype=np.int8)
_CODES[[ord(base) for base in BASES]] = range(4)


@dataclass(frozen=True)
class Edited:
    """The edits of some rows of attack tables; r rows, s sequences, m edits.

    Bases are coded 0 to 3 as ACGT, so that flipping the second bit is a transition.

    Attributes
    ----------
    codes : ndarray of int8, shape (s, L)
        The originals; -1 for N and behind a sequence's end.
    sequence : ndarray, shape (r,)
        The sequence of each row.
    row, position, new : ndarray, shape (m,)
        The row of each edit, its 0-based place and its new base.
    place : ndarray, shape (m,)
        Number of the edit's (sequence, position) among the distinct ones: rows of one
        sequence, from other seeds, share the places that they both edit.
    change : ndarray, shape (m,)
        The same for (sequence, position, new base).
    place_sequence, place_rank : ndarray
        The sequence of each distinct place, and its number there, from 0.
    editable : list of ndarray
        For each sequence the positions that may be edited.
    """

    codes: NDArray[np.int8]
    sequence: NDArray[np.int64]
    row: NDArray[np.int64]
    position: NDArray[np.int64]
    new: NDArray[np.int8]
    place: NDArray[np.int64]
    change: NDArray[np.int64]
    place_sequence: NDArray[np.int64]
    place_rank: NDArray[np.int64]
    editable: list[NDArray[np.int64]]

    @property
    def old(self) -> NDArray[np.int8]:
        """The base that each edit replaces, shape (m,)."""
        return self.codes[self.sequence[self.row], self.position]


def encode(sequences: "pd.Series[str]") -> NDArray[np.int8]:
    """Code sequences as 0 to 3 for ACGT and -1 otherwise, filled with -1 to one length."""
    codes = np.full((len(sequences), int(sequences.str.len().max())), -1, dtype=np.int8)
    for i, text in enumerate(sequences):
        codes[i, : len(text)] = _CODES[np.frombuffer(text.encode("ascii"), dtype=np.uint8)]
    return codes


def edited(rows: pd.DataFrame, rules: Constraints) -> Edited:
    """Bring the edits of attack rows into arrays.

    Parameters
    ----------
    rows : pandas.DataFrame
        `id`, `original` and `edits` (at least one in each row). Rows of equal `id` have equal
        originals.
    rules : Constraints
        Say which positions may be edited.
    """
    rows = rows.reset_index(drop=True)
    _, first, sequence = np.unique(rows["id"], return_index=True, return_inverse=True)
    originals = rows["original"].iloc[first]
    edits = single_edits(rows["edits"])
    row, position = edits.index.to_numpy(), edits["position"].to_numpy()
    new = _CODES[[ord(base) for base in edits["new"]]]
    codes = encode(originals)
    places, place = np.unique(sequence[row] * codes.shape[1] + position, return_inverse=True)
    place_sequence = places // codes.shape[1]
    change = np.unique(place * 4 + new, return_inverse=True)[1]
    begin = np.searchsorted(place_sequence, place_sequence)
    editable = [
        # What an attack did edit could be edited, whatever the rules are today.
        np.union1d(_editable(rules.bind(text)), places[place_sequence == i] % codes.shape[1])
        for i, text in enumerate(originals)
    ]
    rank = np.arange(len(places)) - begin
    return Edited(
        codes, sequence, row, position, new, place, change, place_sequence, rank, editable
    )


def _editable(rules: Bound) -> list[int]:
    """Give the positions at which some single substitution breaks no hard rule."""
    return sorted({p for p, base in rules.substitutions() if rules.allows({p: base})})


def shuffled(
    found: Edited, transition_share: float, n: int, generator: np.random.Generator
) -> Iterator[Shuffle]:
    """Put the edits at random positions, with random new bases.

    Kept are each sequence and row's number of edits, and which places and changes its rows
    share. A place moves to an editable position of the same sequence, no two to one; a
    change there is a transition with the given probability, else either transversion.

    Parameters
    ----------
    found : Edited
        The edits.
    transition_share : float
        Probability of a transition.
    n : int
        Number of shuffles.
    generator : numpy.random.Generator
        Where they come from.

    Yields
    ------
    position, new : ndarray, shape (m,)
        The edits of one shuffle, in the order of `found`.
    """
    counts = np.bincount(found.place_sequence)
    sizes = np.array([len(positions) for positions in found.editable])
    table = np.zeros((len(sizes), sizes.max()), dtype=np.int64)
    for i, positions in enumerate(found.editable):
        table[i, : len(positions)] = positions
    owner = found.sequence[found.row]
    for begin in range(0, n, AT_ONCE):
        draws = min(AT_ONCE, n - begin)
        drawn = distinct(sizes, int(counts.max()), draws, generator)
        for chosen in drawn:
            places = table[found.place_sequence, chosen[found.place_sequence, found.place_rank]]
            position = places[found.place]
            # Of the codes, bit 2 apart is a transition, and 1 or 3 a transversion.
            chance = generator.random((found.change.max(initial=-1) + 1, 2))
            other = np.where(chance[:, 1] < 0.5, 1, 3)
            step = np.where(chance[:, 0] < transition_share, 2, other)[found.change]
            yield position, (found.codes[owner, position] ^ step).astype(np.int8)


def distinct(
    sizes: NDArray[np.int64], k: int, n: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw ordered samples without replacement, many at once.

    Parameters
    ----------
    sizes : ndarray, shape (s,)
        Each sample is of the numbers 0 to size - 1.
    k : int
        Numbers in a sample; of a smaller range, only the first `size` numbers are distinct.
    n : int
        Samples for each of `sizes`.
    generator : numpy.random.Generator
        Where they come from.

    Returns
    -------
    ndarray of int, shape (n, s, k)
    """
    taken = np.empty((n, len(sizes), k), dtype=np.int64)
    for i in range(k):
        # One of those left over, counted on past the ones taken, from the smallest up.
        draw = (generator.random((n, len(sizes))) * np.maximum(sizes - i, 1)).astype(np.int64)
        for earlier in np.moveaxis(np.sort(taken[..., :i], axis=-1), -1, 0):
            draw += draw >= earlier
        taken[..., i] = draw
    return taken
