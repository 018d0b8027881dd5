"""Measure a baseline on the clean test split."""

from genosiege import files, runtime
from genosiege.sequence import encoders, evaluation, splits

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    which = {
        "task": names.task, "encoder": names.encoder, "seed": int(names.seed), "stage": "baseline"
    }  # fmt: skip
    measured = evaluation.evaluate(
        encoders.load(given.model, params.encoder, given.encoder),
        splits.read_split(given.test, given.get("test_features")),
        which,
        params.batch_size,
    )
    files.write_parquet(measured.predictions, snakemake.output.predictions)
    files.write_json(measured.metrics, snakemake.output.metrics)
