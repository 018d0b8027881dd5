"""Prepare one division of a dataset: samples split, genes chosen, values scaled."""

from genosiege import runtime
from genosiege.expression import datasets

with runtime.script(snakemake):
    given, names = snakemake.params.files, snakemake.wildcards
    prepared = datasets.prepare(
        snakemake.params.dataset,
        given["matrix"],
        given.get("samples"),
        int(names.seed),
        names.dataset,
    )
    datasets.write(prepared, snakemake.output)
