"""Tokenize the splits of a task, and check that the model can read them."""

from genosiege import files, runtime
from genosiege.sequence import input_check, splits

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, names = snakemake.input, snakemake.wildcards
    reader = input_check.Reader(
        names.encoder,
        names.task,
        snakemake.params.encoder,
        given.encoder,
        snakemake.params.n_classes,
    )
    tables = {split: files.read_parquet(given[split]) for split in ("train", "dev", "test")}
    reading = input_check.read(reader, tables)
    for split, tokens in reading.tokens.items():
        splits.write_tokens(tokens, reading.pad_id, snakemake.output[split])
    files.write_json(reading.report, snakemake.output.check)
