"""Decide whether a defence runs another round."""

from genosiege import files, runtime
from genosiege.sequence import results, stopping

with runtime.script(snakemake):
    given, convergence = snakemake.input, snakemake.params.convergence
    decision = stopping.decide(
        convergence["rule"],
        convergence["threshold"],
        int(snakemake.wildcards.round),
        next((results.read_attack(path) for path in given.attack), None),
        [files.read_json(path)["accuracy"] for path in given.metrics],
        convergence["attack_samples"],
        convergence["criterion"],
    )
    files.write_json(decision, snakemake.output.decision)
