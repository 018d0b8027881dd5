"""Attack a model in the space of its embeddings, outside DNA."""

from genosiege import files, runtime
from genosiege.sequence import encoders, latent, tables

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params = snakemake.input, snakemake.params
    rows = latent.attack_sample(
        encoders.load(given.model, params.encoder, given.encoder),
        tables.read(given.sample, tables.SAMPLE_COLUMNS),
        latent.load(params.attack),
        params.batch_size,
    )
    noted = {"device": runtime.device().type, "precision": "fp32"}
    files.write_parquet(rows, snakemake.output.table, noted)
