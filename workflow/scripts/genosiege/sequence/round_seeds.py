"""How far the models of a task differ in each round: mean and standard deviation over seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from genosiege.sequence.rounds import in_order

MEASURES = (
    "accuracy", "ece", "mean_margin", "saturation", "robust_accuracy", "flip_rate",
    "success_drop_rate", "median_edits", "median_queries", "replay_flip_rate",
)  # fmt: skip
GROUP = ["task", "encoder", "defence", "adversary_source", "round"]
COLUMNS = [*GROUP, "measure", "n_seeds", "mean", "sd"]


def round_seeds_table(rounds: pd.DataFrame, defences: Sequence[str] = ()) -> pd.DataFrame:
    """Summarise each measure of each round over the model seeds.

    Parameters
    ----------
    rounds : pandas.DataFrame
        From `rounds.rounds_table`, of any number of defences and seeds.
    defences : sequence of str
        In which order they stand in the table; by default by name.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/hardening_seeds.rst`. A seed counts where it
        ran the round and has a value; `sd` is nan for a single one.
    """
    rows = []
    for key, models in rounds.groupby(GROUP, sort=True):
        place = dict(zip(GROUP, key, strict=True))
        for measure in MEASURES:
            values = models[measure].dropna().to_numpy(dtype=float)
            rows.append(
                place
                | {
                    "measure": measure,
                    "n_seeds": len(values),
                    "mean": values.mean() if len(values) else np.nan,
                    "sd": values.std(ddof=1) if len(values) > 1 else np.nan,
                }
            )
    table = pd.DataFrame(rows, columns=COLUMNS)
    # No seed of its own: all of a defence's rows are sorted as one model's.
    ordered = in_order(table.assign(seed=0), defences, "round")
    return ordered[COLUMNS]
