"""What hardening did to each sequence: the baseline and the last round, side by side."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from genosiege.errors import InputError
from genosiege.sequence.results import AttackResult, ModelResult, read_several
from genosiege.sequence.rounds import Place, check_model, check_stages, field
from genosiege.sequence.suite import CERTIFY, Suite, suites
from genosiege.sequence.worst_case import WORST_CASE

BLACK_BOX = "black_box"
"""The defence's own attack, run afresh on either model."""
REPLAY = "replay"
"""The adversaries that this attack found on the baseline, asked of either model."""
REVERSE = "reverse_replay"
"""Those that it found on the last round, asked of either model."""
TRANSFER = "transfer:"
"""With attack and source: adversaries that were made against another model."""
CLEAN = "clean"
"""No attack: the whole clean test split."""

_TAKEN = (BLACK_BOX, REPLAY, REVERSE, CLEAN, CERTIFY, WORST_CASE)

SIDE = {
    "correct": "bool",
    "flipped": "bool",
    "n_edits": "float64",
    "n_runs": "float64",
    "n_drops": "float64",
    "edits_of_drops": "float64",
    "size_of_drops": "float64",
}
"""What is known of a sequence before, and again after."""

COLUMNS = {
    "task": "object", "encoder": "object", "seed": "int64", "defence": "object",
    "attack": "object", "sample": "object", "id": "object", "label": "int64", "attacked": "bool",
    **{f"{name}_{when}": kind for name, kind in SIDE.items() for when in ("before", "after")},
    "trained_on": "bool",
}  # fmt: skip


class Compared(NamedTuple):
    """The tables that compare a baseline with the last round of a defence.

    Where no round was run, the last round is the baseline.

    Attributes
    ----------
    predictions : list of ModelResult
        On the clean test split, of both.
    black_box : list of AttackResult
        The defence's own attack on the test sample, of both.
    replay : ModelResult or None
        The baseline's adversaries asked of the last round; None where that is the baseline.
    suite_before, suite_after : list of AttackResult
        The suite's attacks on the baseline and on the last round.
    certificates : list of ModelResult
        Of both, or none.
    transfers : list of ModelResult
        Other models' adversaries, asked of both, or none.
    descriptions : list of mapping
        Content of `model.json`, of all rounds from 1.
    reverse : ModelResult or None
        The last round's adversaries asked of the baseline; None where the suite has no
        transferred adversaries, and where the last round is the baseline.
    transfers_count : bool
        Whether the suite has transferred adversaries.
    """

    predictions: list[ModelResult]
    black_box: list[AttackResult]
    replay: ModelResult | None
    suite_before: list[AttackResult]
    suite_after: list[AttackResult]
    certificates: list[ModelResult]
    transfers: list[ModelResult]
    descriptions: list[Mapping[str, Any]]
    reverse: ModelResult | None = None
    transfers_count: bool = False


def outcomes_table(place: Place, compared: Compared) -> pd.DataFrame:
    """Tabulate for each attack and sequence what happened before and after hardening.

    Parameters
    ----------
    place : Place
        Which defence.
    compared : Compared
        The tables of the baseline and of the last round.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, sorted by attack, sample and id. One row per attack, `sample` (the task whose
        test sample a sequence is of; only a transfer may have another than the model's) and id.

        `attack` is the name of an attack of the suite, `CERTIFY`, `WORST_CASE` (all of these
        together), `BLACK_BOX`, `REPLAY`, `REVERSE`, `TRANSFER` with attack and source, or
        `CLEAN`. Where the suite has transferred adversaries, the worst case counts `REPLAY`,
        `REVERSE` and those of other models as well: either model then faces the adversaries of
        both, and none has been asked more than the other.

        `attacked`: whether there was an adversary for this sequence; no transferred one is made
        of a sequence that its source gets wrong.

        With `_before` and `_after`: `correct`, the model is right about the original; `flipped`,
        some attack seed's adversary changes the class within the allowed edits and breaks no
        hard rule; `n_edits`, fewest edits of a flip, nan without one.
        For `BLACK_BOX` only: `n_runs`, attack runs on the sequence; `n_drops`, those that are a
        `success_drop`; `edits_of_drops` and `size_of_drops`, sums over these of edits and of the
        fall in confidence.

        `trained_on`: some round was trained on this sequence, or on an adversary of it.

    Raises
    ------
    InputError
        If tables are missing, of another model, or not about the same sequences.
    """
    last = place.stage(len(compared.descriptions))
    _check(place, compared, last)
    own, own_after = (_of_attack(found) for found in compared.black_box)
    clean, clean_after = (_of_predictions(found) for found in compared.predictions)
    transferred = [
        _replay(place, own, compared.replay),
        *_reverse(place, own_after, compared),
        *_transfers(place, compared.transfers, last),
    ]
    parts = [
        *_suite(place, compared, transferred if compared.transfers_count else []),
        _pair(place, BLACK_BOX, own, own_after),
        *transferred,
        _pair(place, CLEAN, clean, clean_after),
    ]
    table = pd.concat(parts, ignore_index=True)
    trained_on = {
        example["id"]
        for description in compared.descriptions
        for example in field(description, "trained_on", place)
    }
    # Another task may call another sequence the same.
    table["trained_on"] = table["id"].isin(trained_on) & (table["sample"] == place.task)
    table = table.assign(**place._asdict())[list(COLUMNS)].astype(COLUMNS)
    return table.sort_values(["attack", "sample", "id"], ignore_index=True)


