"""What adversaries do to the truth, where it is known: they fool the model, or change the label.

The truth is the posterior of a planted task (`data.planted`). Its more probable label is the Bayes
label. A flip is an *error of the model* where the Bayes label before and after equals the label
that the sequence was drawn with, and a *true change* where the edits moved the Bayes label. What
moves it and not the model is an *invariance error*: the model should have followed.
"""

import importlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from genosiege.sequence import rates
from genosiege.sequence.results import MODEL, AttackResult

ROWS = {"bayes_label_before": "Int64", "bayes_label_after": "Int64", "flip_is": "str"}
"""What attack rows say of the truth; empty where it is unknown."""

MODEL_ERROR, TRUE_CHANGE, NEITHER = "model_error", "true_change", "neither"

COLUMNS = [
    *MODEL, "is_truth", "attack", "max_edits", "n_runs", "n_bayes_differs", "n_known", "n_flips",
    "n_model_errors", "n_true_changes", "n_invariance_errors",
    *rates.columns("model_error_share"), *rates.columns("truth_changed"),
]  # fmt: skip


def with_truth(rows: pd.DataFrame, source: Mapping[str, Any] | None) -> pd.DataFrame:
    """Add to attack rows what the adversaries do to the truth.

    Parameters
    ----------
    rows : pandas.DataFrame
        `tables.ATTACK_COLUMNS`.
    source : mapping or None
        The source of the task where it is a planted one; None where the truth is unknown.

    Returns
    -------
    pandas.DataFrame
        The same rows with the columns `ROWS`. `flip_is` is empty where nothing flipped, and
        `neither` where the Bayes label was another than the drawn one and stayed it.
    """
    if source is None:
        unknown: dict[str, Any] = dict.fromkeys(ROWS, pd.NA) | {"flip_is": ""}
        return rows.assign(**unknown).astype(ROWS)
    # By name, so that only jobs of planted tasks depend on them.
    planted = importlib.import_module("genosiege.data.planted")
    posterior = importlib.import_module("genosiege.data.planted_posterior")
    truth = posterior.Posterior(planted.parameters(source))
    before = truth.bayes_labels(list(rows["original"]))
    after = truth.bayes_labels(list(rows["adversarial"]))
    right = (before == after) & (before == rows["label"].to_numpy())
    kind = np.where(before != after, TRUE_CHANGE, np.where(right, MODEL_ERROR, NEITHER))
    return rows.assign(
        bayes_label_before=before,
        bayes_label_after=after,
        flip_is=np.where(rows["flipped"], kind, ""),
    ).astype(ROWS)


def known_truth_table(
    attacks: Iterable[AttackResult], truths: Collection[str] = ()
) -> pd.DataFrame:
    """Count what the flips of each attack are, one row per model and attack.

    Parameters
    ----------
    attacks : iterable of AttackResult
        Read with the extra columns `ROWS`. Those of tasks whose truth is unknown give no row.
    truths : collection of str
        The encoders that are the truth itself.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/known_truth.rst`.
    """
    known = [attack for attack in attacks if attack.rows["bayes_label_before"].notna().all()]
    rows = [_row(attack) | {"is_truth": attack.encoder in truths} for attack in known]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values([*MODEL, "attack"], ignore_index=True)


def _row(attack: AttackResult) -> dict[str, Any]:
    """Count over the runs on sequences that the model gets right, edits within the budget."""
    runs = attack.attacked
    agrees = runs["bayes_label_before"] == runs["label"]
    of = runs[agrees]
    changed = (of["bayes_label_after"] != of["label"]) & (of["n_edits"] <= attack.max_edits)
    flips = of["success_flip"]
    errors = flips & (of["flip_is"] == MODEL_ERROR)
    return {
        **{name: getattr(attack, name) for name in MODEL},
        "attack": attack.attack,
        "max_edits": attack.max_edits,
        "n_runs": len(runs),
        "n_bayes_differs": int((~agrees).sum()),
        "n_known": len(of),
        "n_flips": int(flips.sum()),
        "n_model_errors": int(errors.sum()),
        "n_true_changes": int((flips & (of["flip_is"] == TRUE_CHANGE)).sum()),
        "n_invariance_errors": int((~of["flipped"] & changed).sum()),
        **rates.clustered("model_error_share", errors[flips], of["id"][flips]),
        **rates.clustered("truth_changed", changed, of["id"]),
    }
