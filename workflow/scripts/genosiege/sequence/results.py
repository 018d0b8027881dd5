"""Results of attacks and certificates, read with what their place among the results says.

Free of statistics, so that a job which only needs the rows depends on no table of the report.
"""

import re
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from genosiege import files
from genosiege.errors import InputError

MODEL = ["task", "encoder", "seed", "stage"]
"""The columns that tell which model a row is about."""

MAX_BUDGET = 10
"""Largest edit budget of a robust-accuracy curve."""

SEARCHED = ("device", "machine", "precision", "batching")
"""What an attack table notes of the search that made it."""

_MODEL_PATH = (
    r"/(?P<task>[^/]+)/(?P<encoder>[^/]+)/seed(?P<seed>\d+)/(?P<stage>baseline|[^/]+/round\d+)/"
)
_ATTACK = r"attacks/(?P<attack>[^/]+)/(?P<split>train|dev|test)\.parquet$"
_CERTIFICATE = r"certify\.parquet$"
_TRANSFER = r"transfer/(?P<attack>[^/]+)\.parquet$"
_REPLAY = r"replay/(?P<attack>[^/]+)\.parquet$"
_REVERSE = r"reverse_replay/(?P<attack>[^/]+)\.parquet$"
_LATENT = r"latent(/(?P<attack>[^/]+))?\.parquet$"
_PREDICTIONS = r"predictions\.parquet$"

ATTACK_ROWS = {
    "attack_seed": "int64",
    "id": "object",
    "label": "int64",
    "original": "object",
    "adversarial": "object",
    "edits": "object",
    "n_edits": "int64",
    "p_true_before": "float64",
    "p_true_after": "float64",
    "margin_before": "float64",
    "margin_after": "float64",
    "correct_before": "bool",
    "flipped": "bool",
    "success_drop": "bool",
    "success_flip": "bool",
    "keeps_hard_rules": "bool",
    "confidence_drop": "float64",
    "n_queries": "int64",
    "n_queries_unique": "int64",
    "stop_reason": "object",
}
CERTIFICATE_ROWS = {
    "id": "object",
    "label": "int64",
    "k": "int64",
    "status": "object",
    "edits": "object",
    "n_edits": "int64",
}
LATENT_ROWS = {
    "id": "object",
    "norm": "object",
    "epsilon": "float64",
    "correct_before": "bool",
    "flipped": "bool",
    "l2": "float64",
    "linf": "float64",
    "n_gradients": "int64",
}
TRANSFER_ROWS = {
    "source_task": "object",
    "source_encoder": "object",
    "attack_seed": "int64",
    "id": "object",
    "label": "int64",
    "source_correct": "bool",
    "source_flipped": "bool",
    "margin_before": "float64",
    "margin_after": "float64",
    "correct_before": "bool",
    "flipped": "bool",
    "n_edits": "int64",
}
"""A transferred adversary: one row per source model, attack seed and sequence."""
PREDICTION_ROWS = {"id": "object", "label": "int64", "correct": "bool"}

METRICS = (
    *MODEL, "n", "accuracy", "mcc", "f1", "auroc", "ece", "loss", "mean_margin", "saturation",
    "parameters", "confusion_matrix", "mcc_interval", "n_predicted_classes", "majority_share",
    "better_than_chance", "input_check",
)  # fmt: skip
"""What tables read of a `metrics.json`."""


class AttackResult(NamedTuple):
    """One attack table with what its place in the results says about it."""

    task: str
    encoder: str
    seed: int
    stage: str
    attack: str
    split: str
    rows: pd.DataFrame
    search_flips_lost: int
    max_edits: int = MAX_BUDGET

    @property
    def attacked(self) -> pd.DataFrame:
        """The rows that were attacked: those the model classified correctly."""
        return self.rows[self.rows["correct_before"]]


class ModelResult(NamedTuple):
    """A table about one model and, where it has one, the attack it is named for."""

    task: str
    encoder: str
    seed: int
    stage: str
    attack: str
    rows: pd.DataFrame


def read_metrics(path: str) -> dict[str, Any]:
    """Read what was measured of a model on the clean test split, `…/stage/metrics.json`.

    Raises
    ------
    InputError
        If the file is missing, no JSON, or lacks what tables need of it.
    """
    found = files.read_json(path)
    missing = [name for name in METRICS if name not in found]
    if missing:
        raise InputError(f"{path}: {missing[0]} is missing; make this file again.")
    return dict(found)


