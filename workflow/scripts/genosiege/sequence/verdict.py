"""Whether a defence works: its last round against the baseline, sequence by sequence."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from genosiege.comparisons import mcnemar, smallest_difference
from genosiege.errors import InputError
from genosiege.sequence import changes, rates
from genosiege.sequence.changes import LEVEL, Change, Family, Pair
from genosiege.sequence.outcomes import BLACK_BOX, CLEAN
from genosiege.sequence.rounds import in_order
from genosiege.sequence.verdict_rule import Evidence, Terms, judge
from genosiege.sequence.worst_case import WORST_CASE

MODEL = ["task", "encoder", "seed"]
"""One family of comparisons: the defences of one model."""

VERDICT_COLUMNS = [
    *MODEL, "defence", "kind", "adversary_source", "attack", "last_round", "stop_reason",
    "n_test", "clean_accuracy_baseline", "clean_accuracy_last", *changes.columns("clean_accuracy"),
    "n_sequences", "robust_accuracy_baseline", "robust_accuracy_last",
    *changes.columns("robust_accuracy"), "n_both_correct", *changes.columns("flip_rate"),
    *changes.columns("black_box_flip_rate"), *changes.columns("transferred_flip_rate"),
    *changes.columns("median_edits"), "verdict", "note", "suite", "edits", "family_size",
    "smallest_gain", "input_check_last", *changes.columns("own_minus_worst"),
    *changes.columns("own_minus_transferred"),
]  # fmt: skip
ATTACK_COLUMNS = [
    *MODEL, "defence", "adversary_source", "attack", "n_sequences",
    *rates.columns("robust_accuracy_baseline"), *rates.columns("robust_accuracy_last"),
    *changes.columns("robust_accuracy"), "n_correct_baseline", *rates.columns("flip_rate_baseline"),
    "n_correct_last", *rates.columns("flip_rate_last"), "suite", "edits",
]  # fmt: skip
_COUNTS = ("n_test", "n_sequences", "n_both_correct", "n_correct_baseline", "n_correct_last")


def verdict_table(
    rounds: pd.DataFrame, outcomes: pd.DataFrame, terms: Terms, defences: Sequence[str] = ()
) -> pd.DataFrame:
    """Judge each defence by its last round against the baseline.

    Parameters
    ----------
    rounds : pandas.DataFrame
        From `rounds.rounds_table`, of any number of defences.
    outcomes : pandas.DataFrame
        From `outcomes.outcomes_table`, of the same defences.
    terms : Terms
        The edit budget and the suite that they are judged under.
    defences : sequence of str
        In which order they stand in the table; by default by name.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/verdict.rst`. Differences are last round
        minus baseline, paired by sequence; p-values are Holm's over the defences of a model,
        and intervals have the level at which Holm's procedure looks at each, except that of
        clean accuracy, which has the plain 95 %.

    Raises
    ------
    InputError
        If a defence has rounds without outcomes, or outcomes without rounds.

    Notes
    -----
    The rule is at `verdict_rule.judge`.
    """
    rows = [
        row | _said(terms)
        for model, family in _families(rounds, changes.within(outcomes, terms.edits))
        for row in _verdicts(model, _ends(rounds, model), family, terms)
    ]
    return _table(rows, VERDICT_COLUMNS, defences)


def defence_attacks_table(
    rounds: pd.DataFrame, outcomes: pd.DataFrame, terms: Terms, defences: Sequence[str] = ()
) -> pd.DataFrame:
    """Compare last round and baseline under each attack.

    Parameters, order and errors are those of `verdict_table`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/defence_attacks.rst`. p-values are Holm's
        over the defences of a model, within an attack.
    """
    rows = []
    for model, family in _families(rounds, changes.within(outcomes, terms.edits)):
        ends = _ends(rounds, model)
        for attack in sorted({name for found in family.values() for name in found["attack"]}):
            if attack == CLEAN:
                continue
            under = {name: changes.under(found, attack) for name, found in family.items()}
            compared = changes.of_rates({n: changes.withstood(found) for n, found in under.items()})
            rows += [
                {**_place(ends[name]), "attack": attack, **_said(terms)}
                | _under_attack(found)
                | compared[name].named("robust_accuracy")
                for name, found in under.items()
                if len(found)
            ]
    return _table(rows, ATTACK_COLUMNS, defences, "attack")


# Families -----------------------------------------------------------------------------


def _families(
    rounds: pd.DataFrame, outcomes: pd.DataFrame
) -> Iterator[tuple[tuple[Any, ...], Family]]:
    """Give each model with its defences."""
    keys = [*MODEL, "defence"]
    told = {tuple(key) for key in rounds[keys].drop_duplicates().to_numpy().tolist()}
    found = {tuple(key): rows for key, rows in outcomes.groupby(keys)}
    if told != set(found):
        task, encoder, seed, defence = min(told ^ set(found))
        raise InputError(
            f"{task}, {encoder}, seed {seed}, {defence}: its rounds or its outcomes are missing; "
            "give both."
        )
    for model in sorted({key[:3] for key in found}):
        family: dict[str, pd.DataFrame] = {}
        for key in sorted(key for key in found if key[:3] == model):
            rows = found[key].sort_values(["attack", "sample", "id"], ignore_index=True)
            family[str(key[3])] = rows
        yield model, family


End = Mapping[str, Any]
"""A defence's last round; `n_kept`, how many of its rounds kept the model; and of the baseline
`input_check_baseline`."""


def _ends(rounds: pd.DataFrame, model: tuple[Any, ...]) -> dict[str, End]:
    """Give the last round of each of a model's defences."""
    own = rounds[(rounds[MODEL] == list(model)).all(axis=1)]
    by_defence = own.sort_values("round").groupby("defence")
    ends = own[own["is_last"]].set_index("defence", drop=False)
    ends = ends.assign(
        n_kept=by_defence["kept"].sum(), input_check_baseline=by_defence["input_check"].first()
    )
    return {str(name): {str(k): v for k, v in end.items()} for name, end in ends.iterrows()}


