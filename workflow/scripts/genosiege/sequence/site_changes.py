"""Motif sites that edits break or make, counted for many sequences at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genosiege.sequence.motifs import Motif

TOLERANCE = 1e-9
"""Sums of scores are rounded: this far below the threshold still is the threshold."""


class SiteChanges:
    """Counts the sites that sets of edits break or make in their originals.

    Parameters
    ----------
    codes : ndarray of int8, shape (n, L)
        One original per set of edits: 0 to 3 for ACGT, -1 for N and behind the end.
    motifs : sequence of Motif
        What is looked for; entries of one name (two strands) are counted together.
    tss_index : int or None
        0-based transcription start site. Motifs with a fixed distance to it are left out
        where it is not known.

    Attributes
    ----------
    names : list of str
        The motifs looked for, in the order of `motifs`.
    """

    def __init__(
        self, codes: NDArray[np.int8], motifs: Sequence[Motif], tss_index: int | None
    ) -> None:
        self._codes = codes
        self._motifs = [m for m in motifs if m.start_from_tss is None or tss_index is not None]
        self.names = list(dict.fromkeys(motif.name for motif in self._motifs))
        self._before = [_window_scores(codes, m, tss_index).ravel() for m in self._motifs]
        self._shift = np.zeros(codes.size)

    def count(
        self, owner: NDArray[np.int64], position: NDArray[np.int64], new: NDArray[np.int8]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Count sites lost and created.

        Parameters
        ----------
        owner, position, new : ndarray, shape (m,)
            For each edit the set that it belongs to, its 0-based place and its new base (0
            to 3). A set edits a place once at most.

        Returns
        -------
        lost, created : ndarray, shape (n, len(names))
            Sites of the original that are none any more; sites that were none before.
        """
        n, length = self._codes.shape
        lost, created = np.zeros((2, n, len(self.names)))
        old = self._codes[owner, position]
        for motif, before in zip(self._motifs, self._before, strict=True):
            offsets = np.arange(len(motif.scores))
            start = position[:, None] - offsets
            gain = motif.scores[offsets, new[:, None]] - motif.scores[offsets, old[:, None]]
            # Before the first base lie the windows of the set before: none of them counts.
            inside = start >= 0
            window = (owner[:, None] * length + start)[inside]
            # Edits of one set may share a window, where their gains add up.
            np.add.at(self._shift, window, gain[inside])
            score = before[window]
            was = score >= motif.threshold - TOLERANCE
            is_now = score + self._shift[window] >= motif.threshold - TOLERANCE
            self._shift[window] = 0
            name = self.names.index(motif.name)
            for table, changed in ((lost, was & ~is_now), (created, is_now & ~was)):
                table[:, name] += np.bincount(np.unique(window[changed]) // length, minlength=n)
        return lost, created


def _window_scores(
    codes: NDArray[np.int8], motif: Motif, tss_index: int | None
) -> NDArray[np.float64]:
    """Score a motif at every start (n, L); minus infinity where it cannot stand."""
    width = len(motif.scores)
    # The code -1 finds the last column: N matches nothing.
    padded = np.column_stack([motif.scores, np.full(width, -np.inf)])
    scores = np.full(codes.shape, -np.inf)
    starts = range(codes.shape[1] - width + 1)
    if motif.start_from_tss is not None and tss_index is not None:
        fixed = tss_index + motif.start_from_tss
        starts = range(fixed, fixed + 1) if fixed in starts else range(0)
    if starts:
        scores[:, starts.start : starts.stop] = sum(
            padded[i][codes[:, starts.start + i : starts.stop + i]] for i in range(width)
        )
    return scores
