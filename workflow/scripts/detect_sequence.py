"""Score natural sequences, adversaries and mutants by every detector of attacks."""

from genosiege import files, runtime
from genosiege.detection import sequence_detectors, sequence_scores
from genosiege.detection.options import Detection
from genosiege.sequence import encoders, results, splits, tables
from genosiege.sequence.constraints import Constraints

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params, seed = snakemake.input, snakemake.params, int(snakemake.wildcards.seed)
    options = Detection.from_mapping(params.detection)
    detectors = sequence_detectors.fitted(
        encoders.load(given.model, params.encoder, given.encoder),
        splits.read_split(given.train, given.get("train_features")),
        options,
        seed,
        params.batch_size,
    )
    detectors.remember(splits.read_split(given.dev, given.get("dev_features")))
    scored = sequence_scores.score(
        detectors,
        tables.read(given.dev, tables.SAMPLE_COLUMNS),
        tables.read(given.sample, tables.SAMPLE_COLUMNS),
        {found.attack: found.rows for found in map(results.read_attack, given.attacks)},
        Constraints.from_config(params.constraints, params.tss_index),
        options,
        seed,
    )
    files.write_parquet(scored.scores, snakemake.output.table)
    files.write_parquet(scored.spectra, snakemake.output.spectra)
