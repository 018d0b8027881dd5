"""Fetch one split of a task as it is published."""

from genosiege import runtime
from genosiege.data import download

with runtime.script(snakemake):
    download.fetch(
        snakemake.params.source,
        snakemake.wildcards.split,
        snakemake.output.table,
        rows=snakemake.params.rows,
        encoding=snakemake.params.encoding,
    )
