"""Decide whether a defence runs another round."""

from genosiege import files, runtime
from genosiege.sequence import results, stopping

with runtime.script(snakemake.log[0]):
    given, params = snakemake.input, snakemake.params
    decision = stopping.decide(
        params.rule,
        params.threshold,
        int(snakemake.wildcards.round),
        results.read_attack(given.attack) if given.attack else None,
        [files.read_json(path)["accuracy"] for path in given.metrics],
        params.get("train_attack_samples"),
    )
    files.write_json(decision, snakemake.output.decision)
