"""The tables that sequence rules hand to each other: samples, shards, attack rows."""

from collections.abc import Sequence
from os import PathLike

import pandas as pd

from genosiege import files
from genosiege.errors import InputError

SAMPLE_COLUMNS = {"id": "str", "sequence": "str", "label": "int64"}

SHARD_COLUMNS = {
    "attack_seed": "int64",
    "id": "str",
    "label": "int64",
    "original": "str",
    "adversarial": "str",
    "n_edits_before_pruning": "int64",
    "flipped_in_search": "bool",
    "skipped": "bool",
    "n_queries": "int64",
    "n_queries_unique": "int64",
    "n_gradients": "int64",
    "stop_reason": "str",
}
"""What a search leaves behind; everything else is computed anew from the strings."""

ATTACK_COLUMNS = {
    "attack_seed": "int64",
    "id": "str",
    "label": "int64",
    "original": "str",
    "adversarial": "str",
    "edits": "str",
    "n_edits": "int64",
    "n_edits_before_pruning": "int64",
    "p_true_before": "float64",
    "p_true_after": "float64",
    "margin_before": "float64",
    "margin_after": "float64",
    "correct_before": "bool",
    "flipped": "bool",
    "confidence_drop": "float64",
    "success_drop": "bool",
    "success_flip": "bool",
    "gc_shift": "float64",
    "n_transitions": "int64",
    "n_transversions": "int64",
    "motifs_lost": "int64",
    "stop_codons_created": "int64",
    "plausibility": "float64",
    "n_queries": "int64",
    "n_queries_unique": "int64",
    "n_gradients": "int64",
    "status": "str",
    "stop_reason": "str",
}
"""The attack row, one per sequence of the sample and attack seed."""


def read(path: str | PathLike[str], columns: dict[str, str]) -> pd.DataFrame:
    """Read a table and check that it has the columns it is read for.

    Raises
    ------
    InputError
        If the file is missing, no parquet, or lacks a column.
    """
    table = files.read_parquet(path)
    for column in columns:
        if column not in table:
            raise InputError(f"{path}: the column {column} is missing; make this file again.")
    return table[list(columns)]


def gather_shards(paths: Sequence[str]) -> pd.DataFrame:
    """Join the shards of a sample, given in order.

    Returns
    -------
    pandas.DataFrame
        `SHARD_COLUMNS` by attack seed, then as in the sample, however it was cut.
    """
    joined = pd.concat([read(path, SHARD_COLUMNS) for path in paths], ignore_index=True)
    return joined.sort_values("attack_seed", kind="stable", ignore_index=True)


def typed(rows: list[dict[str, object]], columns: dict[str, str]) -> pd.DataFrame:
    """Make a table of rows, typed also where there are none."""
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)
