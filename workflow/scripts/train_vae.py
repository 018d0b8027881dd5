"""Train the variational autoencoder of an attacker who has a share of the training split."""

from genosiege import runtime
from genosiege.expression import samples, vae, vae_training

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, names = snakemake.input, snakemake.wildcards
    train, dev, test = (samples.read(given[split]) for split in ("train", "dev", "test"))
    options = vae_training.Training.from_mapping(snakemake.params.vae)
    trained = vae_training.train(train, dev, int(names.fraction), options, int(names.seed))
    quality = {
        name: vae.reconstruction(trained.vae, split)
        for name, split in (("dev", dev), ("test", test))
    }
    vae.save(
        trained.vae,
        snakemake.output.model,
        snakemake.output.description,
        {**trained.report, "reconstruction": quality},
    )
