"""Find rows that are relatives: shifted copies, other strands, chimeras of each other.

Two rows are relatives if they share enough *aligned blocks* (block i of one equals block i of the
other, as in a chimera that keeps blocks of its parent), or an exact *k-mer* on either strand (as
in a shifted or reversed copy), or if they are identical. Blocks and k-mers with an N never
count, nor does a rest shorter than a block. Groups are the connected components of that relation.

Nowhere are all pairs compared. A k-mer connects its rows as a star. Candidates for shared blocks
come from prefix filtering (Chaudhuri, Ganti & Kaushik 2006, ICDE): with blocks in a common order,
rarest first, two rows of which one has n blocks and which share s share one of its first n - s + 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from genosiege.data.windows import Text, number

_CHUNK_PAIRS = 10_000_000
"""Candidate pairs that are looked at in one go; bounds the memory."""


@dataclass(frozen=True)
class Definition:
    """What makes two rows relatives.

    Attributes
    ----------
    block_length : int
        Length of an aligned block, in bp.
    shared_blocks : int
        Equal blocks at equal places that make relatives.
    shared_kmer : int
        Length, in bp, of a stretch on either strand that makes relatives.
    """

    block_length: int = 15
    shared_blocks: int = 8
    shared_kmer: int = 60


Bits = NDArray[np.unsignedinteger]
"""Sets of up to 64 parts of the data, one for each row or sequence."""


class Reach(NamedTuple):
    """Which parts of the data a row's direct relatives lie in, by what makes them relatives.

    Each is an array of shape (rows,): the bits of all parts that hold a relative. The row's own
    bits may be set as well, so ask only for parts that the row is not in.
    """

    blocks: Bits
    kmer_forward: Bits
    kmer: Bits
    any: Bits


class Sharing(NamedTuple):
    """Pairs of distinct sequences that share enough blocks, each of shape (pairs,)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    n_shared: NDArray[np.int64]


@dataclass(frozen=True)
class Relations:
    """What rows share, kept so that groups and reach can be asked for.

    Attributes
    ----------
    sequence : numpy.ndarray
        Number of each row's sequence, shape (rows,); the other attributes speak of the
        distinct sequences.
    blocks : scipy.sparse.csr_array
        Which sequence has which block at which place, shape (sequences, blocks). Blocks and
        sequences that cannot matter are empty.
    kmers, forward_kmers : scipy.sparse.csr_array
        Which sequence has which k-mer that another has too, shape (sequences, k-mers): with
        both strands as one, and as it is written.
    n_blocks : numpy.ndarray
        Blocks of each sequence, shared or not, shape (sequences,): as many as a twin shares.
    has_kmer : numpy.ndarray
        Whether a sequence is long enough for a relative of this sort, shape (sequences,).
    shared_blocks : int
        See `Definition`.
    """

    sequence: NDArray[np.int64]
    blocks: csr_array
    kmers: csr_array
    forward_kmers: csr_array
    n_blocks: NDArray[np.int64]
    has_kmer: NDArray[np.bool_]
    shared_blocks: int

    def groups(self) -> NDArray[np.int64]:
        """Give each row the number of its group, shape (rows,).

        Groups are numbered by their first row; that apart, the order of rows is of no matter.
        """
        n, n_kmers = self.kmers.shape
        nothing = np.zeros(n, dtype=np.uint8)
        by_blocks, _ = _join(self.blocks, self.shared_blocks, nothing)
        edges = self.kmers.tocoo()
        first = np.concatenate([edges.row, np.arange(n)])
        # K-mers and block components are nodes too: a star has few edges where pairs are many.
        second = np.concatenate([n + edges.col, n + n_kmers + by_blocks])
        components = _components(n + n_kmers + n, first, second)
        return pd.factorize(components[self.sequence])[0].astype(np.int64)

    def reach(self, parts: Bits) -> Reach:
        """Say in which parts of the data each row has relatives.

        Parameters
        ----------
        parts : numpy.ndarray
            The parts of each row as bits of an unsigned type, shape (rows,); 0 is none.
        """
        own = np.zeros(self.kmers.shape[0], dtype=parts.dtype)
        np.bitwise_or.at(own, self.sequence, parts)
        _, joined = _join(self.blocks, self.shared_blocks, own)
        blocks = np.where(self.n_blocks >= self.shared_blocks, joined, 0).astype(parts.dtype)
        # Identical rows are one sequence here, and share its k-mers where it has any.
        twins = np.where(self.has_kmer, own, 0).astype(parts.dtype)
        kmer = twins | _reach_through(self.kmers, own)
        forward = twins | _reach_through(self.forward_kmers, own)
        masks = (blocks, forward, kmer, own | blocks | kmer)
        return Reach(*(mask[self.sequence] for mask in masks))

    def sharing(self) -> Iterator[Sharing]:
        """Yield all pairs of distinct sequences that share enough blocks, each once, in chunks."""
        pending = _prefixes(self.blocks, self.shared_blocks)
        order = np.arange(pending.shape[0])
        while pending.nnz:
            chunk = _next_chunk(pending, order)
            left = np.ones(len(order), dtype=bool)
            left[chunk] = False
            found = _related(self.blocks, pending, chunk, self.shared_blocks)
            # Within a chunk each pair is met twice, and each sequence meets itself.
            once = left[found.second] | (found.first < found.second)
            yield Sharing(*(column[once] for column in found))
            pending = _keep_rows(pending, left)