def read(paths: Iterable[str]) -> pd.DataFrame:
    """Read the outcomes of several defences into one table.

    Raises
    ------
    InputError
        If a file is missing, lacks a column or has no row.
    """
    return read_several(paths, COLUMNS, "table of outcomes")


# One side -----------------------------------------------------------------------------


def _of_attack(result: AttackResult) -> pd.DataFrame:
    """Sum up the runs on each sequence; index id."""
    rows = result.rows.sort_values(["attack_seed", "id"])
    dropped = rows["success_drop"].astype(float)
    runs = rows.assign(
        dropped=dropped,
        # A misclassified sequence is not attacked; its row is no run.
        run=rows["correct_before"].astype(float),
        edits_of_flip=rows["n_edits"].where(rows["success_flip"]),
        edits_of_drop=rows["n_edits"] * dropped,
        size_of_drop=rows["confidence_drop"].where(rows["success_drop"], 0.0),
    )
    summed = runs.groupby("id").agg(
        label=("label", "first"),
        correct=("correct_before", "all"),
        flipped=("success_flip", "any"),
        n_edits=("edits_of_flip", "min"),
        n_runs=("run", "sum"),
        n_drops=("dropped", "sum"),
        edits_of_drops=("edits_of_drop", "sum"),
        size_of_drops=("size_of_drop", "sum"),
    )
    return summed.assign(attacked=True)


def _of_transfer(rows: pd.DataFrame) -> pd.DataFrame:
    """Sum up the adversaries of each sequence, of one source; index id."""
    return (
        rows.assign(edits_of_flip=rows["n_edits"].where(rows["flipped"]))
        .groupby("id")
        .agg(
            label=("label", "first"),
            attacked=("source_correct", "all"),
            correct=("correct_before", "all"),
            flipped=("flipped", "any"),
            n_edits=("edits_of_flip", "min"),
        )
    )


def _of_predictions(found: ModelResult) -> pd.DataFrame:
    """Give what a model says of clean sequences; index id."""
    rows = found.rows.set_index("id")[["label", "correct"]]
    return rows.assign(attacked=False, flipped=False)


def _of_suite(suite: Suite) -> dict[str, pd.DataFrame]:
    """Give what each attack of a suite flips, and all together; index id.

    What counts is as in the table `worst_case` at the largest budget.
    """
    sequences, flips = suite.sequences(), suite.flips()
    allowed = {attack.attack: float(attack.max_edits) for attack in suite.attacks}
    if suite.certificate is not None:
        allowed[CERTIFY] = float("inf")
    sides = {}
    for name, most in (allowed | {WORST_CASE: float("inf")}).items():
        found = flips if name == WORST_CASE else flips[flips["attack"] == name]
        fewest = found[found["n_edits"] <= most].groupby("id")["n_edits"].min()
        side = sequences.assign(n_edits=fewest, attacked=True)
        sides[name] = side.assign(flipped=side["n_edits"].notna())
    return sides


# Both sides ---------------------------------------------------------------------------


def _pair(
    place: Place,
    name: str,
    before: pd.DataFrame,
    after: pd.DataFrame,
    sample: str | None = None,
) -> pd.DataFrame:
    """Put both sides of an attack beside each other, by id."""
    if not before.index.is_unique or set(before.index) != set(after.index):
        raise InputError(
            f"{place}: the tables of {name} at the baseline and at the last round are not about "
            "the same sequences; make them again."
        )
    after = after.reindex(before.index)
    if (before["label"] != after["label"]).any():
        raise InputError(
            f"{place}: the tables of {name} at the baseline and at the last round give a sequence "
            "two labels; make them again."
        )
    pair = pd.DataFrame({"id": before.index, "label": before["label"].to_numpy()})
    for when, side in (("before", before), ("after", after)):
        for column in SIDE:
            pair[f"{column}_{when}"] = side[column].to_numpy() if column in side else float("nan")
    pair["attacked"] = (before["attacked"] & after["attacked"]).to_numpy()
    return pair.assign(attack=name, sample=sample or place.task)


