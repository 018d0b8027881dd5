"""Small defences: rounds and outcomes, written by hand or at random."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from toy_tables import attack, attack_row, certified, flip, skipped

from genosiege.sequence import outcomes, rounds
from genosiege.sequence.results import AttackResult, ModelResult
from genosiege.sequence.rounds import Place
from genosiege.sequence.verdict import verdict_table
from genosiege.sequence.verdict_rule import Terms

PLACE = Place("promoters", "cnn", 0, "mixed")
OPTIONS = {
    "kind": "mixed",
    "attack": "genetic",
    "adversaries": "flip",
    "adversary_source": "train",
    "rounds": 2,
}
TERMS = Terms(
    5,
    {
        "genetic": {"kind": "genetic", "max_edits": 10, "query_budget": 400},
        "gradient": {"kind": "gradient", "max_edits": 10, "query_budget": 400},
        "transfer": {"kind": "transfer"},
    },
)
"""A suite under which a gain counts."""
OTHER_TASK = ("other", "cnn")


def metrics(stage: str, n_correct: int, n: int, **changes: Any) -> dict[str, Any]:
    """Give what of `metrics.json` is read."""
    found = {
        "stage": stage, "n": n, "accuracy": n_correct / n, "loss": 0.4, "mcc": 0.6, "ece": 0.05,
        "mean_margin": 1.5, "saturation": 0.2, "input_check": "passed",
    }  # fmt: skip
    return found | changes


def described(number: int, n_attacked: int | None, n_adversaries: int | None, **changes: Any):
    """Give what of a round's `model.json` is read."""
    found = {
        "stage": PLACE.stage(number), "round": number, "kept": False,
        "n_attacked": n_attacked, "n_adversaries": n_adversaries,
        "n_examples": 3, "n_replay": 2, "n_steps": 1,
        "history": {"losses": [0.5, 0.25]}, "hardening": {"learning_rate": 1e-4},
        "adversary_source": "train",
        "trained_on": [{"id": "train:7", "kind": "adversary", "round": number, "n_edits": 2}],
    }  # fmt: skip
    return found | changes


def asked_again(
    rows: Sequence[tuple[str, int, bool, bool, bool]],
    stage: str,
    n_edits: int = 3,
    **changes: Any,
) -> ModelResult:
    """Make a replay of (id, attack seed, source correct, correct, flipped)."""
    names = ["id", "attack_seed", "source_correct", "correct_before", "flipped"]
    table = pd.DataFrame(rows, columns=names).assign(
        source_task=PLACE.task, source_encoder=PLACE.encoder, label=1, source_flipped=False,
        n_edits=n_edits,
    )  # fmt: skip
    return ModelResult(*PLACE[:3], stage, "genetic", table)._replace(**changes)


def run_rows(rng: np.random.Generator, ids: Sequence[str], n_seeds: int) -> list[dict[str, Any]]:
    """Draw a run for each sequence and attack seed; the model knows most of the sequences."""
    right = {name: rng.random() < 0.8 for name in ids}
    rows = []
    for seed in range(n_seeds):
        for name in ids:
            biology = {"plausibility": float(rng.uniform(0.5, 1))}
            drop = float(rng.uniform(0.01, 0.9))
            costs = {"n_queries_unique": int(rng.integers(1, 50)), "confidence_drop": drop}
            if not right[name]:
                rows.append(skipped(name, seed) | biology)
            elif rng.random() < 0.5:
                won = flip(name, int(rng.integers(1, 9)), seed, **biology, **costs)
                rows.append(won | {"success_drop": bool(rng.random() < 0.7)})
            else:
                dropped = {"success_drop": bool(rng.random() < 0.3), "n_edits": 2}
                rows.append(attack_row(name, seed, **biology, **costs) | dropped)
    return rows


