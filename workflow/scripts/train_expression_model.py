"""Train a model of expression, measure it, and find its out-of-fold errors."""

from dataclasses import asdict

from genosiege import files, runtime
from genosiege.expression import folds, metrics, models, samples

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, made, entry = snakemake.input, snakemake.output, snakemake.params.model
    seed = int(snakemake.wildcards.seed)
    train, dev, test = (samples.read(given[split]) for split in ("train", "dev", "test"))
    model = models.create(entry, len(train.genes), seed, snakemake.threads)
    model.fit(train, dev)
    p_positive = model.predict_proba(test.values)[:, 1]
    measured = asdict(metrics.metrics(p_positive, test.labels))
    files.write_json(measured | {"made_with": runtime.made_with()}, made.metrics)
    files.write_parquet(metrics.predictions(test.ids, p_positive, test.labels), made.predictions)
    groups = samples.read_groups(given.train) if snakemake.params.whole_groups else None
    out_of_fold = folds.out_of_fold(
        entry, train, snakemake.params.folds, seed, snakemake.threads, groups
    )
    files.write_parquet(out_of_fold, made.out_of_fold)
    models.save(model, made.model, made.description, train.genes)
