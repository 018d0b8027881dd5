"""Importance of features beside SHAP's default call, on the same model and samples.

A random forest and boosted trees are trained on simulated samples (see `detectors.py`) and
explained twice: as the workflow does, and by `shap.TreeExplainer(model).shap_values(samples)`. Both
take turns, best of `--repeats`. Default sizes are smaller than the 5,000 × 2,881 of an
experiment, in samples and trees, so that SHAP's call takes seconds; both grow alike with them.

Run: `python tests/bench/importance.py`; merges its rows into results/bench/bench.json, and ends
with status 1 where the importances differ.
"""

import argparse
import sys
import time
from typing import Any

import numpy as np
import table
from detectors import THREADS, simulate

from genosiege import runtime
from genosiege.expression import importance, models
from genosiege.expression.samples import Samples

CLOSE = 1e-4


def by_shap(model: Any, samples: Samples) -> np.ndarray:
    """Give |SHAP values| of class 1 as SHAP does by default."""
    import shap

    trees = model.estimator if model.kind == "random_forest" else model.booster
    values = np.asarray(shap.TreeExplainer(trees).shap_values(samples.values))
    return np.abs(values[..., 1] if values.ndim == 3 else values)


def compare(entry: dict[str, Any], samples: Samples, explained: Samples, repeats: int) -> table.Row:
    """Explain in both ways."""
    model = models.create(entry, len(samples.genes), 0, THREADS)
    model.fit(samples, explained)
    best = [float("inf")] * 2
    for _ in range(repeats):
        start = time.perf_counter()
        ours = importance.explain(model, explained, None, "shap").values
        middle = time.perf_counter()
        rival = by_shap(model, explained)
        end = time.perf_counter()
        best = [min(best[0], middle - start), min(best[1], end - middle)]
    difference = float(np.abs(ours - rival).max())
    if difference > CLOSE * max(1.0, float(rival.max())):
        sys.exit(f"Error: importances of {entry['kind']} differ by {difference:.1e}.")
    n, p = explained.values.shape
    return table.compared(
        f"08 importance, {entry['kind'].replace('_', ' ')}",
        best[0],
        "s",
        f"SHAP's default call: {best[1]:.3g} s",
        best[1] / best[0],
        least=1,
        remark=f"{n} samples × {p} features, {entry['trees']} trees, best of {repeats}, "
        f"difference {difference:.0e}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--features", type=int, default=2881)
    parser.add_argument("--trees", type=int, default=50, help="of the forest")
    parser.add_argument("--rounds", type=int, default=100, help="trees of the boosting")
    parser.add_argument("--repeats", type=int, default=2)
    table.add_option(parser)
    arguments = parser.parse_args()

    runtime.use(THREADS)
    explained = simulate(arguments.samples, arguments.features)
    samples = explained.take(np.arange(min(1000, arguments.samples)))
    entries = (
        {"kind": "random_forest", "trees": arguments.trees},
        {"kind": "xgboost", "trees": arguments.rounds, "patience": None},
    )
    rows = [compare(entry, samples, explained, arguments.repeats) for entry in entries]
    table.merge(__file__, rows, arguments.table)


if __name__ == "__main__":
    main()
