"""Validate a task's splits, divide and subsample them, and describe them in a card."""

from genosiege import files, runtime
from genosiege.data import gue

with runtime.script(snakemake):
    prepared = gue.prepare(
        {split: snakemake.input[split] for split in gue.SPLITS},
        n_classes=snakemake.params.n_classes,
        how=gue.Reading(**snakemake.params.reading),
        **snakemake.params.samples,
        names=snakemake.params.names,
        split=snakemake.params.split,
        leakage=snakemake.params.leakage,
    )
    for split, table in prepared.tables.items():
        files.write_parquet(table, snakemake.output[split])
    files.write_json({"task": snakemake.wildcards.task, **prepared.card}, snakemake.output.card)
