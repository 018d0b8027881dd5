"""Tabulate what the attacks' successful edits change, against edits put at random."""

from genosiege import runtime
from genosiege.report import table_files
from genosiege.sequence import interpretability, results

with runtime.script(snakemake):
    table = interpretability.interpretability_table(
        [results.read_attack(path) for path in snakemake.input.attacks],
        [results.read_certificate(path) for path in snakemake.input.certificates],
        tss_index=snakemake.params.tss_index,
        constraints=snakemake.params.constraints,
        kinds=snakemake.params.kinds,
    )
    table_files.write({"interpretability": table}, snakemake.output)