def random_defence(
    rng: np.random.Generator,
    n_rounds: int = 2,
    n: int = 12,
    place: Place = PLACE,
    **options: Any,
) -> tuple[dict[str, Any], rounds.Measured, outcomes.Compared]:
    """Draw all tables of a defence: two seeds of its own attack, a suite, exact answers, transfer.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where they are drawn from.
    n_rounds : int
        Rounds that were run, all that were asked for unless `options` says otherwise.
    n : int
        Test sequences.
    place : Place
        Whose they are.
    **options : Any
        Of the defence, other than `OPTIONS`.
    """
    ids = [f"test:{number}" for number in range(n)]
    stages = [place.stage(number) for number in range(n_rounds + 1)]
    told = OPTIONS | {"rounds": n_rounds} | options

    def of(name: str, rows: list[dict[str, Any]], stage: str, split: str = "test") -> AttackResult:
        model = {"task": place.task, "encoder": place.encoder, "seed": place.seed}
        return attack(name, rows, 10, stage=stage, split=split, **model)

    own = [of("genetic", run_rows(rng, ids, 2), stage) for stage in stages]
    training = []
    if told["kind"] in ("adversarial_only", "mixed"):
        for stage in stages[:-1]:
            source = [f"{told['adversary_source']}:{number}" for number in range(8)]
            rows = run_rows(rng, source, 1)
            training.append(of("genetic", rows, stage, told["adversary_source"]))
    descriptions = []
    for number in range(1, n_rounds + 1):
        counts: list[int | None] = [None, None]
        if training:
            attacked = training[number - 1].attacked
            counts = [len(attacked), int(attacked["success_flip"].sum())]
        losses = {"losses": rng.uniform(size=3).tolist()}
        chosen = {"id": f"{told['adversary_source']}:{number}"}
        found = described(number, *counts, stage=stages[number], history=losses)
        descriptions.append(found | {"trained_on": [chosen]})
    replays = [replay_of(rng, own[0], stage, place) for stage in stages[1:]]
    measured = rounds.Measured(
        [metrics(stage, int(rng.integers(n, 3 * n + 1)), 3 * n) for stage in stages],
        own, training, descriptions, replays,
    )  # fmt: skip
    reverse = None
    if n_rounds:
        reverse = replay_of(rng, own[-1], stages[-1], place)
    made = {}
    for stage, found in {stages[0]: own[0], stages[-1]: own[-1]}.items():
        made[stage] = (
            predicted(rng, ids, stage, place),
            [found, of("greedy", same_right(rng, found), stage)],
            exact(rng, found, place),
            [transfer(rng, ids, stage, place, source) for source in ("hf", "cnn")],
        )
    predictions, suites, certificates, transfers = zip(
        made[stages[0]], made[stages[-1]], strict=True
    )
    tested = outcomes.Compared(
        predictions=list(predictions),
        black_box=[own[0], own[-1]],
        replay=replays[-1] if replays else None,
        suite_before=suites[0],
        suite_after=suites[1],
        certificates=list(certificates),
        transfers=[found for of_stage in transfers for found in of_stage],
        descriptions=descriptions,
        reverse=reverse,
        transfers_count=True,
    )
    return told, measured, tested


def knows(result: AttackResult) -> dict[str, bool]:
    """Say which sequences a model is right about."""
    return dict(zip(result.rows["id"], result.rows["correct_before"], strict=True))


def same_right(rng: np.random.Generator, result: AttackResult) -> list[dict[str, Any]]:
    """Draw another attack on the same model."""
    return [
        skipped(name) if not right
        else flip(name, int(rng.integers(1, 9))) if rng.random() < 0.4
        else attack_row(name)
        for name, right in knows(result).items()
    ]  # fmt: skip


def exact(rng: np.random.Generator, result: AttackResult, place: Place) -> ModelResult:
    """Draw a certificate of the same model."""
    statuses = {
        name: [str(rng.choice(["robust", "flipped"])) if right else "skipped_misclassified"]
        for name, right in knows(result).items()
    }
    model = {"task": place.task, "encoder": place.encoder, "seed": place.seed}
    return certified(statuses, stage=result.stage, **model)


def replay_of(
    rng: np.random.Generator, baseline: AttackResult, stage: str, place: Place
) -> ModelResult:
    """Draw what one model says of another's adversaries."""
    right = {name: rng.random() < 0.8 for name in knows(baseline)}
    rows = [
        (row["id"], row["attack_seed"], row["correct_before"], right[row["id"]],
         right[row["id"]] and row["correct_before"] and bool(rng.random() < 0.4))
        for row in baseline.rows.to_dict("records")
    ]  # fmt: skip
    found = asked_again(rows, stage, task=place.task, encoder=place.encoder, seed=place.seed)
    return found._replace(rows=found.rows.assign(n_edits=baseline.rows["n_edits"].to_numpy()))


def transfer(
    rng: np.random.Generator, ids: Sequence[str], stage: str, place: Place, source: str
) -> ModelResult:
    """Draw what a model says of adversaries of another encoder, or of another task's model."""
    if source == "hf":
        task, encoder = place.task, "hf"
    else:
        task, encoder = OTHER_TASK
    # Which sequences a source knows is a matter of the source, not of the stage.
    of_source = np.random.default_rng(len(ids))
    rows = []
    for name in ids:
        known, right = bool(of_source.random() < 0.8), bool(rng.random() < 0.8)
        rows.append((name, 0, known, right, known and right and bool(rng.random() < 0.4)))
    found = asked_again(rows, stage, task=place.task, encoder=place.encoder, seed=place.seed)
    table = found.rows.assign(source_task=task, source_encoder=encoder)
    return found._replace(attack="genetic_transfer", rows=table)


