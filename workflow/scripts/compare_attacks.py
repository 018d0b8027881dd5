"""Attack a model with other people's attacks, at the query budget of FIMBA."""

from genosiege import files, runtime
from genosiege.expression import comparison_attacks, importance, models, samples, targets

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, seed = snakemake.input, int(snakemake.wildcards.seed)
    train, test = samples.read(given.train), samples.read(given.test)
    model = models.load(given.model, given.description, train.genes, snakemake.threads)
    rankings = importance.rankings(files.read_parquet(given.importance), {}, train.genes)
    table = comparison_attacks.run(
        model,
        test,
        train,
        rankings,
        targets.opposite_targets(train),
        comparison_attacks.Comparison.from_mapping(snakemake.params.comparison),
        seed,
    )
    files.write_parquet(table, snakemake.output.table)