def _suite(
    place: Place, compared: Compared, transferred: Iterable[pd.DataFrame]
) -> list[pd.DataFrame]:
    """Compare the suite, its worst case with what was transferred; nothing where it is empty."""
    if not compared.suite_before and not compared.certificates:
        return []
    (before,) = suites(compared.suite_before, compared.certificates[:1])
    (after,) = suites(compared.suite_after, compared.certificates[1:])
    if before.last_budget != after.last_budget:
        raise InputError(
            f"{place}: the suite was allowed {before.last_budget} edits at the baseline and "
            f"{after.last_budget} at the last round; run the workflow again."
        )
    sides = _of_suite(before), _of_suite(after)
    pairs = {name: _pair(place, name, sides[0][name], sides[1][name]) for name in sides[0]}
    own = [pair for pair in transferred if (pair["sample"] == place.task).all()]
    pairs[WORST_CASE] = _worst([pairs[WORST_CASE], *own])
    return list(pairs.values())


def _worst(pairs: list[pd.DataFrame]) -> pd.DataFrame:
    """Take of each sequence of the first pair what is worst for either model in all pairs."""
    first, rows = pairs[0].set_index("id"), pd.concat(pairs)
    by_id = rows.groupby("id")
    for when in ("before", "after"):
        correct = by_id[f"correct_{when}"].all().reindex(first.index)
        fewest = by_id[f"n_edits_{when}"].min().reindex(first.index).where(correct)
        first = first.assign(
            **{f"correct_{when}": correct, f"flipped_{when}": fewest.notna()},
            **{f"n_edits_{when}": fewest},
        )
    return first.reset_index()


def _replay(place: Place, own: pd.DataFrame, asked_again: ModelResult | None) -> pd.DataFrame:
    """Compare the adversaries of the baseline's own attack, asked of either model."""
    # The baseline's attack made no adversary of what the baseline gets wrong.
    before = own[["label", "correct", "flipped", "n_edits"]].assign(attacked=own["correct"])
    after = before if asked_again is None else _of_transfer(asked_again.rows)
    pair = _pair(place, REPLAY, before, after)
    if (after["attacked"].reindex(before.index) != before["attacked"]).any():
        raise InputError(
            f"{place}: the replayed adversaries are not those of the baseline; make the replay "
            "again."
        )
    return pair


def _reverse(place: Place, own_after: pd.DataFrame, compared: Compared) -> list[pd.DataFrame]:
    """Compare the adversaries of the last round's own attack, where the baseline was asked."""
    if compared.reverse is None:
        return []
    after = own_after.assign(attacked=own_after["correct"])
    return [_pair(place, REVERSE, _of_transfer(compared.reverse.rows), after)]


def _transfers(place: Place, transfers: Iterable[ModelResult], last: str) -> list[pd.DataFrame]:
    """Compare adversaries of other models, one part per attack and source."""
    sides: dict[str, dict[tuple[str, str, str], pd.DataFrame]] = {"baseline": {}, last: {}}
    for found in transfers:
        for (task, encoder), rows in found.rows.groupby(["source_task", "source_encoder"]):
            if (task, encoder) != (place.task, place.encoder):
                sides[found.stage][found.attack, str(task), str(encoder)] = _of_transfer(rows)
    before, after = sides["baseline"], sides[last]
    if set(before) != set(after):
        raise InputError(
            f"{place}: adversaries of other models were asked of the baseline or of the last round "
            "only; make the transfers again."
        )
    return [
        _pair(
            place, f"{TRANSFER}{attack}:{task}/{encoder}",
            before[attack, task, encoder], after[attack, task, encoder], task,
        )
        for attack, task, encoder in sorted(before)
    ]  # fmt: skip


# What is refused ----------------------------------------------------------------------


def _check(place: Place, compared: Compared, last: str) -> None:
    """Refuse tables of other models, and a suite that differs between both."""
    n, ends = len(compared.descriptions), ["baseline", last]
    expected: Sequence[tuple[str, Sequence[AttackResult | ModelResult], list[str]]] = [
        ("predictions", compared.predictions, ends),
        ("own attacks", compared.black_box, ends),
        ("replays", [compared.replay] if compared.replay else [], ends[1:] if n else []),
        (
            "reverse replays",
            [compared.reverse] if compared.reverse else [],
            ends[1:] if n and compared.transfers_count else [],
        ),
        ("attacks of the suite", compared.suite_before, ends[:1] * len(compared.suite_before)),
        ("attacks of the suite", compared.suite_after, ends[1:] * len(compared.suite_before)),
        ("certificates", compared.certificates, ends if compared.certificates else []),
    ]
    for what, tables, stages in expected:
        check_stages(place, what, [found.stage for found in tables], stages, n)
        for found in tables:
            check_model(place, found)
    for found in compared.transfers:
        check_model(place, found)
        if found.stage not in ends:
            check_stages(place, "transfers", [found.stage], ends, n)
    names = sorted(found.attack for found in compared.suite_before)
    if names != sorted(found.attack for found in compared.suite_after):
        raise InputError(
            f"{place}: the suite is not the same at the baseline and at the last round; run the "
            "workflow again."
        )
    for name in names:
        if name in _TAKEN:
            raise InputError(
                f"attack {name}: the tables of hardening call something else this; give the attack "
                "another name."
            )