def find(sequences: Sequence[str], definition: Definition | None = None) -> Relations:
    """Find what rows share.

    Parameters
    ----------
    sequences : sequence of str
        Upper case ACGTN, of any lengths.
    definition : Definition, optional
        What makes relatives; by default eight blocks of 15 bp, or a 60-mer.

    Returns
    -------
    Relations
        Ask it for `groups` and `reach`. Time and memory are linear in the bases unless very
        many rows share nearly enough blocks.
    """
    definition = definition or Definition()
    codes, distinct = pd.factorize(np.asarray(sequences, dtype=object))
    text = Text.of(distinct.tolist())
    blocks, n_blocks = _blocks(text, definition)
    kmers, forward, has_kmer = _kmers(text, definition.shared_kmer)
    return Relations(
        sequence=codes.astype(np.int64),
        blocks=blocks,
        kmers=kmers,
        forward_kmers=forward,
        n_blocks=n_blocks,
        has_kmer=has_kmer,
        shared_blocks=definition.shared_blocks,
    )


def _blocks(text: Text, definition: Definition) -> tuple[csr_array, NDArray[np.int64]]:
    length, shared = definition.block_length, definition.shared_blocks
    counts = text.lengths // length
    rows = np.repeat(np.arange(len(counts)), counts)
    index = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = text.starts[rows] + index * length
    known = text.known(starts, length)
    rows, index, starts = rows[known], index[known], starts[known]
    n_blocks = np.bincount(rows, minlength=len(counts))
    tokens = number([*text.words(starts, length), index])
    incidence = _incidence(rows, tokens, len(counts))
    # Each pass may leave sequences with too few blocks, whose blocks then become single ones.
    for _ in range(3):
        enough = np.diff(incidence.indptr) >= shared
        incidence = _shared_columns(_keep_rows(incidence, enough))
    return _keep_rows(incidence, np.diff(incidence.indptr) >= shared), n_blocks


def _kmers(text: Text, length: int) -> tuple[csr_array, csr_array, NDArray[np.bool_]]:
    n = len(text.lengths)
    starts, has_kmer = text.repeated_windows(length)
    rows = text.sequence_at(starts)
    canonical, reversed_ = text.canonical_words(starts, length)
    tokens = number(canonical)
    both = _shared_columns(_incidence(rows, tokens, n))
    forward = _shared_columns(_incidence(rows, 2 * tokens + reversed_, n))
    return both, forward, has_kmer


def _incidence(rows: NDArray[np.int64], columns: NDArray[np.int64], n_rows: int) -> csr_array:
    """Make the sparse matrix that is 1 where a row has a column, however often."""
    shape = (n_rows, int(columns.max(initial=-1)) + 1)
    matrix = coo_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape).tocsr()
    matrix.data[:] = 1
    return matrix


def _keep_rows(matrix: csr_array, kept: NDArray[np.bool_]) -> csr_array:
    """Empty the rows that are not kept."""
    return _select(matrix, np.repeat(kept, np.diff(matrix.indptr)))


def _shared_columns(matrix: csr_array) -> csr_array:
    """Drop the columns that fewer than two rows have, and number the others anew."""
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    kept = _select(matrix, counts[matrix.indices] > 1)
    numbers = np.cumsum(counts > 1) - 1
    shape = (matrix.shape[0], int((counts > 1).sum()))
    return csr_array((kept.data, numbers[kept.indices], kept.indptr), shape)


def _select(matrix: csr_array, entries: NDArray[np.bool_]) -> csr_array:
    """Keep these stored entries of a matrix."""
    before = np.concatenate([[0], np.cumsum(entries)])
    parts = (matrix.data[entries], matrix.indices[entries], before[matrix.indptr])
    return csr_array(parts, matrix.shape)


