"""Compare stretches of many sequences at once, without a loop over sequences or stretches.

All sequences stand in one array of base codes, an N between each two, so that a stretch that
leaves its sequence is one with an N. A stretch is exactly its packed words, two bits for a base;
hashes only say which stretches are worth packing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Words = list[NDArray[np.uint64]]

_WORD = 32
"""Bases in a word of 64 bits."""

_CHUNK = 2_000_000
"""Positions that are hashed at once; bounds the memory."""

_UNKNOWN = 4
_CODES = np.full(256, _UNKNOWN, dtype=np.uint8)
_CODES[np.frombuffer(b"ACGT", dtype=np.uint8)] = np.arange(4)
_COMPLEMENT = np.array([3, 2, 1, 0, _UNKNOWN], dtype=np.uint8)

# Any odd multiplier and any values will do. Drawn once for all, so that all runs are alike.
_VALUES = np.random.default_rng(0).integers(1 << 64, size=5, dtype=np.uint64)
_BASE = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Text:
    """Many sequences as one array.

    Attributes
    ----------
    codes : numpy.ndarray
        A, C, G, T as 0 to 3, anything else 4; after each sequence stands a 4.
    starts, lengths : numpy.ndarray
        Where each sequence starts, and its length, shape (sequences,).
    n_unknown : numpy.ndarray
        How many 4 stand before each position, shape (positions + 1,).
    """

    codes: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    n_unknown: NDArray[np.int32]

    @classmethod
    def of(cls, sequences: Sequence[str]) -> Self:
        """Write sequences one after the other."""
        letters = "".join(f"{sequence}N" for sequence in sequences).encode("latin-1", "replace")
        codes = _CODES[np.frombuffer(letters, dtype=np.uint8)]
        lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
        starts = np.cumsum(lengths + 1) - lengths - 1
        n_unknown = np.zeros(len(codes) + 1, dtype=np.int32)
        np.cumsum(codes == _UNKNOWN, out=n_unknown[1:])
        return cls(codes, starts, lengths, n_unknown)

    def sequence_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the number of the sequence that each position lies in."""
        return np.searchsorted(self.starts, positions, side="right") - 1

    def known(self, positions: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        """Say of each stretch whether all its bases are known.

        It has to end within the text, at the latest at its last character.
        """
        known: NDArray[np.bool_] = self.n_unknown[positions + length] == self.n_unknown[positions]
        return known

    def words(self, positions: NDArray[np.int64], length: int, complement: bool = False) -> Words:
        """Pack each stretch, or its reverse complement.

        Parameters
        ----------
        positions : numpy.ndarray
            Where known stretches start, shape (stretches,).
        length : int
            Their length in bp.
        complement : bool
            Read the other strand.

        Returns
        -------
        list of numpy.ndarray
            As many words as it takes, each of shape (stretches,). Stretches are equal if all
            their words are.
        """
        words = []
        for first in range(0, length, _WORD):
            word = np.zeros(len(positions), dtype=np.uint64)
            for offset in range(first, min(first + _WORD, length)):
                word <<= np.uint64(2)
                if complement:
                    word |= _COMPLEMENT[self.codes[positions + (length - 1 - offset)]]
                else:
                    word |= self.codes[positions + offset]
            words.append(word)
        return words

    def canonical_words(
        self, positions: NDArray[np.int64], length: int
    ) -> tuple[Words, NDArray[np.bool_]]:
        """Pack the lesser of each stretch and its reverse complement, and say where it is that."""
        forward = self.words(positions, length)
        backward = self.words(positions, length, complement=True)
        less = np.zeros(len(positions), dtype=bool)
        equal = np.ones(len(positions), dtype=bool)
        for one, other in zip(forward, backward, strict=True):
            less |= equal & (other < one)
            equal &= other == one
        for one, other in zip(forward, backward, strict=True):
            np.copyto(one, other, where=less)
        return forward, less

    def repeated_windows(self, length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Find the stretches of a length that occur again, on either strand.

        Returns
        -------
        positions : numpy.ndarray
            Where they start, shape (stretches,). Some stretches that occur once may be among
            them, as their hashes are equal.
        has_window : numpy.ndarray
            Whether a sequence has any stretch of that length, shape (sequences,).
        """
        found = list(self._hashed(length))
        positions = np.concatenate([np.zeros(0, dtype=np.int64), *(part for part, _ in found)])
        hashes = np.concatenate([np.zeros(0, dtype=np.uint64), *(part for _, part in found)])
        del found
        has_window = np.zeros(len(self.starts), dtype=bool)
        has_window[self.sequence_at(positions)] = True
        order = np.argsort(hashes)
        hashes = hashes[order]
        equal = hashes[1:] == hashes[:-1]
        again = np.zeros(len(order), dtype=bool)
        again[1:] |= equal
        again[:-1] |= equal
        return np.sort(positions[order[again]]), has_window

    def _hashed(self, length: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
        """Yield positions and hashes, equal on both strands, of all known stretches."""
        for start in range(0, len(self.codes) - length + 1, _CHUNK):
            codes = self.codes[start : start + _CHUNK + length - 1]
            positions = np.arange(start, start + len(codes) - length + 1)
            known = self.known(positions, length)
            forward = _rolled(_VALUES[codes], length)[known]
            backward = _rolled(_VALUES[_COMPLEMENT[codes]], length, backward=True)[known]
            yield positions[known], np.minimum(forward, backward)


def number(columns: Sequence[NDArray[np.generic]]) -> NDArray[np.int64]:
    """Give each row of a table, known by its columns, a number; equal rows have equal ones."""
    order = np.lexsort(columns)
    changes = np.zeros(len(order), dtype=bool)
    for column in columns:
        ordered = column[order]
        changes[1:] |= ordered[1:] != ordered[:-1]
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.cumsum(changes)
    return numbers


def _rolled(values: NDArray[np.uint64], length: int, backward: bool = False) -> NDArray[np.uint64]:
    """Hash all stretches of a length: polynomials modulo 2^64, made by doubling.

    Parameters
    ----------
    values : numpy.ndarray
        What each position counts for, shape (positions,).
    length : int
        Length of a stretch.
    backward : bool
        Read the stretch from its end.

    Returns
    -------
    numpy.ndarray
        Shape (positions - length + 1,).
    """

    def joined(
        left: NDArray[np.uint64], n_left: int, right: NDArray[np.uint64], n_right: int
    ) -> NDArray[np.uint64]:
        right = right[n_left:]
        left = left[: len(right)]
        factor = np.uint64(pow(_BASE, n_left if backward else n_right, 1 << 64))
        return left + right * factor if backward else left * factor + right

    hashes, done = np.zeros(len(values) + 1, dtype=np.uint64), 0
    power, size = values, 1
    while done < length:
        if length & size:
            hashes, done = joined(hashes, done, power, size), done + size
        if done < length:
            power, size = joined(power, size, power, size), 2 * size
    return hashes
