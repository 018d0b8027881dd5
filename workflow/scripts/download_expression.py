"""Fetch one part of a dataset, or simulate it."""

from genosiege import runtime
from genosiege.data import download

with runtime.script(snakemake.log[0]):
    download.fetch(snakemake.params.source, snakemake.wildcards.part, snakemake.output.file)
