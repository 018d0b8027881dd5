"""Make the pages to look closer at: the edit explorer and the curves of robust accuracy."""

import pandas as pd

from genosiege import runtime
from genosiege.interactive import curves, edit_explorer, page
from genosiege.sequence import results

with runtime.script(snakemake):
    given, made = snakemake.input, snakemake.output
    found = [results.read_attack(path) for path in given.attacks]
    explorer = edit_explorer.chart(found, snakemake.params.attacks)
    page.write(explorer, "Edit explorer", edit_explorer.NOTE, made.edit_explorer)
    curve, worst = (
        pd.read_csv(given[name], dtype={"seed": str}) for name in ("robust_accuracy", "worst_case")
    )
    robustness = curves.robustness(curve, worst)
    page.write(robustness, "Robust accuracy", curves.ROBUSTNESS_NOTE, made.robust_accuracy)
