"""Draw the report's figures of the expression arm."""

import pandas as pd

from genosiege import runtime
from genosiege.expression.tables import reading, smallest_k_table
from genosiege.figures import (
    expression_attack,
    expression_models,
    expression_smallest_k,
    expression_training,
    style,
)

with runtime.script(snakemake):
    given = snakemake.input
    cards = reading.Cards.read(given.cards)
    searched = reading.read(given.smallest_k, "smallest_k.parquet", smallest_k_table.ROWS)
    names = ("importance", "fimba", "ablation", "poisoning", "hardening", "comparison")
    tables = {name: pd.read_csv(given[name], dtype={"seed": str}) for name in names}
    drawn = {
        "fimba": expression_attack.accuracy_over_k(tables["fimba"]),
        "smallest_k": expression_smallest_k.distribution(searched, cards),
        "ablation": expression_attack.ablation(tables["ablation"]),
        "poisoning": expression_training.poisoning(tables["poisoning"]),
        "hardening": expression_training.hardening(tables["hardening"]),
        "comparison": expression_models.comparison(tables["comparison"]),
        "importance": expression_models.overlap(tables["importance"]),
    }
    for name, figure in drawn.items():
        style.save(figure, snakemake.output[name])
