"""The second part of an attack: score the adversaries again, from their strings alone."""

from genosiege import files, parts, runtime
from genosiege.parts import Part
from genosiege.sequence import (
    attacks,
    encoders,
    known_truth,
    rescoring,
    results,
    search_part,
    tables,
    transfer,
)
from genosiege.sequence.constraints import Constraints


def rescore(part: Part) -> None:
    """Make the table of an attack; on a hardened model, also that of the baseline's adversaries."""
    runtime.use(threads=part.threads)
    given, params, made = part.input, part.params, part.output
    model = encoders.load(given.model, params.encoder, given.encoder)
    shards = given.shards or [str(search_part.found_beside(made.table))]
    max_edits = attacks.load(params.attack).options.max_edits
    rescored = rescoring.rescore(
        model,
        tables.gather_shards(
            shards, tables.read(given.sample, tables.SAMPLE_COLUMNS), params.attack_seeds
        ),
        Constraints.from_config(params.constraints, params.tss_index),
        max_edits,
        params.batch_size,
    )
    files.write_parquet(
        known_truth.with_truth(rescored.rows, params.truth),
        made.table,
        {
            **files.parquet_metadata(shards[0], results.SEARCHED),
            "search_flips_lost": str(rescored.search_flips_lost),
            "max_edits": str(max_edits),
        },
    )
    if "replay" in made:
        sources = [results.read_attack(given.baseline)]
        rows = transfer.transferred(model, part.wildcards.task, sources, params.batch_size)
        files.write_parquet(rows, made.replay)


if __name__ == "__main__":
    parts.main(rescore)
