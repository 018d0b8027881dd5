"""The rounds of one defence: what each was trained on, and how its model does."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genosiege.errors import InputError
from genosiege.sequence import rates
from genosiege.sequence.results import AttackResult, ModelResult, read_several
from genosiege.sequence.summaries import robust_at
from genosiege.sequence.training_rows import ATTACKING, successful
from genosiege.statistics import weighted_mean, weighted_median

BIOLOGY = {"plausibility": "float64"}
"""What is read of an attack table beside `results.ATTACK_ROWS`."""

_COUNT, _RATE = "Int64", "float64"
COLUMNS = {
    "task": "object", "encoder": "object", "seed": "int64", "defence": "object",
    "kind": "object", "round": "int64", "stage": "object", "is_last": "bool",
    "stop_reason": "object", "adversary_source": "object", "attack": "object",
    "n_train_attacked": _COUNT, "n_adversaries": _COUNT,
    **dict.fromkeys(rates.columns("source_flip_rate"), _RATE),
    "n_examples": _COUNT, "n_replay": _COUNT, "n_steps": _COUNT, "learning_rate": _RATE,
    "kept": "bool", "training_loss": _RATE,
    "n_test": _COUNT, **dict.fromkeys(rates.columns("accuracy"), _RATE),
    **dict.fromkeys(("loss", "mcc", "ece", "mean_margin", *rates.columns("saturation")), _RATE),
    "n_sequences": _COUNT, "n_correct": _COUNT,
    **{
        column: _RATE
        for name in (
            "robust_accuracy", "flip_rate", "success_drop_rate", "median_edits", "median_queries",
            "mean_plausibility", "mean_confidence_drop", "mean_drop_per_edit", "replay_flip_rate",
        )
        for column in rates.columns(name)
    },
    "replay_gap": _RATE, "input_check": "object",
}  # fmt: skip
"""The table `hardening`, one row per round; the baseline is round 0."""


class Place(NamedTuple):
    """Which defence of which model."""

    task: str
    encoder: str
    seed: int
    defence: str

    def stage(self, number: int) -> str:
        """Name the stage of a round; the baseline is round 0 of every defence."""
        return f"{self.defence}/round{number}" if number else "baseline"

    def __str__(self) -> str:
        return f"{self.task}, {self.encoder}, seed {self.seed}, {self.defence}"


class Measured(NamedTuple):
    """What was made in the rounds of a defence.

    Attributes
    ----------
    metrics : list of mapping
        Content of `metrics.json`, of rounds 0 to the last.
    attacks : list of AttackResult
        The defence's own attack on the test sample, read with `BIOLOGY`, of the same rounds.
    training_attacks : list of AttackResult
        The attacks for the training of rounds 1 to the last; none for controls.
    descriptions : list of mapping
        Content of `model.json`, of rounds 1 to the last.
    replays : list of ModelResult
        The baseline's adversaries asked again, of rounds 1 to the last.
    decision : mapping, optional
        Why no further round was run; None where all were.
    """

    metrics: list[Mapping[str, Any]]
    attacks: list[AttackResult]
    training_attacks: list[AttackResult]
    descriptions: list[Mapping[str, Any]]
    replays: list[ModelResult]
    decision: Mapping[str, Any] | None = None

    @property
    def last(self) -> int:
        """Number of the last round; 0 where the first decision was to run none."""
        return len(self.metrics) - 1


def rounds_table(place: Place, options: Mapping[str, Any], measured: Measured) -> pd.DataFrame:
    """Tabulate the rounds of one defence.

    Parameters
    ----------
    place : Place
        Which defence.
    options : mapping
        Of the defence: kind, attack, adversaries, adversary_source, rounds.
    measured : Measured
        What was made in its rounds.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, as in the caption `workflow/report/hardening.rst`. Rates and medians are
        over attack runs, a sequence once per attack seed, as in the table `attacks`.

    Raises
    ------
    InputError
        If a table or a description is not of the round that it stands for.
    """
    _check(place, options, measured)
    attacking = options["kind"] in ATTACKING
    last, baseline = measured.last, _sorted(measured.attacks[0].rows)
    rows = []
    for number in range(last + 1):
        row: dict[str, Any] = {
            **place._asdict(),
            "kind": options["kind"],
            "round": number,
            "stage": place.stage(number),
            "is_last": number == last,
            "stop_reason": _stop_reason(place, options, measured) if number == last else "",
            "adversary_source": options["adversary_source"] if attacking else "train",
            "attack": options["attack"],
        }
        row |= _training(place, measured, number) if number else _UNTRAINED
        row |= _clean(measured.metrics[number])
        row |= _attacked(measured.attacks[number])
        again = _as_replay(baseline) if not number else measured.replays[number - 1].rows
        row |= _replayed(_sorted(again))
        row["replay_gap"] = row["flip_rate"] - row["replay_flip_rate"]
        rows.append(row)
    return pd.DataFrame(rows)[list(COLUMNS)].astype(COLUMNS)


def read(paths: Iterable[str]) -> pd.DataFrame:
    """Read the rounds of several defences into one table.

    Raises
    ------
    InputError
        If a file is missing, lacks a column or has no row.
    """
    return read_several(paths, COLUMNS, "table of rounds")


def in_order(table: pd.DataFrame, defences: Sequence[str], *within: str) -> pd.DataFrame:
    """Sort a table by model, then by defence in the order given, then by further columns.

    Defences that are not named come last, by name.
    """
    rank = {name: number for number, name in enumerate(defences)}
    places = table["defence"].map(lambda name: (rank.get(name, len(rank)), name))
    by = ["task", "encoder", "seed", "_place", *within]
    ordered = table.assign(_place=places).sort_values(by, kind="stable", ignore_index=True)
    return ordered.drop(columns="_place")


# What a row holds ---------------------------------------------------------------------

_NONE = (float("nan"),) * 3
_NO_SOURCE = {
    "n_train_attacked": pd.NA,
    "n_adversaries": pd.NA,
    **dict(zip(rates.columns("source_flip_rate"), _NONE, strict=True)),
}
_UNTRAINED = {
    **_NO_SOURCE,
    "n_examples": 0,
    "n_replay": 0,
    "n_steps": 0,
    "learning_rate": float("nan"),
    "kept": False,
    "training_loss": float("nan"),
}


def _training(place: Place, measured: Measured, number: int) -> dict[str, Any]:
    """Say what a round was trained on, and with which loss."""
    found = measured.descriptions[number - 1]
    losses = field(found, "history", place)["losses"]
    row = {name: field(found, name, place) for name in ("n_examples", "n_replay", "n_steps")}
    row |= {
        "kept": bool(field(found, "kept", place)),
        "learning_rate": field(found, "hardening", place)["learning_rate"],
        "training_loss": float(np.mean(losses)) if losses else math.nan,
    }
    if not measured.training_attacks:
        return row | _NO_SOURCE
    n_attacked, n_flipped = (int(field(found, name, place)) for name in _TOLD_OF_ATTACK)
    row |= {"n_train_attacked": n_attacked, "n_adversaries": n_flipped}
    return row | rates.wilson("source_flip_rate", n_flipped, n_attacked)


_TOLD_OF_ATTACK = ("n_attacked", "n_adversaries")


def _clean(metrics: Mapping[str, Any]) -> dict[str, Any]:
    n = int(metrics["n"])
    row = {"n_test": n} | {name: metrics[name] for name in (*_CLEAN_MEASURES, "input_check")}
    for name in ("accuracy", "saturation"):
        row |= rates.wilson(name, round(metrics[name] * n), n)
    return row


_CLEAN_MEASURES = ("loss", "mcc", "ece", "mean_margin", "saturation")


def _attacked(result: AttackResult) -> dict[str, Any]:
    """Summarise the fresh attack on the test sample."""
    rows = _sorted(result.rows)
    attacked = rows[rows["correct_before"]]
    won = attacked[attacked["success_flip"]]
    sequences = rows.drop_duplicates("id")
    # The streams of the table `attacks`, so that both give the same intervals.
    whose = (result.task, result.encoder, result.seed, result.stage, result.attack, result.split)
    row = {
        "n_sequences": len(sequences),
        "n_correct": int(sequences["correct_before"].sum()),
        **rates.clustered("robust_accuracy", robust_at(rows), rows["id"]),
        **rates.clustered("flip_rate", attacked["success_flip"], attacked["id"]),
        **rates.clustered("success_drop_rate", attacked["success_drop"], attacked["id"]),
    }
    per_edit = won["confidence_drop"] / won["n_edits"]
    for name, values, statistic in (
        ("median_edits", won["n_edits"], weighted_median),
        ("median_queries", attacked["n_queries_unique"], weighted_median),
        ("mean_plausibility", won["plausibility"], weighted_mean),
        ("mean_confidence_drop", attacked["confidence_drop"], weighted_mean),
        ("mean_drop_per_edit", per_edit, weighted_mean),
    ):
        ids = rows.loc[values.index, "id"]
        row |= rates.bootstrapped(name, values, ids, statistic, *whose)
    return row


def _replayed(rows: pd.DataFrame) -> dict[str, float]:
    """Share of old adversaries that flip, of those whose original both models know."""
    both = rows[rows["source_correct"] & rows["correct_before"]]
    return rates.clustered("replay_flip_rate", both["flipped"], both["id"])


def _as_replay(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the baseline's attack as the replay on itself."""
    return rows.assign(source_correct=rows["correct_before"], flipped=rows["success_flip"])


