"""Train a model against FIMBA, round after round, with random noise as the control."""

from genosiege import files, runtime
from genosiege.expression import adversarial_training, models, samples

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, seed = snakemake.input, int(snakemake.wildcards.seed)
    train, dev, test = (samples.read(given[split]) for split in ("train", "dev", "test"))
    model = models.load(given.model, given.description, train.genes, snakemake.threads)
    options = adversarial_training.AdversarialTraining.from_mapping(snakemake.params.hardening)
    table = adversarial_training.run(model, train, dev, test, options, seed)
    files.write_parquet(table, snakemake.output.table)
