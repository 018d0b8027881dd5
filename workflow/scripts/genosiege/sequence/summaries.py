"""The report's tables of the sequence arm, made from cards, metrics and attack tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.sequence import rates
from genosiege.sequence.results import MAX_BUDGET, MODEL, AttackResult
from genosiege.statistics import Interval, bootstrap_interval, weighted_mean, wilson_interval

STOP_REASONS = ("success", "patience", "generations", "query_budget", "exhausted")
SPLITS = ("train", "dev", "test")
MEASURES = ("accuracy", "mcc", "f1", "auroc", "ece", "loss", "mean_margin", "saturation")
ANSWERS = ("n_predicted_classes", "majority_share", "better_than_chance", "input_check")
ATTACK = [*MODEL, "attack", "split"]
PRUNED = {"pruned": "object"}
"""What `attacks_table` needs of an attack table beside `results.ATTACK_ROWS`."""


def data_table(cards: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Tabulate what the task cards say, one row per task and split.

    Parameters
    ----------
    cards : mapping of str to card
        Content of each task's `card.json`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/data.rst`.
    """
    table = []
    for task, card in cards.items():
        overlaps = _overlapping_rows(card["overlaps"])
        for split, part in card["splits"].items():
            counts = part["class_balance"]["used"]
            row = {
                "task": task,
                "split": split,
                "n_official": part["rows"]["official"],
                "n_used": part["rows"]["used"],
                "n_classes": card["n_classes"],
                "class_counts": ";".join(f"{label}:{count}" for label, count in counts.items()),
                "length_min": part["length"]["min"],
                "length_median": part["length"]["median"],
                "length_max": part["length"]["max"],
                "duplicates": part["duplicates"],
                "conflicting_labels": part["conflicting_labels"],
                "ambiguous_characters": sum(part["ambiguous_characters"].values()),
            }
            for other in SPLITS:
                row[f"overlap_{other}"] = overlaps.get((split, other))
            table.append(row | _leakage(card, split))
    counts = [*(f"overlap_{split}" for split in SPLITS), "leaked_train", *_OF_TRAIN]
    counts += ["pairs", "pairs_opposite", *_BY_BLOCKS]
    kinds = dict.fromkeys(counts, "Int64") | {"constructed_negatives": "boolean"}
    return _frame(table, ["task", "split", *kinds]).astype(kinds)


_OF_TRAIN = ["relatives_same", "relatives_other", "relatives_both"]
_BY_BLOCKS = ["block_relatives", "block_relatives_other"]


def _leakage(card: Mapping[str, Any], split: str) -> dict[str, Any]:
    """Say how the splits were made, and which share of this one's rows has relatives in train."""
    found = card["leakage"]
    used = found["used"][split]
    row = {
        "split_kind": card["split"],
        "n_groups": found["groups"]["number"],
        "largest_group": found["groups"]["largest"],
        "leaked_train": None,
    }
    relatives = dict.fromkeys(_OF_TRAIN) | {
        "constructed_negatives": found["constructed_negatives"],
        "pairs": found["pairs"]["pairs"],
        "pairs_opposite": found["pairs"]["opposite"],
        **dict.fromkeys(_BY_BLOCKS),
    }
    if split == "train":
        nothing = rates.named("leaked_train_share", np.nan, Interval(np.nan, np.nan))
        return row | nothing | relatives
    leaked, n = used["relatives_in"]["train"]["any"], used["rows"]
    labels = used["labels_of_relatives_in"]["train"]
    row["leaked_train"] = leaked
    relatives |= {f"relatives_{whose}": count for whose, count in labels["any"].items()}
    relatives["block_relatives"] = used["relatives_in"]["train"]["blocks"]
    relatives["block_relatives_other"] = labels["blocks"]["other"]
    return row | rates.wilson("leaked_train_share", leaked, n) | relatives


