"""Scores of detectors as the files of both arms hold them, by hand or drawn at random."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genosiege import files
from genosiege.detection.options import UPPER
from genosiege.detection.tables import adaptive_table, detection_table

T = 8 / 9
SETTING = {
    "attack": "fimba", "targets": "opposite", "importance": "global", "features": "shap",
    "feature_set": 0, "values": "interpolated", "k": 10, "t": T, "fraction": 0,
}  # fmt: skip
_NO_SETTING = {
    "attack": "", "targets": "", "importance": "", "features": "", "feature_set": 0, "values": "",
    "k": 0, "t": np.nan, "fraction": 0,
}  # fmt: skip

Scores = Mapping[str, Sequence[float]]


def _scores(scores: Scores) -> dict[str, Any]:
    return {f"score_{name}": np.asarray(values, dtype=float) for name, values in scores.items()}


def natural_expression(validation: Scores, natural: Scores, prefix: str = "") -> pd.DataFrame:
    """Give the natural rows: ids v0… of validation, n0… of test; the last of test is an error."""
    parts = []
    for part, letter, scores in (("validation", "v", validation), ("natural", "n", natural)):
        n = len(next(iter(scores.values())))
        right = np.ones(n, dtype=bool)
        right[-1] = part == "validation"
        rows = {
            "part": part, **_NO_SETTING, "id": [f"{prefix}{letter}{i}" for i in range(n)],
            "label": 0, "target": -1, "correct_before": right, "flipped": False, "moved": False,
            **_scores(scores),
        }  # fmt: skip
        parts.append(pd.DataFrame(rows))
    return pd.concat(parts, ignore_index=True)


def attacked_expression(ids: Sequence[str], scores: Scores, **changes: Any) -> pd.DataFrame:
    """Give the rows of one setting; all are moved, of right predictions, and flip."""
    rows = {
        "part": "attacked", **SETTING, "id": list(ids), "label": 0, "target": range(len(ids)),
        "correct_before": True, "flipped": True, "moved": True, **_scores(scores),
    }  # fmt: skip
    return pd.DataFrame(rows | changes)


def sequences(part: str, ids: Sequence[str], scores: Scores, **changes: Any) -> pd.DataFrame:
    """Give rows of the arm of sequences; adversaries have 2 edits and flip."""
    edited = part in ("adversary", "mutant")
    rows = {
        "part": part, "attack": "genetic" if edited else "", "attack_seed": 0, "id": list(ids),
        "label": 0, "n_edits": 2 if edited else 0, "copy": int(part == "mutant"),
        "correct_before": True, "flipped": part == "adversary", **_scores(scores),
    }  # fmt: skip
    return pd.DataFrame(rows | changes)


def adaptive(
    part: str, ids: Sequence[str], scores: Scores, arm: str = "expression", **changes: Any
) -> pd.DataFrame:
    """Give rows of adaptive attackers; attacked ones evade the first detector and flip."""
    hit = part == "attacked"
    rows = {
        "part": part, "detector": next(iter(scores)) if hit else "",
        "penalty": 0.0 if hit else np.nan, "id": list(ids), "label": 0, "correct_before": True,
        "flipped": hit, "p_true_before": 0.9, "p_true_after": 0.1, "suspicion": 0.5,
    }  # fmt: skip
    rows |= {"k": 10, "t": T, "l0": 7.0, "l2": 1.0} if arm == "expression" else {"n_edits": 3}
    return pd.DataFrame(rows | _scores(scores) | changes)


def put(
    root: Path,
    tables: Iterable[pd.DataFrame],
    name: str = "detection.parquet",
    data: str = "tcga",
    model: str = "forest",
    seed: int = 0,
    arm: str = "expression",
) -> str:
    """Write a model's file and give its path."""
    stage = ["baseline"] if arm == "sequence" else []
    path = root.joinpath(arm, data, model, f"seed{seed}", *stage, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_parquet(pd.concat(list(tables), ignore_index=True), str(path))
    return str(path)


def simulated(
    root: Path, seed: int, shift: float, n: int = 60, ks: Sequence[int] = (10, 20)
) -> str:
    """Write a model whose attacked samples score `shift` sd higher, in two detectors of which
    the second sees nothing.
    """
    rng = np.random.default_rng([7, seed])
    ids = [f"n{i}" for i in range(n)]
    parts = [
        natural_expression(
            {"mahalanobis": rng.normal(size=n), "margin": rng.normal(size=n)},
            {"mahalanobis": rng.normal(size=n), "margin": rng.normal(size=n)},
        )
    ]
    for k in ks:
        scores = {"mahalanobis": rng.normal(shift, 1, n), "margin": rng.normal(size=n)}
        parts.append(attacked_expression(ids, scores, k=k, flipped=np.arange(n) % 2 == 0))
    return put(root, parts, seed=seed)


# High scores alone are suspicious here, so that all can be worked out from ranks.
tabulate = partial(detection_table.detection_table, tails=UPPER)
tabulate_adaptive = partial(adaptive_table.adaptive_table, tails=UPPER)

# 20 validation samples: the threshold of 5 % is 19, that of 1 % is not attained.
VALIDATION = {"margin": np.arange(20.0)}
# One of 5 natural samples above it.
NATURAL = {"margin": [1.0, 2.0, 3.0, 4.0, 25.0]}


def toy(root: Path, *parts: pd.DataFrame, seed: int = 0) -> str:
    return put(root, [natural_expression(VALIDATION, NATURAL), *parts], seed=seed)


def only(table: pd.DataFrame, **values: Any) -> "pd.Series[Any]":
    for name, value in values.items():
        table = table[table[name] == value]
    ((_, row),) = table.iterrows()
    return row


def sequence_file(root: Path, seed: int = 0) -> str:
    return put(
        root,
        [
            sequences("validation", [f"dev:{i}" for i in range(20)], {"kmer": np.arange(20.0)}),
            sequences("natural", ["a", "b", "c"], {"kmer": [0.0, 1.0, 2.0]}),
            sequences(
                "adversary", ["a", "b", "c"], {"kmer": [1.5, 30.0, 40.0]},
                n_edits=[1, 3, 9], flipped=[True, False, True],
            ),
            sequences("mutant", ["a", "b", "c"], {"kmer": [9.0, 31.0, 8.0]}, n_edits=[1, 3, 9]),
            sequences("mutant", ["a", "b", "c"], {"kmer": [9.0, 29.0, 50.0]}, n_edits=[1, 3, 9],
                      copy=2),
            sequences("adversary", ["a"], {"kmer": [5.0]}, attack="random", n_edits=2),
        ],
        arm="sequence", data="prom", model="cnn", seed=seed,
    )  # fmt: skip


def adaptive_file(root: Path, seed: int = 0, few: bool = False) -> str:
    names = [f"n{i}" for i in range(4)]
    flips = [True, True, True, False]
    validation = {"margin": np.arange(10.0 if few else 20.0)}
    return put(
        root,
        [
            adaptive("validation", [f"v{i}" for i in range(len(validation["margin"]))], validation),
            adaptive("natural", names, {"margin": [0.0, 1.0, 2.0, 25.0]}),
            adaptive("attacked", names, {"margin": [30.0, 40.0, 19.0, 50.0]}, flipped=flips,
                     suspicion=[1.0, 2.0, 3.0, 90.0], l0=[1.0, 2.0, 6.0, 90.0]),
            adaptive("attacked", names, {"margin": [3.0, 40.0, 2.0, 0.0]}, flipped=flips,
                     penalty=1.0),
            adaptive("attacked", names, {"margin": [0.0] * 4}, flipped=False, penalty=2.0),
        ],
        "adaptive.parquet", seed=seed,
    )  # fmt: skip
