"""Draw the report's figures of adversarial training."""

import pandas as pd

from genosiege import runtime
from genosiege.figures import hardening, hardening_summary, style
from genosiege.interactive import curves, page

with runtime.script(snakemake):
    table, verdict = (
        pd.read_csv(snakemake.input[name], dtype={"seed": str}) for name in ("hardening", "verdict")
    )
    drawn = {
        "training_progress": hardening.training_progress(table),
        "attack_effectiveness": hardening.attack_effectiveness(table),
        "attack_difficulty": hardening.attack_difficulty(table),
        "biological_plausibility": hardening.biological_plausibility(table),
        "perturbation_efficiency": hardening.perturbation_efficiency(table),
        "model_robustness": hardening.model_robustness(table),
        "summary": hardening_summary.summary(table, verdict),
    }
    for name, figure in drawn.items():
        style.save(figure, snakemake.output[name])
    rounds = curves.rounds(table)
    page.write(rounds, "Rounds of hardening", curves.ROUNDS_NOTE, snakemake.output.rounds)
