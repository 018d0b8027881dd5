"""Train a small DNABERT-2 and its tokenizer from scratch on one task."""

from pathlib import Path

from genosiege import runtime
from genosiege.sequence import dnabert2_encoder, encoders, pretraining, splits

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    spec = snakemake.params.encoder
    train, dev = (splits.read_split(snakemake.input[split]) for split in ("train", "dev"))
    network, tokenizer = pretraining.pretrain(
        spec,
        snakemake.params.n_classes,
        train,
        dev,
        runtime.stream(spec["pretraining"]["seed"], snakemake.wildcards.task, "train_encoder"),
        runtime.device(),
    )
    location = encoders.Location(
        Path(snakemake.output.weights),
        Path(snakemake.output.architecture),
        Path(snakemake.output.tokenizer),
    )
    dnabert2_encoder.save(network, tokenizer, location)
