"""Rank the genes by how much a model looks at them."""

from genosiege import files, runtime
from genosiege.expression import fimba, importance, models, samples

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, made, seed = snakemake.input, snakemake.output, int(snakemake.wildcards.seed)
    train, test = samples.read(given.train), samples.read(given.test)
    model = models.load(given.model, given.description, train.genes, snakemake.threads)
    options = fimba.Fimba.from_mapping(snakemake.params.fimba)
    attacked = fimba.attacked(test, options, seed)
    found = importance.importances(model, train, attacked, options, seed)
    files.write_parquet(found.table, made.importance)
    files.write_arrays(found.per_sample, made.of_samples)