def predicted(
    rng: np.random.Generator, ids: Sequence[str], stage: str, place: Place
) -> ModelResult:
    """Draw predictions on a clean test split three times as large as the sample."""
    names = [*ids, *(f"test:{len(ids) + number}" for number in range(2 * len(ids)))]
    table = pd.DataFrame({"id": names, "label": 1, "correct": rng.random(len(names)) < 0.8})
    return ModelResult(*place[:3], stage, "", table)


def shuffled(found: Any, rng: np.random.Generator) -> Any:
    """Shuffle the rows of a table, of results, or of a tuple of lists of these."""
    if isinstance(found, pd.DataFrame):
        return found.iloc[rng.permutation(len(found))]
    if isinstance(found, AttackResult | ModelResult):
        return found._replace(rows=shuffled(found.rows, rng))
    if isinstance(found, list):
        return [shuffled(one, rng) for one in found]
    if isinstance(found, rounds.Measured | outcomes.Compared):
        return type(found)(*(shuffled(one, rng) for one in found))
    return found


def outcomes_of(
    defence: str, under: dict[str, list[tuple[str, int]]], n_clean: tuple[int, int] = (400, 400)
) -> pd.DataFrame:
    """Make outcomes from counts of what sequences went through.

    Parameters
    ----------
    defence : str
        Whose outcomes.
    under : dict of str to list of tuple
        For each attack counts of sequences with the same fate before and after, two of: `R`
        robust, `F` flipped, `W` misclassified; a digit is the number of edits of a flip.
    n_clean : tuple of int
        How many of 500 clean sequences are right before, and how many after. Those that are
        right after are right before, or the other way round.
    """
    rows = []
    for name, fates in under.items():
        number = 0
        for fate, count in fates:
            for _ in range(count):
                rows.append({"attack": name, "id": f"test:{number}"} | _fate(fate))
                number += 1
    for number in range(500):
        right = {"correct_before": number < n_clean[0], "correct_after": number < n_clean[1]}
        clean = {"attack": "clean", "id": f"test:{number}", "attacked": False}
        rows.append(clean | dict.fromkeys(("flipped_before", "flipped_after"), False) | right)
    table = pd.DataFrame(rows).assign(
        **PLACE._replace(defence=defence)._asdict(), label=1, trained_on=False, sample=PLACE.task
    )
    for column in outcomes.COLUMNS:
        if column not in table:
            table[column] = np.nan
    return table[list(outcomes.COLUMNS)].astype(outcomes.COLUMNS)


def _fate(fate: str) -> dict[str, Any]:
    row: dict[str, Any] = {"attacked": True}
    for when, letter in zip(("before", "after"), fate, strict=True):
        edits = float(letter) if letter.isdigit() else 3.0
        flipped = letter == "F" or letter.isdigit()
        row |= {
            f"correct_{when}": letter != "W",
            f"flipped_{when}": flipped,
            f"n_edits_{when}": edits if flipped else np.nan,
        }
    return row


def last_rounds(defence: str, last: int = 2, kept: Sequence[int] = (), **changes: Any):
    """Make the rounds of a defence, with what a verdict reads of them."""
    place = PLACE._replace(defence=defence)
    rows = [
        place._asdict()
        | {
            "kind": "mixed", "round": number, "stage": place.stage(number),
            "is_last": number == last, "stop_reason": "all" if number == last else "",
            "adversary_source": "train", "attack": "genetic", "kept": number in kept,
            "accuracy": 0.8, "accuracy_low": 0.7, "accuracy_high": 0.9, "input_check": "passed",
        }
        | changes
        for number in range(last + 1)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    for column, kind in rounds.COLUMNS.items():
        if column not in table:
            table[column] = "" if kind == "object" else pd.NA if kind == "Int64" else np.nan
    return table[list(rounds.COLUMNS)].astype(rounds.COLUMNS)


UNCHANGED = [("RR", 100), ("FF", 300), ("WW", 100)]
BETTER = [("RR", 100), ("FR", 60), ("FF", 240), ("WW", 100)]
BEST = [("RR", 100), ("FR", 120), ("FF", 180), ("WW", 100)]
WORSE = [("RR", 40), ("RF", 60), ("FF", 300), ("WW", 100)]
"""What 500 sequences went through, see `outcomes_of`."""

Fates = dict[str, list[tuple[str, int]]]


def fates(worst: Any = UNCHANGED, own: Any = UNCHANGED, replay: Any = UNCHANGED) -> Fates:
    """Put what the worst case, the own attack and old adversaries did together."""
    return {"worst_case": worst, "black_box": own, "replay": replay}


def verdicts(
    *found: pd.DataFrame, terms: Terms = TERMS, **rounds_of: pd.DataFrame
) -> dict[str, dict[str, Any]]:
    """Judge defences; give their rows by name."""
    names = [rows["defence"].iloc[0] for rows in found]
    told = pd.concat([rounds_of.get(name, last_rounds(name)) for name in names])
    table = verdict_table(told, pd.concat(found), terms)
    return {row["defence"]: row for row in table.to_dict("records")}
