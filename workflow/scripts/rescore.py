"""Gather an attack's shards and score the adversaries again, from their strings alone."""

from genosiege import files, runtime
from genosiege.sequence import attacks, encoders, known_truth, rescoring, results, tables
from genosiege.sequence.constraints import Constraints

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params = snakemake.input, snakemake.params
    max_edits = attacks.load(params.attack).options.max_edits
    rescored = rescoring.rescore(
        encoders.load(given.model, params.encoder, given.encoder),
        tables.gather_shards(
            given.shards, tables.read(given.sample, tables.SAMPLE_COLUMNS), params.attack_seeds
        ),
        Constraints.from_config(params.constraints, params.tss_index),
        max_edits,
        params.batch_size,
    )
    files.write_parquet(
        known_truth.with_truth(rescored.rows, params.truth),
        snakemake.output.table,
        {
            **files.parquet_metadata(given.shards[0], results.SEARCHED),
            "search_flips_lost": str(rescored.search_flips_lost),
            "max_edits": str(max_edits),
        },
    )
