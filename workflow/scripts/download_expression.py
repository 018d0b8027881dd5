"""Fetch one part of a dataset, or simulate it."""

from genosiege import runtime
from genosiege.data import download

with runtime.script(snakemake):
    download.fetch(snakemake.params.source, snakemake.wildcards.part, snakemake.output.file)
