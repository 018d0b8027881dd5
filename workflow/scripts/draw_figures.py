"""Draw the report's figures of the attacks on the baseline models."""

import pandas as pd

from genosiege import figures, runtime
from genosiege.sequence import summaries

with runtime.script(snakemake.log[0]):
    attacks = [summaries.read_attack(path) for path in snakemake.input.attacks]
    curve = pd.read_csv(snakemake.input.robust_accuracy, dtype={"seed": str})
    drawn = {
        "edits_per_success": figures.edits_per_success(attacks),
        "confidence": figures.confidence(attacks),
        "edit_positions": figures.edit_positions(attacks, snakemake.params.tss_index),
        "robust_accuracy": figures.robust_accuracy(curve),
    }
    for name, figure in drawn.items():
        figures.save(figure, snakemake.output[name])
