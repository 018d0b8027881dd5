"""Attack the detectors of attacked sequences on one model, each by an attacker who knows it."""

from pathlib import Path

from genosiege import files, runtime
from genosiege.detection import sequence_detectors, sequence_evasion
from genosiege.detection.options import Detection
from genosiege.sequence import encoders, splits, tables
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.journal import fingerprint
from genosiege.sequence.oracle import Oracle

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params, seed = snakemake.input, snakemake.params, int(snakemake.wildcards.seed)
    parts = [files.sha256(path) for path in given if Path(path).is_file()]
    output = Path(snakemake.output.table)
    job = fingerprint(parts, dict(params.items()), seed, runtime.device().type)
    journals = sequence_evasion.Journals(output.with_suffix(".state"), job)
    options = Detection.from_mapping(params.detection)
    model = encoders.load(given.model, params.encoder, given.encoder)
    train = splits.read_split(given.train, given.get("train_features"))
    detectors = sequence_detectors.fitted(model, train, options, seed, params.batch_size)
    detectors.remember(splits.read_split(given.dev, given.get("dev_features")))
    dev = tables.read(given.dev, tables.SAMPLE_COLUMNS)
    oracle = Oracle(model, **params.compute)
    victim = sequence_evasion.Victim(
        model, Constraints.from_config(params.constraints, params.tss_index), oracle,
        params.batch_size, seed,
    )  # fmt: skip
    found = sequence_evasion.evade(
        victim, detectors, tables.read(given.sample, tables.SAMPLE_COLUMNS), dev,
        options, journals,
    )  # fmt: skip
    files.write_parquet(found, output, oracle.settings)
    journals.close()
