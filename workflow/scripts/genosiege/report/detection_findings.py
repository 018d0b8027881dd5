"""The finding about detection: what an attacker keeps who knows the best detector."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from genosiege.report import forms, told
from genosiege.report.expression_findings import RANDOM, RANKINGS, leak, towards
from genosiege.report.told import Run, rate

EXPRESSION = "expression"
ADAPTIVE_KIND = "genetic"
"""The attack that the attacker of detectors of DNA makes, too."""

UNDIRECTED = ("random", "natural")
"""Kinds of attacks on sequences without a direction: controls, as random genes are."""

UNIFORM = "uniform"
"""Values of expression that aim at no target: a control."""

UNKNOWN = {"value": float("nan"), "value_low": float("nan"), "value_high": float("nan")}
NO_THRESHOLD = "too few natural validation samples for a threshold of 5 % false alarms"
KNOWING = "attacker who knows the detector"


def detection(run: Run) -> Iterator[dict[str, Any]]:
    """Tell of each model what a hiding and a plain attacker keep, and how many flips are found.

    Notes
    -----
    Of several attacks the row of one is taken, never a control's. Expression: FIMBA before the
    autoencoder's, SHAP before another ranking, the other class before other targets, one order of
    genes before one per sample. Sequences: what flips anything first; of these the kind of the
    adaptive search, then the one that most samples fell to.
    """
    table = run.rows("best_detector", null="clean")
    for (arm, data, name), model in table.groupby(["arm", "data", "model"], sort=True):
        rows, named = told.one_seed(model)
        attacks = _moves(rows) if arm == EXPRESSION else _searches(rows, run.kinds)
        if attacks.empty:
            continue
        row = attacks.iloc[0]
        own = _adaptive(run, row)
        hides = bool((own["penalty"] > 0).any())
        check, ended = ("", "") if arm == EXPRESSION else _of_sequences(run, row)
        yield {
            "subject": f"{data} · {name}{named}, {_attack(run, row)}",
            "measure": f"attacked samples that flip unnoticed, {KNOWING}",
            **(rate(row, "undetected_success", "value") if hides else UNKNOWN),
            "reference_measure": "the same search without hiding",
            **rate(row, "plain_undetected_success", "reference"),
            "n": row["adaptive_n"],
            "remark": told.joined([check, _found(row), _attacker(run, row, own), ended, leak(row)]),
        }


def _moves(rows: pd.DataFrame) -> pd.DataFrame:
    """Take the attacks on expression, the preferred one first."""
    attacks = rows[(rows["features"] != RANDOM) & (rows["values"] != UNIFORM)]
    return told.prefer(
        attacks, attack="fimba", features="shap", targets="opposite", importance="global"
    )


def _searches(rows: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Take the directed attacks on sequences, the preferred one first."""
    kind = rows["attack"].map(lambda name: kinds.get(name, name))
    rows = rows.assign(own=kind == ADAPTIVE_KIND, flips=rows["adversaries"] == "successful")
    rows = rows[~kind.isin(UNDIRECTED)]
    return rows.sort_values(["flips", "own", "n_adversaries"], ascending=False, kind="stable")


def _attack(run: Run, row: "pd.Series[Any]") -> str:
    if row["arm"] != EXPRESSION:
        return str(row["attack"])
    n_genes = run.rows("smallest_k", dataset=row["data"]).get("n_genes", pd.Series(dtype=float))
    k = int(row["severity"])
    genes = f"{'all ' if k == n_genes.max() else ''}{k:,} genes"
    ranking = RANKINGS[row["features"]]
    each = " per sample" if row["importance"] == "per_sample" else ""
    aim = f"{row['attack']} towards {towards(row['targets'])}"
    return f"{aim}, {genes}, {ranking}{each}, {row['values']}"


def _found(row: "pd.Series[Any]") -> str:
    """Say how many flips of the attack itself the detector finds."""
    flips = f"{row['n_adversaries']:,} flips"
    if row["adversaries"] != "successful":
        flips = f"{row['n_adversaries']:,} changed samples, none of them a flip"
    if pd.isna(row["tpr_at_5"]):
        return f"{NO_THRESHOLD} of {row['detector']}: nothing is known of {flips}"
    found = forms.interval(row, "tpr_at_5", forms.share)
    return f"{row['detector']} finds, at 5 % false alarms, {found} of {flips}"


def _adaptive(run: Run, row: "pd.Series[Any]") -> pd.DataFrame:
    """Give the attacks on this very detector."""
    place = {name: row[name] for name in ("arm", "data", "model", "detector")}
    found = run.rows("adaptive", **place)
    return found[found["seed"].astype(str) == str(row["seed"])]


def _attacker(run: Run, row: "pd.Series[Any]", own: pd.DataFrame) -> str:
    """Say what of the attacker who knows the detector is missing, and why."""
    if own.empty:
        return _not_run(run, row)
    if not (own["penalty"] > 0).any():
        return f"no {KNOWING} was run: the only penalty on suspicion is 0"
    if pd.isna(row["undetected_success"]):
        # Without a threshold the same was said of what is found.
        empty = not own["n"].any()
        return f"the {KNOWING} had no sample that the model gets right" if empty else ""
    if pd.isna(row["plain_undetected_success"]):
        return "the search without hiding was not run: no penalty on suspicion is 0"
    return "hiding gains nothing" if row["adaptive_penalty"] == 0 else ""


def _not_run(run: Run, row: "pd.Series[Any]") -> str:
    model = run.rows("adaptive", **{name: row[name] for name in ("arm", "data", "model")})
    if model.empty:
        return f"no {KNOWING} was run on this model"
    evaded = model[model["detector"] == row["detector"]]
    if evaded.empty:
        return f"the {KNOWING} was run against {told.listing(sorted(set(model['detector'])))} only"
    seeds = sorted(set(evaded["seed"].astype(str)))
    return f"the {KNOWING} has results of seed {told.listing(seeds)} only"


def _of_sequences(run: Run, row: "pd.Series[Any]") -> tuple[str, str]:
    """Say what stands against the model of DNA, and against the attack on it."""
    model = {"task": row["data"], "encoder": row["model"], "seed": str(row["seed"])}
    return told.input_check(run, **model), told.exhausted(run, [row["attack"]], **model)
