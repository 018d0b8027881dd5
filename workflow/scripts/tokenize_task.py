"""Tokenize the splits of a task."""

from genosiege import runtime
from genosiege.sequence import encoders, splits

with runtime.script(snakemake.log[0]):
    runtime.use(threads=snakemake.threads)
    tokenizer = encoders.make_tokenizer(snakemake.params.encoder, snakemake.input.encoder)
    for split in ("train", "dev", "test"):
        tokens = tokenizer.encode(splits.read_split(snakemake.input[split]).sequences)
        splits.write_tokens(tokens, tokenizer.pad_id, snakemake.output[split])
