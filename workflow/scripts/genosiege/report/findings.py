"""The five findings of a run: what a reader is told first, each with its interval and place."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

Tables = Mapping[str, pd.DataFrame]

COLUMNS = [
    "finding", "subject", "measure", "value", "value_low", "value_high", "reference_measure",
    "reference", "reference_low", "reference_high", "n", "remark",
]  # fmt: skip
"""One row per model: a value beside what it is compared with, copied from the run's tables."""

MODEL = ["task", "encoder"]
TARGETS = {
    "opposite": "the other class",
    "error": "known errors",
    "test_error": "the test split's own errors",
}


class Finding(NamedTuple):
    """One of the five questions, and where its answer is shown."""

    question: str
    answer: str
    tables: tuple[str, ...]
    figure: str
    rows: Callable[[Tables], Iterator[dict[str, Any]]]


def findings_table(tables: Tables) -> pd.DataFrame:
    """Collect the findings of a run.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The run's tables by name, as far as there are; of arms that were not run, none.

    Returns
    -------
    pandas.DataFrame
        Columns as in `COLUMNS`, in the order of `FINDINGS`. Where a table has means over model
        seeds, those are taken; else the first seed, which the subject then names.
    """
    rows = [
        {"finding": name} | row
        for name, finding in FINDINGS.items()
        if all(table in tables and len(tables[table]) for table in finding.tables)
        for row in finding.rows(tables)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rate(row: "pd.Series[Any]", name: str, into: str) -> dict[str, Any]:
    return {into: row[name], f"{into}_low": row[f"{name}_low"], f"{into}_high": row[f"{name}_high"]}


def _one_seed(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Take the means over seeds where there are any, else the first seed, and name it."""
    seeds = rows["seed"].astype(str)
    if (seeds == "all").any():
        return rows[seeds == "all"], ", all seeds"
    first = str(min(seeds.astype(int)))
    return rows[seeds == first], f", seed {first}" if seeds.nunique() > 1 else ""


def _worst_case(tables: Tables) -> Iterator[tuple[str, pd.DataFrame]]:
    """Give the worst case of each baseline model, by budget."""
    table = tables["worst_case"]
    table = table[(table["attack"] == "worst_case") & (table["stage"] == "baseline")]
    for (task, encoder), rows in table.groupby(MODEL, sort=True):
        taken, named = _one_seed(rows)
        yield f"{task} · {encoder}{named}", taken.sort_values("edit_budget")


def _robustness(tables: Tables) -> Iterator[dict[str, Any]]:
    for subject, rows in _worst_case(tables):
        clean, last = rows.iloc[0], rows.iloc[-1]
        yield {
            "subject": subject,
            "measure": f"robust accuracy, at most {last['edit_budget']} edits",
            **_rate(last, "robust_accuracy", "value"),
            "reference_measure": "accuracy on the same sequences",
            **_rate(clean, "robust_accuracy", "reference"),
            "n": last["n_sequences"],
        }


def _one_edit(tables: Tables) -> Iterator[dict[str, Any]]:
    certify = tables.get("certify", pd.DataFrame(columns=[*MODEL, "k", "exact", "stage"]))
    for subject, rows in _worst_case(tables):
        one = rows[rows["edit_budget"] == 1]
        if one.empty:
            continue
        proof = certify[
            (certify[MODEL] == rows[MODEL].iloc[0]).all(axis=1)
            & (certify["k"] == 1)
            & (certify["stage"] == "baseline")
        ]
        yield {
            "subject": subject,
            "measure": "robust accuracy, one edit",
            **_rate(one.iloc[0], "robust_accuracy", "value"),
            "reference_measure": "accuracy on the same sequences",
            **_rate(rows.iloc[0], "robust_accuracy", "reference"),
            "n": one.iloc[0]["n_sequences"],
            "remark": "exact: every edit was tried"
            if len(proof) and proof["exact"].all()
            else "an upper bound: not every edit was tried",
        }


def _hardening(tables: Tables) -> Iterator[dict[str, Any]]:
    for (task, encoder), model in tables["verdict"].groupby(MODEL, sort=True):
        rows, named = _one_seed(model)
        for _, row in rows.iterrows():
            note = "" if pd.isna(row["note"]) else f"; {row['note']}"
            kind = "" if row["kind"] == row["defence"] else f" ({row['kind']})"
            yield {
                "subject": f"{task} · {encoder}{named}, {row['defence']}{kind}",
                "measure": "change of robust accuracy, last round against baseline",
                **_rate(row, "delta_robust_accuracy", "value"),
                "reference_measure": "change of clean accuracy",
                **_rate(row, "delta_clean_accuracy", "reference"),
                "n": row["n_sequences"],
                "remark": f"{row['verdict']}{note}",
            }


def _expression(tables: Tables) -> Iterator[dict[str, Any]]:
    for (dataset, name), model in tables["fimba"].groupby(["dataset", "model"], sort=True):
        rows, named = _one_seed(model)
        rows = rows[(rows["features"] == "shap") & (rows["values"] == "interpolated")]
        rows = rows[rows["attacked_accuracy"].notna()]
        for column, preferred in (("targets", "opposite"), ("importance", "global")):
            rows = rows[rows[column] == preferred] if (rows[column] == preferred).any() else rows
        # All genes are no choice of genes, so that the ranking has nothing to say there.
        moved = pd.to_numeric(rows["k"], errors="coerce").fillna(rows["n_genes"])
        rows = rows.assign(moved=moved).sort_values(["moved", "t"])
        some = rows[rows["moved"] < rows["n_genes"]]
        rows = some if len(some) else rows
        if rows.empty:
            continue
        row = rows.iloc[-1]
        against = row["accuracy_minus_random"]
        yield {
            "subject": f"{dataset} · {name}{named}",
            "measure": f"accuracy, {int(row['moved'])} genes moved towards "
            f"{TARGETS.get(row['targets'], row['targets'])}",
            **_rate(row, "attacked_accuracy", "value"),
            "reference_measure": "accuracy before",
            **_rate(row, "clean_accuracy", "reference"),
            "n": row["n"],
            "remark": ""
            if pd.isna(against)
            else f"against as many random genes: {100 * against:+.1f} points "
            f"[{100 * row['accuracy_minus_random_low']:+.1f}, "
            f"{100 * row['accuracy_minus_random_high']:+.1f}]",
        }


def _detection(tables: Tables) -> Iterator[dict[str, Any]]:
    table = tables["best_detector"]
    table = table[(table["adversaries"] == "successful") & (table["null"] == "clean")]
    for (data, name), model in table.groupby(["data", "model"], sort=True):
        rows, named = _one_seed(model)
        known = rows[rows["undetected_success"].notna()]
        # Of several attacks the one that most samples fell to.
        row = (known if len(known) else rows).sort_values("n_adversaries", kind="stable").iloc[-1]
        yield {
            "subject": f"{data} · {name}{named}, {row['attack']}",
            "measure": "flips that stay unnoticed where the attacker knows the detector",
            **_rate(row, "undetected_success", "value"),
            "reference_measure": f"found by {row['detector']} at 5 % false alarms",
            **_rate(row, "tpr_at_5", "reference"),
            "n": row["adaptive_n"],
            "remark": "" if len(known) else "no attacker who knows the detector was run",
        }


FINDINGS: Mapping[str, Finding] = {
    "robustness": Finding(
        "How many predictions withstand the worst attack?",
        "Share of attacked test sequences that are classified correctly and that no attack of the "
        "suite, with any seed, and no certificate flips.",
        ("worst_case",),
        "robust_accuracy",
        _robustness,
    ),
    "one_edit": Finding(
        "What does a single letter do?",
        "The same share where an attack may replace one letter.",
        ("worst_case",),
        "edits_per_success",
        _one_edit,
    ),
    "hardening": Finding(
        "Does adversarial training help?",
        "Last round against baseline under fresh attacks, paired by sequence; Holm-adjusted "
        "intervals. Controls train as long without adversaries.",
        ("verdict",),
        "hardening_summary",
        _hardening,
    ),
    "expression": Finding(
        "How few genes mislead a model of expression?",
        "Accuracy after the genes with the largest SHAP values were moved.",
        ("fimba",),
        "fimba",
        _expression,
    ),
    "detection": Finding(
        "Can attacked data be told from natural data?",
        "The best detector of each model, and an attacker who knows it.",
        ("best_detector",),
        "undetected",
        _detection,
    ),
}
"""The five questions in the order in which they are told."""
