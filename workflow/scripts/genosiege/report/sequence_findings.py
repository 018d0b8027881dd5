"""Findings about models of DNA: the worst case, a single letter, and what hardening changed."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from genosiege.report import forms, told
from genosiege.report.told import MODEL, Run, rate

BOUND = "an upper bound"


def robustness(run: Run) -> Iterator[dict[str, Any]]:
    """Tell each baseline's robust accuracy at the largest budget."""
    for subject, model, rows in _worst_case(run):
        last = rows.iloc[-1]
        ended = told.exhausted(run, **model)
        yield {
            "subject": subject,
            "measure": f"robust accuracy, at most {last['edit_budget']} edits",
            **rate(last, "robust_accuracy", "value"),
            **_without_attack(rows),
            "n": last["n_sequences"],
            "remark": told.joined(
                [
                    _truth_itself(run, model),
                    told.input_check(run, **model),
                    ended and f"{BOUND}, as {ended}",
                    *_weaker_classes(run, model),
                ]
            ),
        }


def one_edit(run: Run) -> Iterator[dict[str, Any]]:
    """Tell each baseline's robust accuracy where one letter may be replaced."""
    for subject, model, rows in _worst_case(run):
        one = rows[rows["edit_budget"] == 1]
        if one.empty:
            continue
        yield {
            "subject": subject,
            "measure": "robust accuracy, one edit",
            **rate(one.iloc[0], "robust_accuracy", "value"),
            **_without_attack(rows),
            "n": one.iloc[0]["n_sequences"],
            "remark": told.joined([_truth_itself(run, model), _how_far_proven(run, model)]),
        }


def truth(run: Run) -> Iterator[dict[str, Any]]:
    """Tell what each baseline's flips are, where the truth is known, and how often that moves."""
    table = run.rows("known_truth", stage="baseline")
    for (task, encoder), found in table[~table["is_truth"].astype(bool)].groupby(MODEL, sort=True):
        rows, named = told.one_seed(found)
        kinds = rows.assign(kind=[run.kinds.get(name, name) for name in rows["attack"]])
        row = told.prefer(kinds, kind="genetic").iloc[0]
        itself = run.rows("known_truth", task=task, attack=row["attack"], is_truth=True)
        asked = told.one_seed(itself)[0] if len(itself) else itself
        model = {"task": str(task), "encoder": str(encoder), "seed": str(row["seed"])}
        yield {
            "subject": f"{task} · {encoder}{named}",
            "measure": f"flips by {row['attack']} that are errors of the model",
            **rate(row, "model_error_share", "value"),
            "reference_measure": f"sequences whose truth {row['attack']} can change",
            **(rate(asked.iloc[0], "truth_changed", "reference") if len(asked) else {}),
            "n": row["n_flips"],
            "remark": told.joined([told.input_check(run, **model), _flips(row)]),
        }


def _flips(row: "pd.Series[Any]") -> str:
    """Count what the flips are, in words."""
    return (
        f"flips with at most {row['max_edits']} edits: {row['n_flips']}; errors of the model: "
        f"{row['n_model_errors']}; true changes of the label: {row['n_true_changes']}; the label "
        f"changed and the model did not follow: {row['n_invariance_errors']}; left out, as the "
        f"drawn label was not the likelier one: {row['n_bayes_differs']}"
    )


def hardening(run: Run) -> Iterator[dict[str, Any]]:
    """Tell what each defence's last round changed, under the suite of its verdict."""
    for (task, encoder), found in run.tables["verdict"].groupby(MODEL, sort=True):
        rows, named = told.one_seed(found)
        for _, row in rows.iterrows():
            model = {"task": str(task), "encoder": str(encoder), "seed": str(row["seed"])}
            suite = [] if pd.isna(row["suite"]) else str(row["suite"]).split(";")
            kind = "" if row["kind"] == row["defence"] else f" ({row['kind']})"
            ended = told.exhausted(run, suite, **model)
            yield {
                "subject": f"{task} · {encoder}{named}, {row['defence']}{kind}",
                "measure": _measure(suite, row["edits"]),
                **rate(row, "delta_robust_accuracy", "value"),
                "reference_measure": "change of clean accuracy",
                **rate(row, "delta_clean_accuracy", "reference"),
                "n": row["n_sequences"],
                "remark": told.joined(
                    [
                        told.input_check(run, **model),
                        row["verdict"],
                        "" if pd.isna(row["note"]) else row["note"],
                        _family(row["family_size"]),
                        ended and f"on the baseline {ended}",
                    ]
                ),
            }


def _worst_case(run: Run) -> Iterator[tuple[str, dict[str, str], pd.DataFrame]]:
    """Give the worst case of each baseline model, by budget."""
    table = run.rows("worst_case", attack="worst_case", stage="baseline")
    for (task, encoder), rows in table.groupby(MODEL, sort=True):
        taken, named = told.one_seed(rows)
        seed = str(taken["seed"].iloc[0])
        model = {"task": str(task), "encoder": str(encoder), "seed": seed}
        yield f"{task} · {encoder}{named}", model, taken.sort_values("edit_budget")


def _truth_itself(run: Run, model: dict[str, str]) -> str:
    itself = told.is_truth(run, **model)
    return "no model, but the truth itself: what flips it changes the label" if itself else ""


def _without_attack(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "reference_measure": "accuracy on the same sequences",
        **rate(rows.iloc[0], "robust_accuracy", "reference"),
    }


def _how_far_proven(run: Run, model: dict[str, str]) -> str:
    """Say whether a number is exact: never of a model that cannot read its input."""
    failed = told.input_check(run, **model)
    proof = run.rows("certify", **model, stage="baseline", k=1)
    if len(proof) and proof["exact"].all():
        return failed or "exact: every allowed edit was tried"
    bound = f"{BOUND}: not every edit was tried"
    return told.joined([failed, bound, told.exhausted(run, **model)])


def _weaker_classes(run: Run, model: dict[str, str]) -> Iterator[str]:
    """Name the classes whose robust accuracy is shown to be below that of the others."""
    difference = "robust_accuracy_minus_rest"
    for _, row in run.rows("by_class", **model, stage="baseline").iterrows():
        if row[f"{difference}_high"] < 0:
            points = forms.interval(row, difference, forms.change)
            yield f"class {row['label']} is weaker: {points} points of robust accuracy"


def _family(size: float) -> str:
    return f"one of {size:.0f} defences compared" if size > 1 else "the only defence compared"


def _measure(suite: list[str], edits: float) -> str:
    if not suite:
        return "change of robust accuracy, under no attack"
    return f"change of robust accuracy, worst case of {', '.join(suite)}, at most {edits:.0f} edits"
