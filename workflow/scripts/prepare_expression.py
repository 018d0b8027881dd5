"""Prepare one division of a dataset: samples split, genes chosen, values scaled."""

from genosiege import runtime
from genosiege.expression import datasets

with runtime.script(snakemake):
    names = snakemake.wildcards
    # A user's own files by their own names, where a rule has links to them.
    given = dict(snakemake.input.items()) | snakemake.params.own
    prepared = datasets.prepare(
        snakemake.params.dataset,
        given["matrix"],
        given.get("samples"),
        int(names.seed),
        names.dataset,
    )
    datasets.write(prepared, snakemake.output)