def _reach_through(matrix: csr_array, own: Bits) -> Bits:
    """Give each row the bits of all rows it has a column in common with."""
    columns = _reduced(np.bitwise_or, own, matrix.T.tocsr())
    return _reduced(np.bitwise_or, columns, matrix)


def _reduced(operation: np.ufunc, values: NDArray[Any], matrix: csr_array) -> NDArray[Any]:
    """Reduce, for each row of a matrix, the values of its columns; 0 where it has none."""
    result = np.zeros(matrix.shape[0], dtype=values.dtype)
    filled = np.diff(matrix.indptr) > 0
    if filled.any():
        # Between the starts of two filled rows lie the entries of the first alone.
        result[filled] = operation.reduceat(values[matrix.indices], matrix.indptr[:-1][filled])
    return result


def _join(blocks: csr_array, shared: int, own: Bits) -> tuple[NDArray[np.int64], Bits]:
    """Connect the rows that share enough columns.

    Returns the component of each row and the bits of `own` over its direct relatives and itself.
    Rows are taken in chunks, in random order. A column whose rows are known to be connected, and
    to reach each other's bits, has nothing left to tell, so that a family of thousands is
    settled by a few of its members.
    """
    n = blocks.shape[0]
    components = np.arange(n)
    reach = own.copy()
    # Any order gives the same answer.
    rank = np.random.default_rng(0).permutation(n)
    pending = _prefixes(blocks, shared)
    while (pending := _informative(pending, components, own, reach)).nnz:
        chunk = _next_chunk(pending, rank)
        first, second, _ = _related(blocks, pending, chunk, shared)
        np.bitwise_or.at(reach, first, own[second])
        np.bitwise_or.at(reach, second, own[first])
        # What was connected stays so, as a star around one row of each component.
        centres = np.unique(components, return_index=True)[1][components]
        edges = np.concatenate([first, np.arange(n)]), np.concatenate([second, centres])
        components = _components(n, *edges)
        left = np.ones(n, dtype=bool)
        left[chunk] = False
        pending = _keep_rows(pending, left)
    return components, reach


def _related(
    blocks: csr_array, pending: csr_array, chunk: NDArray[np.int64], shared: int
) -> Sharing:
    """Find the pairs of a row of the chunk and a pending one that share enough columns."""
    product = (pending[chunk] @ pending.T).tocoo()
    first, second = chunk[product.row], product.col
    n_shared = _overlaps(blocks, first, second)
    related = n_shared >= shared
    return Sharing(first[related], second[related], n_shared[related])


def _prefixes(blocks: csr_array, shared: int) -> csr_array:
    """Keep of each row its rarest columns, all but `shared` - 1 of them."""
    counts = np.bincount(blocks.indices, minlength=blocks.shape[1])
    rows = np.repeat(np.arange(blocks.shape[0]), np.diff(blocks.indptr))
    order = np.lexsort((blocks.indices, counts[blocks.indices], rows))
    place = np.arange(blocks.nnz) - blocks.indptr[rows]
    kept = np.zeros(blocks.nnz, dtype=bool)
    kept[order] = place < np.diff(blocks.indptr)[rows] - shared + 1
    return _select(blocks, kept)


def _informative(
    pending: csr_array,
    components: NDArray[np.int64],
    own: Bits,
    reach: Bits,
) -> csr_array:
    """Drop the columns whose rows are all connected and reach all bits among them."""
    columns = pending.T.tocsr()
    apart = _reduced(np.minimum, components, columns) != _reduced(np.maximum, components, columns)
    unreached = _reduced(np.bitwise_or, own, columns) & ~_reduced(np.bitwise_and, reach, columns)
    return _select(pending, (apart | (unreached > 0))[pending.indices])


def _next_chunk(pending: csr_array, rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Choose the next rows, as many as make `_CHUNK_PAIRS` candidate pairs at most."""
    counts = np.bincount(pending.indices, minlength=pending.shape[1])
    rows = np.flatnonzero(np.diff(pending.indptr))
    rows = rows[np.argsort(rank[rows])]
    pairs = pending @ counts
    within = int(np.searchsorted(np.cumsum(pairs[rows]), _CHUNK_PAIRS, side="right"))
    return rows[: max(within, 1)]


def _overlaps(
    matrix: csr_array, first: NDArray[np.int64], second: NDArray[np.int64], chunk: int = 500_000
) -> NDArray[np.int64]:
    """Count the columns that the rows of each pair share."""
    counts = [
        matrix[first[start : start + chunk]].multiply(matrix[second[start : start + chunk]]).sum(1)
        for start in range(0, len(first), chunk)
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *counts])


def _components(n: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each of n nodes the number of its connected component."""
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), (n, n))
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels
