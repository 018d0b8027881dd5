"""Which sequences share a forward."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# A longer batch than this is cut where padding would exceed the share below.
_FREE_ROWS = 16
_LARGEST_PADDING = 0.05


def batches(lengths: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Group sequences of similar length.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
        Tokens of each sequence.
    batch_size : int
        Most sequences in a group.

    Yields
    ------
    ndarray of int
        Indices of one group, shortest first. A group of more than 16 ends where padding
        would exceed 5 % of it; smaller ones would cost more than the padding.
    """
    order = np.argsort(lengths, kind="stable")
    start, filled = 0, 0
    for end, length in enumerate(lengths[order].tolist()):
        size = end - start
        padded = length * (size + 1)
        wasteful = size >= _FREE_ROWS and padded - filled - length > _LARGEST_PADDING * padded
        if size == batch_size or wasteful:
            yield order[start:end]
            start, filled = end, 0
        filled += length
    if start < len(order):
        yield order[start:]
