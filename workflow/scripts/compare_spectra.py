"""Compare power spectra of natural and attacked samples, and set SSIM against its nulls."""

from genosiege import files, runtime
from genosiege.detection import ssim_experiment
from genosiege.detection.options import Detection
from genosiege.expression import fimba, importance, models, samples, targets

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params, seed = snakemake.input, snakemake.params, int(snakemake.wildcards.seed)
    train, dev, test = (samples.read(given[split]) for split in ("train", "dev", "test"))
    options = fimba.Fimba.from_mapping(params.fimba)
    known = targets.make(
        options.targets,
        train,
        files.read_parquet(given.out_of_fold),
        (test, files.read_parquet(given.predictions)),
    )
    compared = ssim_experiment.compare(
        models.load(given.model, given.description, train.genes, snakemake.threads),
        dev,
        test,
        known,
        importance.rankings(
            files.read_parquet(given.importance), files.read_arrays(given.of_samples), train.genes
        ),
        options,
        Detection.from_mapping({"ssim": params.ssim}).ssim,
        seed,
    )
    files.write_parquet(compared.ssim, snakemake.output.ssim)
    files.write_parquet(compared.spectra, snakemake.output.spectra)
