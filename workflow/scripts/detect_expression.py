"""Score natural and attacked expression with every detector."""

from genosiege import files, runtime
from genosiege.detection import expression_scores
from genosiege.detection.options import Detection
from genosiege.expression import fimba, importance, models, samples, targets, vae

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params, seed = snakemake.input, snakemake.params, int(snakemake.wildcards.seed)
    train, dev, test = (samples.read(given[split]) for split in ("train", "dev", "test"))
    model = models.load(given.model, given.description, train.genes, snakemake.threads)
    trained = given.get("vae") and vae.load(given.vae, given.vae_description, train.genes)
    options = fimba.Fimba.from_mapping(params.fimba)
    decoding = fimba.Fimba.from_mapping(params.evasion)
    known = targets.make(
        dict.fromkeys([*options.targets, *decoding.targets]),
        train,
        files.read_parquet(given.out_of_fold),
        (test, files.read_parquet(given.predictions)),
    )
    rankings = importance.rankings(
        files.read_parquet(given.importance), files.read_arrays(given.of_samples), train.genes
    )
    rows = expression_scores.score(
        model, trained, train, dev, test, known, rankings, options,
        Detection.from_mapping(params.detection), seed,
        fraction=params.fraction, evasion_options=decoding, threads=snakemake.threads,
    )  # fmt: skip
    files.write_parquet(rows, snakemake.output.table)
