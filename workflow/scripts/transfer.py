"""Score the adversaries of other models, and a model's own, on that model."""

from genosiege import files, runtime
from genosiege.sequence import encoders, results, transfer

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params = snakemake.input, snakemake.params
    rows = transfer.transferred(
        encoders.load(given.model, params.encoder, given.encoder),
        snakemake.wildcards.task,
        [results.read_attack(path) for path in given.attacks],
        params.batch_size,
    )
    files.write_parquet(rows, snakemake.output.table)
