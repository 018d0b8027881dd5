"""Attack test samples along a ranking of the genes, and find the fewest that flip each."""

from genosiege import files, runtime
from genosiege.expression import fimba, importance, models, samples, smallest_k, targets

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, made, seed = snakemake.input, snakemake.output, int(snakemake.wildcards.seed)
    train, test = samples.read(given.train), samples.read(given.test)
    model = models.load(given.model, given.description, train.genes, snakemake.threads)
    options = fimba.Fimba.from_mapping(snakemake.params.fimba)
    known = targets.make(
        options.targets,
        train,
        files.read_parquet(given.out_of_fold),
        (test, files.read_parquet(given.predictions)),
    )
    rankings = importance.rankings(
        files.read_parquet(given.importance), files.read_arrays(given.of_samples), train.genes
    )
    rows = fimba.attack(model, test, train, known, rankings, options, seed)
    files.write_parquet(rows, made.attacked)
    found = smallest_k.search(model, test, known, rankings, options, seed)
    files.write_parquet(found, made.smallest_k)
