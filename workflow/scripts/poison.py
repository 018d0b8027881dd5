"""Retrain a model on training splits with poison in them."""

from genosiege import files, runtime
from genosiege.expression import models, poisoning, samples, vae

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params, seed = snakemake.input, snakemake.params, int(snakemake.wildcards.seed)
    train, dev, test = (samples.read(given[split]) for split in ("train", "dev", "test"))
    model = models.load(given.model, given.description, train.genes, snakemake.threads)
    vaes = {
        fraction: vae.load(weights, description, train.genes)
        for fraction, weights, description in zip(
            params.fractions, given.vaes, given.vae_descriptions, strict=True
        )
    }
    options = poisoning.Poisoning.from_mapping(params.poisoning)
    out_of_fold = files.read_parquet(given.out_of_fold)
    table = poisoning.run(model, train, dev, test, vaes, options, seed, out_of_fold)
    files.write_parquet(table, snakemake.output.table)
