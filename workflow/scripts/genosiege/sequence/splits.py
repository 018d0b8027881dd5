"""One split of a prepared task, with what was made of it."""

from collections.abc import Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege import files
from genosiege.errors import InputError
from genosiege.sequence.tokenizer import Tokens


class Split(NamedTuple):
    """Sequences (n), their labels (n,), features (n, h) where they were cached, and ids (n)."""

    sequences: list[str]
    labels: NDArray[np.int64]
    features: NDArray[np.float32] | None = None
    ids: Sequence[str] | None = None


def read_split(table: str | PathLike[str], features: str | PathLike[str] | None = None) -> Split:
    """Read a prepared split and, where given, its cached features.

    Raises
    ------
    InputError
        If a file is missing or damaged, or the two differ in length.
    """
    rows = files.read_parquet(table)
    split = Split(
        rows["sequence"].tolist(), rows["label"].to_numpy(np.int64), None, rows["id"].tolist()
    )
    if features is None:
        return split
    cached = files.read_tensors(features)["features"].numpy()
    if len(cached) != len(rows):
        raise InputError(
            f"{features}: {len(cached)} rows, but {table} has {len(rows)}; remove it and rerun."
        )
    return split._replace(features=cached)


def write_tokens(tokens: Tokens, pad_id: int, path: str | PathLike[str]) -> None:
    """Write `input_ids` (n, T) int32, padded, and `lengths` (n,)."""
    input_ids, _ = tokens.padded(None, pad_id)
    files.write_tensors({"input_ids": input_ids.astype(np.int32), "lengths": tokens.lengths}, path)


def read_tokens(path: str | PathLike[str]) -> Tokens:
    """Read what `write_tokens` wrote.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    tensors = files.read_tensors(path)
    input_ids, lengths = tensors["input_ids"].numpy(), tensors["lengths"].numpy()
    real = np.arange(input_ids.shape[1]) < lengths[:, None]
    return Tokens(input_ids[real], np.concatenate([[0], np.cumsum(lengths)]))
