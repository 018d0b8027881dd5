"""Small tables of attacks and certificates, written by hand or at random."""

from typing import Any

import numpy as np
import pandas as pd

from genosiege.sequence.results import AttackResult, ModelResult

PLACE = ("promoters", "cnn", 0, "baseline")


def attack_row(name: str, attack_seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Give a run that withstood."""
    row = {
        "attack_seed": attack_seed,
        "id": name,
        "label": 1,
        "original": "A" * 20,
        "adversarial": "A" * 20,
        "edits": "",
        "n_edits": 0,
        "p_true_before": 0.9,
        "p_true_after": 0.8,
        "margin_before": 2.2,
        "margin_after": 1.4,
        "correct_before": True,
        "flipped": False,
        "success_drop": False,
        "success_flip": False,
        "keeps_hard_rules": True,
        "confidence_drop": 0.1,
        "n_queries": 100,
        "n_queries_unique": 80,
        "stop_reason": "patience",
        "pruned": "",
    }
    return row | changes


def flip(name: str, n_edits: int, attack_seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Give a run that flips the prediction by edits from the left."""
    found = {
        "adversarial": "G" * n_edits + "A" * (20 - n_edits),
        "edits": ";".join(f"{position}:A>G" for position in range(n_edits)),
        "n_edits": n_edits,
        "p_true_after": 0.3,
        "margin_after": -0.85,
        "flipped": True,
        "success_flip": True,
        "success_drop": True,
        "confidence_drop": 0.6,
        "n_queries": 20,
        "n_queries_unique": 10,
        "stop_reason": "success",
        "pruned": "complete" if n_edits > 1 else "",
    }
    return attack_row(name, attack_seed, **(found | changes))


def skipped(name: str, attack_seed: int = 0) -> dict[str, Any]:
    """Give the row of a sequence that the model is wrong about."""
    return attack_row(
        name,
        attack_seed,
        correct_before=False,
        p_true_before=0.2,
        p_true_after=0.2,
        margin_before=-1.4,
        margin_after=-1.4,
        confidence_drop=0.0,
        n_queries=1,
        n_queries_unique=1,
        stop_reason="",
    )


def metrics(seed: int = 0, accuracy: float = 0.8, **changes: Any) -> dict[str, Any]:
    """Give the content of a model's `metrics.json`."""
    measured = {
        "task": "promoters",
        "encoder": "cnn",
        "seed": seed,
        "stage": "baseline",
        "n": 100,
        "accuracy": accuracy,
        "mcc": 0.6,
        "f1": 0.8,
        "auroc": 0.87,
        "ece": 0.05,
        "loss": 0.3,
        "mean_margin": 1.5,
        "saturation": 0.25,
        "parameters": {"trainable": 10, "frozen": 90, "total": 100},
        "confusion_matrix": [[40, 10], [10, 40]],
        "mcc_interval": {"low": 0.44, "high": 0.75},
        "n_predicted_classes": 2,
        "majority_share": 0.5,
        "better_than_chance": True,
        "input_check": "passed",
    }
    return measured | changes


def attack(
    name: str, rows: list[dict[str, Any]], max_edits: int = 10, lost: int = 0, **changes: Any
) -> AttackResult:
    """Make an attack's result; rows that say nothing else are about the same model."""
    made = AttackResult(*PLACE, name, "test", pd.DataFrame(rows), lost, max_edits)
    return made._replace(**changes)


def certified(
    statuses: dict[str, list[str]], edits: dict[str, int] | None = None, **changes: Any
) -> ModelResult:
    """Make a certificate from the statuses of each sequence at k = 1, 2, …

    A flip takes as many edits as the first k that has it, or as `edits` says.
    """
    rows = []
    for name, answers in statuses.items():
        for k, status in enumerate(answers, start=1):
            fewest = (edits or {}).get(name, answers.index(status) + 1)
            n_edits = fewest if status == "flipped" else 0
            text = ";".join(f"{position}:A>C" for position in range(n_edits))
            rows.append(
                {"id": name, "label": 1, "k": k, "status": status, "edits": text,
                 "n_edits": n_edits}
            )  # fmt: skip
    return ModelResult(*PLACE, "", pd.DataFrame(rows))._replace(**changes)


def random_suite(rng: np.random.Generator) -> tuple[list[AttackResult], ModelResult]:
    """Draw one to four attacks, with up to three seeds each, and a certificate, on one sample."""
    names = [f"test:{number}" for number in range(int(rng.integers(1, 15)))]
    right = {name: rng.random() < 0.8 for name in names}
    attacks = []
    for number in range(int(rng.integers(1, 5))):
        max_edits = int(rng.integers(1, 13))
        rows = []
        for seed in range(int(rng.integers(1, 4))):
            for name in names:
                n_edits = int(rng.integers(1, 16))
                within = n_edits <= max_edits
                won = flip(name, n_edits, seed, success_flip=within)
                lost = attack_row(name, seed)
                run = won if rng.random() < 0.5 else lost
                rows.append(run if right[name] else skipped(name, seed))
        attacks.append(attack(f"attack{number}", rows, max_edits))
    statuses = {}
    for name in names:
        first = rng.choice(["robust", "flipped", "unknown"])
        later = "flipped" if first == "flipped" else rng.choice(["robust", "flipped", "unknown"])
        known = [str(first), str(later)]
        statuses[name] = known if right[name] else ["skipped_misclassified"] * 2
    return attacks, certified(statuses)