def _sorted(rows: pd.DataFrame) -> pd.DataFrame:
    """Put rows in an order of their own, as sums of floats hang on it."""
    return rows.sort_values(["attack_seed", "id"], ignore_index=True)


def _stop_reason(place: Place, options: Mapping[str, Any], measured: Measured) -> str:
    if measured.decision is not None:
        return str(field(measured.decision, "reason", place))
    return f"all {options['rounds']} rounds were run"


# What is refused ----------------------------------------------------------------------


def field(found: Mapping[str, Any], name: str, place: Place) -> Any:
    """Give what a JSON file says.

    Raises
    ------
    InputError
        If it does not say that.
    """
    if name not in found:
        raise InputError(f"{place}: one of its files lacks {name}; make its rounds again.")
    return found[name]


def check_stages(
    place: Place, what: str, stages: Iterable[str], expected: Iterable[str], number: int
) -> None:
    """Check that files are of the stages they stand for; `number` is how many rounds there are.

    Raises
    ------
    InputError
        If one is missing, too many, or at another's place.
    """
    given, needed = list(stages), list(expected)
    if given != needed:
        raise InputError(
            f"{place}: its {what} are of {', '.join(given) or 'no stage'}, where its {number} "
            f"rounds need {', '.join(needed) or 'none'}; run the workflow again."
        )


