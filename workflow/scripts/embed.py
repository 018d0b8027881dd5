"""Encode the splits of a task once, for all heads on a frozen encoder."""

from genosiege import files, runtime
from genosiege.sequence import encoders, prediction, splits

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    model = encoders.build(
        snakemake.params.encoder, snakemake.input.encoder, snakemake.params.n_classes
    )
    for split in ("train", "dev", "test"):
        tokens = splits.read_tokens(snakemake.input[split])
        ids = splits.read_split(snakemake.input[f"{split}_table"]).ids
        features = prediction.encode(
            model, tokens, snakemake.params.batch_size, runtime.device(), ids
        )
        files.write_tensors({"features": features}, snakemake.output[split])
