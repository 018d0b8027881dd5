"""Attack test samples with values that variational autoencoders decode."""

from genosiege import files, runtime
from genosiege.expression import evasion, fimba, importance, models, samples, targets, vae

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params, seed = snakemake.input, snakemake.params, int(snakemake.wildcards.seed)
    train, test = samples.read(given.train), samples.read(given.test)
    model = models.load(given.model, given.description, train.genes, snakemake.threads)
    vaes = {
        fraction: vae.load(weights, description, train.genes)
        for fraction, weights, description in zip(
            params.fractions, given.vaes, given.vae_descriptions, strict=True
        )
    }
    options = fimba.Fimba.from_mapping(params.fimba)
    known = targets.make(
        options.targets,
        train,
        files.read_parquet(given.out_of_fold),
        (test, files.read_parquet(given.predictions)),
    )
    rankings = importance.rankings(
        files.read_parquet(given.importance), files.read_arrays(given.of_samples), train.genes
    )
    rows = evasion.attack(model, vaes, test, train, known, rankings, options, seed)
    files.write_parquet(rows, snakemake.output.table)