def read_attack(path: str, extra: Mapping[str, str] | None = None) -> AttackResult:
    """Read an attack table; its path names task, encoder, seed, stage, attack and split.

    Parameters
    ----------
    path : str
        `…/task/encoder/seedN/stage/attacks/attack/split.parquet`.
    extra : mapping of str to str, optional
        Types of columns that are needed beside `ATTACK_ROWS`.

    Raises
    ------
    InputError
        If the path is not of that form, the table lacks a column or has no row.
    """
    place = _place(path, _ATTACK)
    if place is None:
        raise InputError(
            f"{path}: an attack table lies at task/encoder/seedN/stage/attacks/attack/split"
            ".parquet; move the file there."
        )
    rows = read_rows(path, ATTACK_ROWS | dict(extra or {}), "attack table")
    noted = files.parquet_metadata(path, ("search_flips_lost", "max_edits"))
    return AttackResult(
        task=place["task"],
        encoder=place["encoder"],
        seed=int(place["seed"]),
        stage=place["stage"],
        attack=place["attack"],
        split=place["split"],
        rows=rows,
        search_flips_lost=int(noted.get("search_flips_lost", 0)),
        max_edits=int(noted.get("max_edits", MAX_BUDGET)),
    )


def read_certificate(path: str) -> ModelResult:
    """Read a model's certificate, `…/stage/certify.parquet`; errors as for `read_attack`."""
    return _read_of_model(path, _CERTIFICATE, CERTIFICATE_ROWS, "certificate", "certify.parquet")


def read_transfer(path: str) -> ModelResult:
    """Read adversaries scored on a target model, `…/stage/transfer/attack.parquet`.

    Errors as for `read_attack`; task and encoder are the target's.
    """
    return _read_of_model(path, _TRANSFER, TRANSFER_ROWS, "transfer", "transfer/attack.parquet")


def read_replay(path: str) -> ModelResult:
    """Read the baseline's adversaries scored on a hardened model, `…/stage/replay/attack.parquet`.

    Errors as for `read_attack`.
    """
    return _read_of_model(path, _REPLAY, TRANSFER_ROWS, "replay", "replay/attack.parquet")


def read_reverse_replay(path: str) -> ModelResult:
    """Read a hardened model's adversaries scored on the baseline, beside the hardened model.

    `…/stage/reverse_replay/attack.parquet`; errors as for `read_attack`.
    """
    example = "reverse_replay/attack.parquet"
    return _read_of_model(path, _REVERSE, TRANSFER_ROWS, "reverse replay", example)


def read_predictions(path: str) -> ModelResult:
    """Read a model's predictions on the clean test split, `…/stage/predictions.parquet`.

    Errors as for `read_attack`.
    """
    place = "predictions.parquet"
    return _read_of_model(path, _PREDICTIONS, PREDICTION_ROWS, "table of predictions", place)


def read_latent(path: str) -> list[ModelResult]:
    """Read a model's attacks outside DNA space, one result per attack.

    Parameters
    ----------
    path : str
        `…/stage/latent/attack.parquet`, or `…/stage/latent.parquet` of several attacks, which
        its column `attack` names.

    Raises
    ------
    InputError
        As for `read_attack`.
    """
    found = _read_of_model(path, _LATENT, LATENT_ROWS, "latent attack", "latent/attack.parquet")
    if found.attack:
        return [found]
    if "attack" not in found.rows:
        raise InputError(f"{path}: column attack is missing; make the latent attack again.")
    return [
        found._replace(attack=str(attack), rows=rows)
        for attack, rows in found.rows.groupby("attack", sort=True)
    ]


def _read_of_model(
    path: str, form: str, columns: Mapping[str, str], what: str, example: str
) -> ModelResult:
    place = _place(path, form)
    if place is None:
        raise InputError(
            f"{path}: this table lies at task/encoder/seedN/stage/{example}; move the file there."
        )
    return ModelResult(
        task=place["task"],
        encoder=place["encoder"],
        seed=int(place["seed"]),
        stage=place["stage"],
        attack=place.groupdict().get("attack") or "",
        rows=read_rows(path, columns, what),
    )


def _place(path: str | PathLike[str], form: str) -> re.Match[str] | None:
    return re.search(_MODEL_PATH + form, Path(path).as_posix())


def read_rows(path: str, columns: Mapping[str, str], what: str) -> pd.DataFrame:
    """Read a table, check that it has rows and some columns, and give those their types.

    Raises
    ------
    InputError
        If the file is missing, no parquet, lacks a column or has no row.
    """
    rows = files.read_parquet(path)
    missing = [name for name in columns if name not in rows]
    if missing:
        raise InputError(f"{path}: column {missing[0]} is missing; make the {what} again.")
    if rows.empty:
        raise InputError(f"{path}: the table has no row; attack at least one sequence.")
    return rows.astype(dict(columns))


def read_several(paths: Iterable[str], columns: Mapping[str, str], what: str) -> pd.DataFrame:
    """Read tables of one kind into one, with these columns only; none give an empty table.

    Errors as for `read_rows`.
    """
    names = list(columns)
    parts = [read_rows(path, columns, what)[names] for path in paths]
    empty = pd.DataFrame(columns=names).astype(dict(columns))
    return pd.concat(parts, ignore_index=True) if parts else empty
