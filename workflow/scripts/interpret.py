"""Tabulate what the attacks' successful edits change, against edits put at random."""

from genosiege import files, runtime, sortable_table
from genosiege.sequence import interpretability, summaries

with runtime.script(snakemake.log[0]):
    table = interpretability.interpretability_table(
        [summaries.read_attack(path) for path in snakemake.input.attacks],
        [interpretability.read_importance(path) for path in snakemake.input.certificates],
        tss_index=snakemake.params.tss_index,
        constraints=snakemake.params.constraints,
        kinds=snakemake.params.kinds,
    )
    with files.whole(snakemake.output.interpretability) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    sortable_table.write(table, "Interpretability", snakemake.output.interpretability_page)
