"""Make the report's tables of data, baseline and attacks, each as CSV and sortable page."""

from pathlib import Path

from genosiege import files, runtime
from genosiege.report import table_files
from genosiege.sequence import results, summaries, warning_signs

with runtime.script(snakemake):
    cards = {Path(card).parent.name: files.read_json(card) for card in snakemake.input.cards}
    metrics = [results.read_metrics(path) for path in snakemake.input.metrics]
    attacks = [results.read_attack(path, summaries.PRUNED) for path in snakemake.input.attacks]
    warnings = warning_signs.warnings_table(attacks, snakemake.params.kinds, metrics)
    baseline = summaries.baseline_table(metrics)
    tables = {
        "data": summaries.data_table(cards),
        "baseline": baseline,
        "attacks": warning_signs.with_codes(summaries.attacks_table(attacks), warnings),
        "robust_accuracy": summaries.robust_accuracy_table(attacks),
        "seeds": summaries.seeds_table(baseline, attacks),
    }
    table_files.write(tables, snakemake.output)