def _said(terms: Terms) -> dict[str, Any]:
    return {"suite": ";".join(terms.suite), "edits": terms.edits}


def _place(end: End) -> dict[str, Any]:
    return {name: end[name] for name in (*MODEL, "defence", "adversary_source")}


def _table(
    rows: list[dict[str, Any]], columns: list[str], defences: Sequence[str], *within: str
) -> pd.DataFrame:
    counts = {name: "Int64" for name in _COUNTS if name in columns}
    table = pd.DataFrame(rows, columns=columns).astype(counts)
    return in_order(table, defences, *within)


# What is told -------------------------------------------------------------------------


def _under_attack(rows: pd.DataFrame) -> dict[str, Any]:
    """Give the rates of both models under one attack."""
    robust = changes.withstood(rows)
    told: dict[str, Any] = {"n_sequences": len(rows)}
    for when, name, withstood in (
        ("before", "baseline", robust.baseline),
        ("after", "last", robust.last),
    ):
        right = rows[rows["attacked"] & rows[f"correct_{when}"]]
        told[f"n_correct_{name}"] = len(right)
        told |= rates.wilson(f"robust_accuracy_{name}", int(withstood.sum()), len(rows))
        told |= rates.wilson(f"flip_rate_{name}", int(right[f"flipped_{when}"].sum()), len(right))
    return told


def _verdicts(
    model: tuple[Any, ...], ends: Mapping[str, End], family: Family, terms: Terms
) -> Iterator[dict[str, Any]]:
    """Judge the defences of one model."""
    clean = {name: changes.clean(rows) for name, rows in family.items()}
    worst = {name: changes.under(rows, WORST_CASE) for name, rows in family.items()}
    robust = {name: changes.withstood(rows) for name, rows in worst.items()}
    flips = {name: changes.flips(rows) for name, rows in worst.items()}
    compared = _compared(model, family, clean, robust, flips)
    for name, rows in family.items():
        end = ends[name]
        found = {measure: by_defence[name] for measure, by_defence in compared.items()}
        # The criterion of clean accuracy is about this defence alone.
        plain = mcnemar(*clean[name], LEVEL).interval
        found["clean_accuracy"] = found["clean_accuracy"]._replace(interval=plain)
        smallest = _smallest_gain(robust[name], found["robust_accuracy"].level)
        verdict, note = judge(_evidence(end, rows, found, terms, len(worst[name]), smallest))
        row = _place(end) | {
            **{column: end[column] for column in ("kind", "attack", "stop_reason")},
            "last_round": end["round"],
            "n_test": len(clean[name].last),
            **_shares("clean_accuracy", clean[name]),
            "n_sequences": len(worst[name]),
            **_shares("robust_accuracy", robust[name]),
            "n_both_correct": len(flips[name].last),
            "verdict": verdict,
            "note": note,
            "family_size": len(family),
            "smallest_gain": smallest,
            "input_check_last": end["input_check"],
        }
        for measure, change in found.items():
            row |= change.named(measure)
        yield row


def _compared(
    model: tuple[Any, ...],
    family: Family,
    clean: Mapping[str, Pair],
    robust: Mapping[str, Pair],
    flips: Mapping[str, Pair],
) -> dict[str, dict[str, Change]]:
    """Compare both ends in each measure, by defence."""
    own = {name: changes.flips(changes.under(rows, BLACK_BOX)) for name, rows in family.items()}
    transferred = {name: changes.transferred(rows) for name, rows in family.items()}
    return {
        "clean_accuracy": changes.of_rates(clean),
        "robust_accuracy": changes.of_rates(robust),
        "flip_rate": changes.of_rates(flips),
        "black_box_flip_rate": changes.of_rates(own),
        "transferred_flip_rate": changes.of_rates(transferred),
        "median_edits": changes.of_edits(model, family),
        **changes.of_masking(model, family),
    }


def _evidence(
    end: End,
    rows: pd.DataFrame,
    found: Mapping[str, Change],
    terms: Terms,
    n: int,
    smallest_gain: float,
) -> Evidence:
    return Evidence(
        changes=found,
        input_check=end["input_check"],
        input_check_baseline=end["input_check_baseline"],
        lacking=terms.lacking,
        n=n,
        smallest_gain=smallest_gain,
        n_rounds=end["round"],
        n_kept=end["n_kept"],
        trained_on=bool(rows["trained_on"].any()),
        others_asked=changes.asks_others(rows),
    )


def _smallest_gain(pair: Pair, level: float) -> float:
    """Say which gain so many sequences could have shown, at the level of this comparison."""
    n = len(pair.last)
    discordant = float((pair.last != pair.baseline).mean()) if n else 0.0
    return smallest_difference(n, discordant, level)


def _shares(name: str, pair: Pair) -> dict[str, float]:
    both = (("baseline", pair.baseline), ("last", pair.last))
    return {f"{name}_{when}": found.mean() if len(found) else math.nan for when, found in both}
