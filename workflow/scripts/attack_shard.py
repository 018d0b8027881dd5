"""Attack one shard of a sample with all attack seeds."""

from pathlib import Path

from genosiege import files, runtime
from genosiege.sequence import attacks, campaign, encoders, tables
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.journal import Journal, fingerprint
from genosiege.sequence.oracle import Oracle

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params = snakemake.input, snakemake.params
    sample = tables.read(given.sample, tables.SAMPLE_COLUMNS)
    shard = tables.shard_of(
        sample, int(snakemake.wildcards.shard), params.n_shards, params.shard_size
    )
    parts = [given.model, given.description, *given.motifs, *given.variants]
    job = fingerprint(
        [files.sha256(path) for path in parts],
        shard.to_dict("records"),
        {name: value for name, value in params.items() if "shard" not in name},
        runtime.device().type,
    )
    output = Path(snakemake.output.shard)
    journal = Journal(output.with_suffix(".state"), job)
    model = encoders.load(given.model, params.encoder, given.encoder)
    oracle = Oracle(model, **params.compute)
    rows = campaign.attack_sample(
        model,
        shard,
        attacks.load(params.attack),
        Constraints.from_config(params.constraints, params.tss_index),
        params.attack_seeds,
        oracle,
        journal,
    )
    files.write_parquet(rows, output, oracle.settings)
    journal.close()