def _overlapping_rows(overlaps: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """Count for each ordered pair of splits the first one's rows that the second has too."""
    rows = {}
    for overlap in overlaps:
        first, second = overlap["splits"]
        rows[first, second], rows[second, first] = overlap["rows"]
    return rows


def baseline_table(metrics: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Tabulate classification metrics, one row per task, encoder, seed and stage.

    Parameters
    ----------
    metrics : iterable of mapping
        Content of the models' `metrics.json`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/baseline.rst`.
    """
    table = []
    for found in metrics:
        # Counted again, so that a hand-edited metrics file cannot carry a wrong interval.
        n = int(found["n"])
        interval = wilson_interval(round(found["accuracy"] * n), n)
        row = {name: found[name] for name in MODEL}
        row |= {"n": n} | rates.named("accuracy", found["accuracy"], interval)
        row |= {name: found[name] for name in MEASURES[1:]}
        row |= {
            f"parameters_{name}": found["parameters"][name]
            for name in ("trainable", "frozen", "total")
        }
        row |= {f"mcc_{end}": found["mcc_interval"][end] for end in ("low", "high")}
        table.append(row | {name: found[name] for name in ANSWERS})
    return _frame(table, MODEL).sort_values(MODEL, ignore_index=True)


def attacks_table(results: Iterable[AttackResult]) -> pd.DataFrame:
    """Summarise each attack table in one row.

    Parameters
    ----------
    results : iterable of AttackResult
        With one row per sequence and attack seed, read with `PRUNED`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/attacks.rst`. Rates count attack runs,
        that is a sequence once per attack seed; their intervals are clustered by sequence.
    """
    table = [_attack_row(result) for result in results]
    return _frame(table, ATTACK).sort_values(ATTACK, ignore_index=True)


def _attack_row(result: AttackResult) -> dict[str, Any]:
    rows, attacked = result.rows, result.attacked
    won = attacked[attacked["success_flip"]]
    sequences = rows.drop_duplicates("id")
    n_correct = int(sequences["correct_before"].sum())
    row = {name: getattr(result, name) for name in ATTACK}
    row |= {
        "n_sequences": len(sequences),
        **rates.wilson("clean_accuracy", n_correct, len(sequences)),
        **rates.clustered("robust_accuracy", robust_at(rows), rows["id"]),
        "n_attack_seeds": rows["attack_seed"].nunique(),
        "n_correct": n_correct,
        "n_runs": len(attacked),
        "n_flips": len(won),
    }
    row |= rates.clustered("flip_rate", attacked["success_flip"], attacked["id"])
    row |= rates.clustered("success_drop_rate", attacked["success_drop"], attacked["id"])
    row |= {
        "median_edits": won["n_edits"].median(),
        "median_queries": attacked["n_queries"].median(),
        "median_queries_success": won["n_queries"].median(),
        "median_queries_unique": attacked["n_queries_unique"].median(),
    }
    interval = bootstrap_interval(
        attacked["confidence_drop"],
        attacked["id"],
        weighted_mean,
        runtime.stream(*(row[name] for name in ATTACK), "mean_confidence_drop"),
    )
    row |= rates.named("mean_confidence_drop", attacked["confidence_drop"].mean(), interval)
    row["flips_lost_on_rescoring"] = result.search_flips_lost
    stops = attacked["stop_reason"].value_counts()
    row |= {f"stop_{reason}": int(stops.get(reason, 0)) for reason in STOP_REASONS}
    return row | {"n_pruning_cut": int((attacked["pruned"] == "cut").sum())}


def robust_at(rows: pd.DataFrame, budget: int | None = None) -> "pd.Series[bool]":
    """Say of each row whether the model withstood: correct, and not flipped in the budget.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of attack tables.
    budget : int, optional
        Edits at most; without it, the attack's own `max_edits`.
    """
    flipped = rows["success_flip"]
    if budget is not None:
        flipped = flipped & (rows["n_edits"] <= budget)
    return rows["correct_before"] & ~flipped


def robust_accuracy_table(results: Iterable[AttackResult]) -> pd.DataFrame:
    """Tabulate robust accuracy over the edit budgets, 0 to the attack's `max_edits`.

    Beyond that nothing was tried, so nothing is said; `MAX_BUDGET` is the last in any case.

    Parameters
    ----------
    results : iterable of AttackResult
        Attack tables, in any order.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/robust_accuracy.rst`; `seed` is "all" for
        the mean over several model seeds.
    """
    table = []
    for key, members in grouped(results).items():
        last = min(MAX_BUDGET, *(member.max_edits for member in members))
        parts = [(str(member.seed), member.rows) for member in members]
        if len(parts) > 1:
            parts.append(("all", pd.concat([rows for _, rows in parts])))
        for seed, rows in parts:
            for budget in range(last + 1):
                row = dict(zip(GROUP, key, strict=True)) | {"seed": seed, "edit_budget": budget}
                row["n_sequences"] = rows["id"].nunique()
                withstood = robust_at(rows, budget)
                table.append(row | rates.clustered("robust_accuracy", withstood, rows["id"]))
    return _frame(table, [*GROUP, "seed", "edit_budget", "robust_accuracy"])


GROUP = ["task", "encoder", "stage", "attack", "split"]


def grouped(results: Iterable[AttackResult]) -> dict[tuple[str, ...], list[AttackResult]]:
    """Bring together what differs in the model's seed only, sorted by `GROUP` and seed."""
    groups: dict[tuple[str, ...], list[AttackResult]] = {}
    for result in results:
        groups.setdefault(tuple(getattr(result, name) for name in GROUP), []).append(result)
    return {key: sorted(groups[key], key=lambda result: result.seed) for key in sorted(groups)}


def seeds_table(baseline: pd.DataFrame, results: Sequence[AttackResult]) -> pd.DataFrame:
    """Summarise each measure over the model seeds as mean, standard deviation and interval.

    Parameters
    ----------
    baseline : pandas.DataFrame
        From `baseline_table`.
    results : sequence of AttackResult
        Attack tables of all seeds.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/seeds.rst`. The interval resamples
        sequences and seeds; metrics of the whole test split have none.
    """
    table = []
    for key, models in baseline.groupby(["task", "encoder", "stage"], sort=True):
        row = dict(zip(["task", "encoder", "stage"], key, strict=True))
        for measure in MEASURES:
            values = models[measure].to_numpy(dtype=float)
            table.append(row | {"attack": "", "split": "test"} | _spread(measure, values))
    for group, members in grouped(results).items():
        row = dict(zip(GROUP, group, strict=True))
        for measure, (select, measured) in _SUMMARISED.items():
            per_seed = np.array([measured(select(member)).mean() for member in members])
            rows = pd.concat([select(member).assign(seed=member.seed) for member in members])
            interval = bootstrap_interval(
                measured(rows),
                (rows["id"].to_numpy(), rows["seed"].to_numpy()),
                weighted_mean,
                runtime.stream(*group, measure),
            )
            table.append(row | _spread(measure, per_seed, interval))
    return _frame(table, [*GROUP, "measure"])


_SUMMARISED: dict[
    str, tuple[Callable[[AttackResult], pd.DataFrame], Callable[[pd.DataFrame], "pd.Series[Any]"]]
] = {
    "robust_accuracy": (lambda result: result.rows, robust_at),
    "flip_rate": (lambda result: result.attacked, lambda rows: rows["success_flip"]),
    "confidence_drop": (lambda result: result.attacked, lambda rows: rows["confidence_drop"]),
}
"""Measures of an attack: over which rows, and of what the mean is taken."""


def _spread(
    measure: str, values: NDArray[np.float64], interval: Interval | None = None
) -> dict[str, Any]:
    low, high = interval or (np.nan, np.nan)
    return {
        "measure": measure,
        "n_seeds": len(values),
        "mean": values.mean(),
        "sd": values.std(ddof=1) if len(values) > 1 else np.nan,
        "low": low,
        "high": high,
    }


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Make a table that has at least its key columns where a run asked for nothing."""
    return pd.DataFrame(rows, columns=None if rows else columns)


def runs(members: Iterable[AttackResult], successes: bool = False) -> pd.DataFrame:
    """Pool the attacked rows of several model seeds, or those flipped within the budget."""
    pooled = pd.concat([member.attacked.assign(seed=member.seed) for member in members])
    return pooled[pooled["success_flip"]] if successes else pooled
