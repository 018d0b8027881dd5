"""The first part of an attack: search for adversaries of a sample, or of one shard of it."""

from pathlib import Path
from typing import Any

import pandas as pd

from genosiege import files, parts, runtime
from genosiege.parts import Part
from genosiege.sequence import attacks, campaign, encoders, tables
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.journal import Journal, fingerprint
from genosiege.sequence.oracle import Oracle

KEY = "search"
"""Metadata of what a search has found: the digest of all that it hangs on."""


def found_beside(table: str) -> Path:
    """Name the file of what was found, beside the table that is made of it."""
    return Path(table).with_suffix("") / "search.parquet"


def search(job: Any, rows: pd.DataFrame, found: Path) -> None:
    """Attack with all attack seeds, unless `found` is of this very search.

    Parameters
    ----------
    job : Snakemake's object, or Part
        Of a rule with a model and the parameters of an attack.
    rows : pandas.DataFrame
        `tables.SAMPLE_COLUMNS` of what is attacked.
    found : Path
        The file to be made: `tables.SHARD_COLUMNS`.
    """
    runtime.use(threads=job.threads)
    given, params = job.input, job.params
    read = [given.model, given.description, *given.motifs, *given.variants]
    names = ("encoder", "attack", "constraints", "tss_index", "attack_seeds", "compute")
    key = fingerprint(
        [files.sha256(path) for path in read],
        rows.to_dict("records"),
        {name: params.get(name) for name in names},
        # Where the search is a part of an attack, without the code of the other part.
        params.get("search_code", params.code),
        runtime.device().type,
        runtime.made_with()["versions"],
    )
    if found.is_file() and files.parquet_metadata(found, [KEY]) == {KEY: key}:
        return
    journal = Journal(found.with_suffix(".state"), key)
    model = encoders.load(given.model, params.encoder, given.encoder)
    oracle = Oracle(model, **params.compute)
    attacked = campaign.attack_sample(
        model,
        rows,
        attacks.load(params.attack),
        Constraints.from_config(params.constraints, params.tss_index),
        params.attack_seeds,
        oracle,
        journal,
    )
    files.write_parquet(attacked, found, oracle.settings | {KEY: key})
    journal.close()


def whole(part: Part) -> None:
    """Search the whole sample."""
    sample = tables.read(part.input.sample, tables.SAMPLE_COLUMNS)
    search(part, sample, found_beside(part.output.table))


if __name__ == "__main__":
    parts.main(whole)
