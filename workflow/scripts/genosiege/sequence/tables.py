"""The tables that sequence rules hand to each other: samples, shards, attack rows."""

from collections.abc import Mapping, Sequence
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
    "pruned": "str",
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
    "keeps_hard_rules": "bool",
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
    "pruned": "str",
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


def shard_of(sample: pd.DataFrame, shard: int, n_shards: int) -> pd.DataFrame:
    """Take one shard out of a sample: the rows `shard`, `shard + n_shards` and so on.

    So shards are about equally large, though the number of them is decided before anybody has
    counted the sample.
    """
    return sample.iloc[shard::n_shards]


def gather_shards(
    paths: Sequence[str], sample: pd.DataFrame, attack_seeds: Sequence[int]
) -> pd.DataFrame:
    """Join the shards of a sample, and check that nobody is missing.

    Returns
    -------
    pandas.DataFrame
        `SHARD_COLUMNS` by attack seed, then as in the sample, however it was cut.

    Raises
    ------
    InputError
        If the shards are not the sample, once for each attack seed.
    """
    joined = pd.concat([read(path, SHARD_COLUMNS) for path in paths], ignore_index=True)
    # Whoever is not of the sample comes last.
    joined["place"] = joined["id"].map({name: at for at, name in enumerate(sample["id"])})
    joined = joined.sort_values(["attack_seed", "place"], kind="stable", ignore_index=True)
    joined = joined.drop(columns="place")
    expected = [(seed, name) for seed in sorted(attack_seeds) for name in sample["id"]]
    if list(zip(joined["attack_seed"], joined["id"], strict=True)) != expected:
        raise InputError(
            f"{paths[0]}: this and its sister shards hold {len(joined)} rows that are not the "
            f"{len(expected)} of the sample; remove the shards and rerun."
        )
    return joined


def edits_text(original: str, edits: Mapping[int, str]) -> str:
    """Write an edit set as all tables have it: "12:A>G;40:C>T", by position."""
    return ";".join(f"{p}:{original[p]}>{base}" for p, base in sorted(edits.items()))


def typed(rows: list[dict[str, object]], columns: dict[str, str]) -> pd.DataFrame:
    """Make a table of rows, typed also where there are none."""
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)
