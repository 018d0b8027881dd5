"""Make the report's tables of the expression arm, each as CSV and sortable page."""

from genosiege import runtime
from genosiege.expression.tables import (
    ablation,
    comparison_table,
    data_table,
    fimba_table,
    hardening_table,
    importance_table,
    model_table,
    poisoning_table,
    reading,
    smallest_k_table,
    vae_table,
)
from genosiege.report import table_files

with runtime.script(snakemake):
    given = snakemake.input
    cards = reading.Cards.read(given.cards)
    models = model_table.models_table(given.metrics, given.descriptions, cards)
    fimba = fimba_table.fimba_table(given.fimba, cards)
    tables = {
        "expression_data": data_table.data_table(cards),
        "expression_models": models,
        "expression_seeds": model_table.seeds_table(models, fimba),
        "importance": importance_table.importance_table(given.importance, cards),
        "fimba": fimba,
        "smallest_k": smallest_k_table.smallest_k_table(given.smallest_k, cards),
        "vae": vae_table.vae_table(given.vaes, given.evasion, cards),
        "ablation": ablation.ablation_table(given.fimba, given.evasion, cards),
        "poisoning": poisoning_table.poisoning_table(given.poisoning, cards),
        "expression_hardening": hardening_table.hardening_table(given.hardening, cards),
        "comparison": comparison_table.comparison_table(given.comparison, cards),
    }
    table_files.write(tables, snakemake.output)
