"""Prepare one division of a dataset: samples split, genes chosen, values scaled."""

from genosiege import files, runtime
from genosiege.expression import datasets, samples

with runtime.script(snakemake.log[0]):
    runtime.use(threads=snakemake.threads)
    given, made, names = snakemake.input, snakemake.output, snakemake.wildcards
    prepared = datasets.prepare(
        snakemake.params.dataset, given.matrix, given.get("samples"), int(names.seed), names.dataset
    )
    for split in ("train", "dev", "test"):
        samples.write(getattr(prepared, split), prepared.groups[split], made[split])
    files.write_parquet(prepared.genes, made.genes)
    files.write_json(prepared.card, made.card)
