"""The report's tables of certificates, transferred adversaries and attacks outside DNA space."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from genosiege.sequence import rates
from genosiege.sequence.results import MODEL, ModelResult

CERTIFY_COLUMNS = [
    *MODEL, "k", "n_sequences", "n_correct", "n_robust", "n_flipped", "n_unknown",
    *rates.columns("robust_share_low_bound"), *rates.columns("robust_share_high_bound"),
    *rates.columns("flipped_share"), "exact",
]  # fmt: skip
LATENT_COLUMNS = [
    *MODEL, "attack", "norm", "epsilon", "n_sequences", "n_correct",
    *rates.columns("robust_accuracy"), *rates.columns("flip_rate"), "mean_l2", "mean_linf",
    "mean_gradients", "realisable",
]  # fmt: skip
TRANSFER_COLUMNS = [
    "attack", "seed", "stage", "source_task", "source_encoder", "target_task", "target_encoder",
    "n", "n_flipped", *rates.columns("flip_rate"), "n_source_flips", "n_transferred",
    *rates.columns("transfer_rate"),
]  # fmt: skip


def certify_table(certificates: Iterable[ModelResult]) -> pd.DataFrame:
    """Tabulate exact robustness, one row per model and number of edits.

    Parameters
    ----------
    certificates : iterable of ModelResult
        From `results.read_certificate`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/certify.rst`.
    """
    rows = []
    for certificate in certificates:
        for k, found in certificate.rows.groupby("k"):
            status = found["status"].value_counts()
            n, n_skipped = len(found), int(status.get("skipped_misclassified", 0))
            robust, flipped, unknown = (
                int(status.get(name, 0)) for name in ("robust", "flipped", "unknown")
            )
            rows.append(
                _model(certificate)
                | {
                    "k": k,
                    "n_sequences": n,
                    "n_correct": n - n_skipped,
                    "n_robust": robust,
                    "n_flipped": flipped,
                    "n_unknown": unknown,
                    "exact": unknown == 0,
                }
                | rates.wilson("robust_share_low_bound", robust, n)
                | rates.wilson("robust_share_high_bound", robust + unknown, n)
                | rates.wilson("flipped_share", flipped, n - n_skipped)
            )
    return pd.DataFrame(rows, columns=CERTIFY_COLUMNS).sort_values([*MODEL, "k"], ignore_index=True)


def latent_table(attacks: Iterable[ModelResult]) -> pd.DataFrame:
    """Tabulate attacks in embedding space, one row per model, attack and size of perturbation.

    Parameters
    ----------
    attacks : iterable of ModelResult
        From `results.read_latent`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/latent.rst`.
    """
    rows = [
        _model(attack)
        | {"attack": attack.attack, "norm": norm, "epsilon": epsilon}
        | _latent_measures(found)
        for attack in attacks
        for (norm, epsilon), found in attack.rows.groupby(["norm", "epsilon"])
    ]
    return pd.DataFrame(rows, columns=LATENT_COLUMNS).sort_values(
        [*MODEL, "attack", "norm", "epsilon"], ignore_index=True
    )


def _latent_measures(found: pd.DataFrame) -> dict[str, Any]:
    attacked = found[found["correct_before"]]
    n, n_correct, n_flipped = len(found), len(attacked), int(attacked["flipped"].sum())
    return {
        "n_sequences": n,
        "n_correct": n_correct,
        **rates.wilson("robust_accuracy", n_correct - n_flipped, n),
        **rates.wilson("flip_rate", n_flipped, n_correct),
        "mean_l2": attacked["l2"].mean(),
        "mean_linf": attacked["linf"].mean(),
        "mean_gradients": attacked["n_gradients"].mean(),
        # No DNA has these embeddings.
        "realisable": False,
    }


def transfer_table(targets: Iterable[ModelResult]) -> pd.DataFrame:
    """Tabulate how adversaries made against one model do on another, one row per pair.

    Parameters
    ----------
    targets : iterable of ModelResult
        From `results.read_transfer`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/transfer.rst`. A model as its own source
        gives the flip rate of the attack itself.
    """
    rows = [row for target in targets for row in _pairs(target)]
    return pd.DataFrame(rows, columns=TRANSFER_COLUMNS).sort_values(
        TRANSFER_COLUMNS[:7], ignore_index=True
    )


def _pairs(target: ModelResult) -> Iterator[dict[str, Any]]:
    for (task, encoder), found in target.rows.groupby(["source_task", "source_encoder"]):
        both = found[found["source_correct"] & found["correct_before"]]
        source_flips = both[both["source_flipped"]]
        yield {
            "attack": target.attack,
            "seed": target.seed,
            "stage": target.stage,
            "source_task": task,
            "source_encoder": encoder,
            "target_task": target.task,
            "target_encoder": target.encoder,
            "n": len(both),
            "n_flipped": int(both["flipped"].sum()),
            **rates.clustered("flip_rate", both["flipped"], both["id"]),
            "n_source_flips": len(source_flips),
            "n_transferred": int(source_flips["flipped"].sum()),
            **rates.clustered("transfer_rate", source_flips["flipped"], source_flips["id"]),
        }


def _model(result: ModelResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in MODEL}
