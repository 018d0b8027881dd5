"""Small tables of a run, of which the front page tells."""

import numpy as np
import pandas as pd

PLACE = {"task": "prom", "encoder": "cnn", "seed": "0", "stage": "baseline"}
GENES = {"arm": "expression", "data": "tcga", "model": "xgboost", "seed": "0"}
LETTERS = {"arm": "sequence", "data": "prom", "model": "cnn", "seed": "0"}


def rated(**values: tuple[float, float, float]) -> dict[str, float]:
    return {
        f"{name}{end}": value
        for name, three in values.items()
        for end, value in zip(("", "_low", "_high"), three, strict=True)
    }


def worst_case(encoder: str = "cnn", seed: str = "0", robust: float = 0.123) -> pd.DataFrame:
    rows = [
        PLACE | {"encoder": encoder, "seed": seed}
        | {"attack": attack, "edit_budget": budget, "n_sequences": 500}
        | rated(robust_accuracy=(value, value - 0.02, value + 0.03))
        for attack, of_none in (("worst_case", robust), ("genetic", 0.777))
        for budget, value in ((0, 0.9), (1, 0.71), (10, of_none))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def certify(exact: bool = True, **changes: object) -> pd.DataFrame:
    return pd.DataFrame([PLACE | {"k": 1, "exact": exact} | changes])


def baseline(check: str = "passed", **changes: object) -> pd.DataFrame:
    return pd.DataFrame([PLACE | {"input_check": check} | changes])


def warnings(*signs: tuple[str, str]) -> pd.DataFrame:
    columns = [*PLACE, "warning", "attack", "n", "of"]
    rows = [PLACE | {"warning": code, "attack": name, "n": 14, "of": 28} for code, name in signs]
    return pd.DataFrame(rows, columns=columns)


def by_class(*differences: tuple[float, float, float], **changes: object) -> pd.DataFrame:
    rows = [
        PLACE | {"label": label, "n_with_relative": 1200, "n_without_relative": 30}
        | rated(robust_accuracy_minus_rest=three, accuracy_with_relative=(0.8, 0.7, 0.9),
                accuracy_without_relative=(0.85, 0.6, 0.95)) | changes
        for label, three in enumerate(differences)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def data(constructed: bool = True, **changes: object) -> pd.DataFrame:
    counts = {"relatives_same": 3, "relatives_other": 771, "relatives_both": 4,
              "pairs": 3245, "pairs_opposite": 3196}  # fmt: skip
    rows = [
        {"task": "prom", "split": split, "constructed_negatives": flag} | counts | changes
        for split, flag in (("train", np.nan), ("test", constructed))
    ]
    return pd.DataFrame(rows)


def verdict(**changes: object) -> pd.DataFrame:
    row = {
        "task": "prom", "encoder": "cnn", "seed": "0", "defence": "mixed", "kind": "mixed",
        "n_sequences": 500, "verdict": "robust gain", "note": np.nan,
        "suite": "genetic;gradient;transfer", "edits": 5, "family_size": 2,
        **rated(delta_robust_accuracy=(0.041, 0.012, 0.07),
                delta_clean_accuracy=(-0.0004, -0.003, 0.002)),
    }  # fmt: skip
    return pd.DataFrame([row | changes])


def known_truth(**changes: object) -> pd.DataFrame:
    """Give what is known of two attacks on a model, and of the better one on the truth itself."""
    model = PLACE | {
        "is_truth": False, "attack": "genetic", "max_edits": 10, "n_runs": 26,
        "n_bayes_differs": 2, "n_known": 24, "n_flips": 21, "n_model_errors": 17,
        "n_true_changes": 4, "n_invariance_errors": 1,
        **rated(model_error_share=(0.81, 0.6, 0.92), truth_changed=(0.19, 0.09, 0.37)),
    }  # fmt: skip
    truth = rated(model_error_share=(0, 0, 0.2), truth_changed=(0.66, 0.47, 0.81))
    rows = [
        model | {"attack": "a_random_one", "n_flips": 3},
        model | changes,
        model | {"encoder": "truth", "is_truth": True} | truth,
    ]
    return pd.DataFrame(rows)


def searched(features: str, median: float, **changes: object) -> dict[str, object]:
    """Give a row of the table of the smallest k."""
    return {
        "dataset": "tcga", "model": "xgboost", "seed": "0", "leak": np.nan, "targets": "opposite",
        "importance": "none" if features == "random" else "global", "features": features,
        "t": 8 / 9, "status": "attacked", "n_attacked": 38, "n_genes": 2600, "tried_to": 260,
        **rated(median_k=(median, median - 1, np.inf), flipped=(0.55, 0.4, 0.7)),
    } | changes  # fmt: skip


def smallest_k() -> pd.DataFrame:
    return pd.DataFrame([searched("shap", 9.5), searched("random", 163)])


def detected(**changes: object) -> dict[str, object]:
    """Give a row of the table of the best detectors."""
    return GENES | {
        "leak": np.nan, "attack": "fimba", "targets": "opposite", "importance": "global",
        "features": "shap", "values": "interpolated", "severity": 50, "adversaries": "successful",
        "null": "clean", "detector": "mahalanobis", "n_adversaries": 42, "adaptive_n": 100,
        "adaptive_penalty": 0.1,
        **rated(undetected_success=(0.91, 0.85, 0.96), plain_undetected_success=(0.6, 0.5, 0.7),
                tpr_at_5=(0.48, 0.41, 0.55)),
    } | changes  # fmt: skip


def uniform_noise(**changes: object) -> dict[str, object]:
    """Give the row of the control that most samples fall to, and that every detector finds."""
    found = rated(tpr_at_5=(1.0, 0.99, 1.0))
    control = {"features": "random", "importance": "none", "values": "uniform", "targets": "none"}
    return detected(**control, n_adversaries=550, **found) | changes


def search(attack: str, **changes: object) -> dict[str, object]:
    """Give a row of a detected attack on sequences."""
    blank = dict.fromkeys(("targets", "importance", "features", "values"), np.nan)
    return detected(**LETTERS, **blank, attack=attack, severity="all") | changes


EVADED = (0.0, 0.1, 1.0)
"""The penalties of an attacker who knows the detector."""


def evading(*penalties: float, **changes: object) -> pd.DataFrame:
    rows = [GENES | {"detector": "mahalanobis", "penalty": penalty, "n": 100} | changes
            for penalty in penalties]  # fmt: skip
    return pd.DataFrame(rows, columns=[*GENES, "detector", "penalty", "n"])


def best_detector(*rows: dict[str, object]) -> dict[str, pd.DataFrame]:
    """Give both tables of detection; every model's attacker knows mahalanobis."""
    rows = rows or (detected(), uniform_noise())
    known = pd.concat([evading(*EVADED), evading(*EVADED, **LETTERS)])
    return {"best_detector": pd.DataFrame(rows), "adaptive": known}


def every_table() -> dict[str, pd.DataFrame]:
    return {
        "worst_case": worst_case(),
        "certify": certify(),
        "baseline": baseline(),
        "warnings": warnings(("budget_exhausted", "genetic"), ("random_flips_more", "genetic")),
        "by_class": by_class((-0.234, -0.31, -0.15), (0.234, 0.15, 0.31)),
        "data": data(),
        "known_truth": known_truth(),
        "verdict": verdict(),
        "smallest_k": smallest_k(),
        **best_detector(),
    }
