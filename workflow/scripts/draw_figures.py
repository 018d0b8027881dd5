"""Draw the report's figures of the attacks on the baseline models."""

import pandas as pd

from genosiege import runtime
from genosiege.figures import attacks, curves, interpretability, overview, style, transfer
from genosiege.sequence import results

with runtime.script(snakemake):
    given, tss_index = snakemake.input, snakemake.params.tss_index
    tables = ("robust_accuracy", "worst_case", "certify", "transfer", "latent", "interpretability")
    table = {name: pd.read_csv(given[name], dtype={"seed": str}) for name in tables}
    found = [results.read_attack(path) for path in given.attacks]
    drawn = {
        "overview": overview.robust_accuracy(table["robust_accuracy"], table["worst_case"]),
        "robust_accuracy": curves.robust_accuracy(
            table["robust_accuracy"], table["worst_case"], table["certify"]
        ),
        "queries": curves.queries(found),
        "edits_per_success": attacks.edits_per_success(found),
        "confidence": attacks.confidence(found),
        "edit_positions": attacks.edit_positions(found, tss_index),
        "interpretability": interpretability.folds(table["interpretability"]),
        "transfer": transfer.matrix(table["transfer"]),
        "latent": curves.latent(table["latent"]),
    }
    for name, figure in drawn.items():
        style.save(figure, snakemake.output[name])
