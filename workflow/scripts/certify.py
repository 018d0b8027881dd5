"""Decide for each sequence of a sample whether any set of so many edits flips it."""

from pathlib import Path

from genosiege import files, runtime
from genosiege.sequence import certificates, encoders, tables
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.journal import Journal, fingerprint
from genosiege.sequence.oracle import Oracle

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params = snakemake.input, snakemake.params
    sample = tables.read(given.sample, tables.SAMPLE_COLUMNS)
    parts = [given.model, given.description, *given.motifs]
    job = fingerprint(
        [files.sha256(path) for path in parts],
        sample.to_dict("records"),
        dict(params.items()),
        runtime.device().type,
    )
    output = Path(snakemake.output.table)
    journal = Journal(output.with_suffix(".state"), job)
    oracle = Oracle(
        encoders.load(given.model, params.encoder, given.encoder),
        precision="fp32",
        batching=params.compute["batching"],
        batch_size=params.compute["batch_size"],
    )
    rules = Constraints.from_config(params.constraints, params.tss_index)
    rows = certificates.certify(sample, rules, oracle, **params.certify, journal=journal)
    noted = {**oracle.settings, "max_edits": str(params.certify["max_edits"])}
    files.write_parquet(rows, output, noted)
    journal.close()