def _check(place: Place, options: Mapping[str, Any], measured: Measured) -> None:
    """Refuse files of other rounds, other models or another attack."""
    last = measured.last
    stages = [place.stage(number) for number in range(last + 1)]
    attacking = options["kind"] in ATTACKING
    for what, given, expected in (
        ("metrics", [field(found, "stage", place) for found in measured.metrics], stages),
        ("attacks", [found.stage for found in measured.attacks], stages),
        (
            "attacks for training",
            [found.stage for found in measured.training_attacks],
            stages[:-1] if attacking else [],
        ),
        ("models", [field(found, "stage", place) for found in measured.descriptions], stages[1:]),
        ("replays", [found.stage for found in measured.replays], stages[1:]),
    ):
        check_stages(place, what, given, expected, last)
    for metrics in measured.metrics:
        for name in ("n", "accuracy", *_CLEAN_MEASURES, "input_check"):
            field(metrics, name, place)
    tables: list[AttackResult | ModelResult] = [*measured.attacks, *measured.training_attacks]
    for found in [*tables, *measured.replays]:
        check_model(place, found)
        if found.attack != options["attack"]:
            raise InputError(
                f"{place}: {found.stage} was attacked by {found.attack}, not by "
                f"{options['attack']}; run the workflow again."
            )
    _check_end(place, options, measured)
    # A control has descriptions only.
    for attack, told in zip(measured.training_attacks, measured.descriptions, strict=False):
        _check_source(place, options, attack, told)


def check_model(place: Place, found: AttackResult | ModelResult) -> None:
    """Refuse a table of another model.

    Raises
    ------
    InputError
        If task, encoder or seed are not those of the defence.
    """
    if (found.task, found.encoder, found.seed) != place[:3]:
        raise InputError(
            f"{place}: a table is of {found.task}, {found.encoder}, seed {found.seed}; run the "
            "workflow again."
        )


def _check_end(place: Place, options: Mapping[str, Any], measured: Measured) -> None:
    """Refuse rounds that end neither with the last one asked for nor by a decision."""
    if measured.decision is not None and field(measured.decision, "go", place):
        raise InputError(f"{place}: the last decision was to go on; run the workflow again.")
    if (measured.last == options["rounds"]) == (measured.decision is not None):
        raise InputError(
            f"{place}: {measured.last} of {options['rounds']} rounds are there, "
            f"{'and' if measured.decision else 'but not'} a decision to stop; run it again."
        )


def _check_source(
    place: Place, options: Mapping[str, Any], attack: AttackResult, told: Mapping[str, Any]
) -> None:
    """Refuse an attack for training other than the one that a round was trained on."""
    if attack.split != options["adversary_source"]:
        raise InputError(
            f"{place}: {told['stage']} was to be trained on the {options['adversary_source']} "
            f"split, but its attack is on {attack.split}; run the workflow again."
        )
    # Of the test sample only some are looked at; the model's description says of how many.
    if attack.split == "train":
        rows = attack.attacked
        rows = rows[rows["attack_seed"] == attack.rows["attack_seed"].min()]
        counted = [len(rows), int(successful(rows, options["adversaries"]).sum())]
        if counted != [int(field(told, name, place)) for name in _TOLD_OF_ATTACK]:
            raise InputError(
                f"{place}: {told['stage']} was trained on another attack than the one beside it; "
                "remove the round and rerun."
            )
