"""Make the report's tables of data, baseline and attacks, each as CSV and sortable page."""

from pathlib import Path

from genosiege import files, runtime, sortable_table
from genosiege.sequence import summaries

with runtime.script(snakemake.log[0]):
    cards = {Path(card).parent.name: files.read_json(card) for card in snakemake.input.cards}
    metrics = [files.read_json(path) for path in snakemake.input.metrics]
    attacks = [summaries.read_attack(path) for path in snakemake.input.attacks]
    baseline = summaries.baseline_table(metrics)
    tables = {
        "data": summaries.data_table(cards),
        "baseline": baseline,
        "attacks": summaries.attacks_table(attacks),
        "robust_accuracy": summaries.robust_accuracy_table(attacks),
        "seeds": summaries.seeds_table(baseline, attacks),
    }
    for name, table in tables.items():
        with files.whole(snakemake.output[name]) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
        title = name.replace("_", " ").capitalize()
        sortable_table.write(table, title, snakemake.output[f"{name}_page"])
