"""Attack test samples with FIMBA by an attacker who knows the detectors."""

from genosiege import files, runtime
from genosiege.detection import adaptive_fimba, detectors
from genosiege.detection.options import Detection
from genosiege.expression import fimba, importance, models, samples, targets, vae

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params, seed = snakemake.input, snakemake.params, int(snakemake.wildcards.seed)
    train, dev, test = (samples.read(given[split]) for split in ("train", "dev", "test"))
    model = models.load(given.model, given.description, train.genes, snakemake.threads)
    trained = given.get("vae") and vae.load(given.vae, given.vae_description, train.genes)
    moving = fimba.Fimba.from_mapping(params.fimba)
    options = Detection.from_mapping(params.detection)
    sound = [kind for kind in moving.targets if kind not in targets.LEAKY]
    known = targets.make(sound, train, files.read_parquet(given.out_of_fold))
    rankings = importance.rankings(
        files.read_parquet(given.importance), files.read_arrays(given.of_samples), train.genes
    )
    built = detectors.build(
        options.expression, model=model, vae=trained, options=options, seed=seed,
        threads=snakemake.threads,
    )  # fmt: skip
    fitted = detectors.fitted(built, train, options.fit_samples, seed)
    rows = adaptive_fimba.attack(
        model, fitted, train, dev, test, known, rankings, moving, options.adaptive, seed,
        tails=options.tails,
    )  # fmt: skip
    files.write_parquet(rows, snakemake.output.table)
