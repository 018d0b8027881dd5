"""Draw the fixed sample of a split that every attack uses."""

from genosiege import files, runtime
from genosiege.data import sampling
from genosiege.sequence import tables

with runtime.script(snakemake):
    split = tables.read(snakemake.input.split, tables.SAMPLE_COLUMNS)
    if snakemake.input.apart:
        split = sampling.without(split, tables.read(snakemake.input.apart, tables.SAMPLE_COLUMNS))
    sampling.check_offset(
        split["sequence"], snakemake.params.tss_index, f"tasks/{snakemake.wildcards.task}/tss_index"
    )
    rng = runtime.stream("attack sample", snakemake.wildcards.split)
    rows = sampling.stratified_rows(
        split["label"].to_numpy(), snakemake.params.attack_samples, rng, snakemake.params.setting
    )
    files.write_parquet(split.iloc[rows], snakemake.output.sample)
