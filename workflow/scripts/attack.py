"""Attack a sample with all attack seeds, and score the adversaries again, from their strings."""

from genosiege import parts, runtime

with runtime.script(snakemake):
    if not snakemake.input.shards:
        parts.run("genosiege.sequence.search_part", snakemake)
    parts.run("genosiege.sequence.rescoring_part", snakemake)
