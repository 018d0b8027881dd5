"""Attack test samples with values that a variational autoencoder decodes."""

import pandas as pd

from genosiege import files, runtime
from genosiege.expression import evasion, fimba, importance, models, samples, targets, vae

with runtime.script(snakemake.log[0]):
    runtime.use(threads=snakemake.threads)
    given, params, seed = snakemake.input, snakemake.params, int(snakemake.wildcards.seed)
    train, test = samples.read(given.train), samples.read(given.test)
    model = models.load(given.model, given.description, train.genes, snakemake.threads)
    options = evasion.options(params.fimba, params.vae)
    known = targets.make(
        options.targets,
        train,
        files.read_parquet(given.out_of_fold),
        (test, files.read_parquet(given.predictions)),
    )
    rankings = importance.rankings(
        files.read_parquet(given.importance), files.read_arrays(given.of_samples), train.genes
    )
    attacked = fimba.attacked(test, options, seed)
    tables = []
    for fraction, weights, description in zip(
        params.fractions, given.vaes, given.vae_descriptions, strict=True
    ):
        autoencoder = vae.load(weights, description, train.genes)
        tables.append(
            evasion.attack(
                model, autoencoder, attacked, train, known, rankings, options, fraction, seed
            )
        )
    files.write_parquet(pd.concat(tables, ignore_index=True), snakemake.output.table)
