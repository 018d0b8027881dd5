"""Models of expression with known answers, samples for them, and the attack in plain loops."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from genosiege.expression.fimba_options import Fimba
from genosiege.expression.samples import Samples


def samples(
    values: Any, labels: Any, prefix: str = "s", genes: tuple[str, ...] | None = None
) -> Samples:
    """Name the samples `prefix0`, … and the genes g0, …."""
    matrix = np.ascontiguousarray(values, dtype=np.float32)
    return Samples(
        ids=np.array([f"{prefix}{row}" for row in range(len(matrix))], dtype=np.str_),
        values=matrix,
        labels=np.asarray(labels, dtype=np.int64),
        genes=genes or tuple(f"g{column}" for column in range(matrix.shape[1])),
    )


def drawn(seed: int, n: int, p: int, prefix: str = "s", noise: float = 0.6) -> Samples:
    """Two classes whose means differ in falling steps from gene to gene."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 2)
    shift = np.linspace(0.6, 0.0, p)
    values = np.where(labels[:, None] == 1, shift, -shift) + noise * rng.uniform(-1, 1, (n, p))
    return samples(values, labels, prefix)


class Logistic:
    """Probability of class 1 by the logistic function of a weighted sum; counts what it is asked.

    It takes rows in batches of `batch_size`, which must not change any answer.
    """

    kind = "linear"

    def __init__(self, weights: Any, bias: float = 0.0, batch_size: int = 1000) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        self.bias = bias
        self.batch_size = batch_size
        self.n_queries = 0

    def predict_proba(self, values: np.ndarray) -> np.ndarray:
        self.n_queries += len(values)
        parts = [
            (values[start : start + self.batch_size].astype(np.float64) * self.weights).sum(axis=1)
            for start in range(0, len(values), self.batch_size)
        ]
        positive = 1 / (1 + np.exp(-(np.concatenate(parts) + self.bias)))
        return np.stack([1 - positive, positive], axis=1)


def network(weights: Any, bias: float = 0.0) -> Any:
    """The same model as a module that gives two logits, which is all that SHAP looks at."""
    import torch

    row = torch.as_tensor(np.asarray(weights), dtype=torch.float32)
    module = torch.nn.Linear(len(row), 2)
    with torch.no_grad():
        module.weight.copy_(torch.stack([-row / 2, row / 2]))
        module.bias.copy_(torch.tensor([-bias / 2, bias / 2]))
    return SimpleNamespace(kind="cnn", module=module)


def out_of_fold(train: Samples, wrong: Any) -> pd.DataFrame:
    """Out-of-fold predictions that are wrong for these rows, in an order of their own."""
    mistaken = np.isin(np.arange(len(train)), wrong)
    predicted = np.where(mistaken, 1 - train.labels, train.labels)
    table = pd.DataFrame({"id": train.ids, "label": train.labels, "predicted": predicted})
    return table.sample(frac=1, random_state=1)


def options(**changes: Any) -> Fimba:
    """Options small enough for toys."""
    small: dict[str, Any] = {
        "k": [2, 5, "all"],
        "random_sets": 2,
        "smallest_k": {"samples": 20, "max": 400},
        "neighbours": 5,
    }
    return Fimba.from_mapping(small | changes)


def moved_by_loops(
    values: np.ndarray, targets: np.ndarray, order: np.ndarray, k: int, t: float
) -> np.ndarray:
    """Move the first k features, sample by sample and feature by feature."""
    moved = values.astype(np.float64)
    for row in range(len(values)):
        for column in (order if order.ndim == 1 else order[row])[:k]:
            start, end = float(values[row, column]), float(targets[row, column])
            moved[row, column] = start + t * (end - start)
    return moved


def nearest_by_loops(sample: np.ndarray, candidates: np.ndarray) -> int:
    distances = [np.sum((candidate.astype(float) - sample) ** 2) for candidate in candidates]
    return int(np.argmin(distances))
