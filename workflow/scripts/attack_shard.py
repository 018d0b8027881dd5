"""Search for adversaries of one shard of a sample, with all attack seeds."""

from pathlib import Path

from genosiege import runtime
from genosiege.sequence import search_part, tables

with runtime.script(snakemake):
    sample = tables.read(snakemake.input.sample, tables.SAMPLE_COLUMNS)
    shard = int(snakemake.wildcards.shard)
    rows = tables.shard_of(sample, shard, snakemake.params.n_shards)
    search_part.search(snakemake, rows, Path(snakemake.output.shard))
