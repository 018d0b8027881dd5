"""Make the report's tables of what the defences are worth, each as CSV and sortable page."""

from genosiege import runtime
from genosiege.report import table_files
from genosiege.sequence import (
    outcomes,
    published_claim,
    round_seeds,
    round_times,
    rounds,
    verdict,
    verdict_rule,
)

with runtime.script(snakemake):
    given, names = snakemake.input, snakemake.params.names
    run, found = rounds.read(given.rounds), outcomes.read(given.outcomes)
    terms = verdict_rule.Terms(**snakemake.params.verdict)
    tables = {
        "hardening": rounds.in_order(run, names, "round"),
        "hardening_seeds": round_seeds.round_seeds_table(run, names),
        "verdict": verdict.verdict_table(run, found, terms, names),
        "defence_attacks": verdict.defence_attacks_table(run, found, terms, names),
        "published_claim": published_claim.published_claim_table(run, found, names),
        # From files that are no input: a time that changed remakes no table.
        "times": round_times.round_times_table(run, snakemake.params.benchmarks, names),
    }
    table_files.write(tables, snakemake.output)
