"""The findings of a run: what a reader is told first, each with its interval and place."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from genosiege.report import (
    detection_findings,
    expression_findings,
    forms,
    sequence_findings,
)
from genosiege.report.forms import Form
from genosiege.report.told import Run

COLUMNS = [
    "finding", "subject", "measure", "value", "value_low", "value_high", "reference_measure",
    "reference", "reference_low", "reference_high", "n", "remark",
]  # fmt: skip
"""One row per model: a value beside what it is compared with, copied from the run's tables.

A median of counts may be inf: more than was tried, which the measure names.
"""


class Finding(NamedTuple):
    """A question, and where its answer is shown: in a table, and mostly in a figure."""

    question: str
    answer: str
    table: str
    figure: str
    rows: Callable[[Run], Iterator[dict[str, Any]]]
    form: Form


def findings_table(
    tables: Mapping[str, pd.DataFrame], kinds: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Collect the findings of a run.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The run's tables by name, as far as there are; of arms that were not run, none.
    kinds : mapping of str to str, optional
        Kind of each attack on sequences by its name; of one that is not named, the name.

    Returns
    -------
    pandas.DataFrame
        Columns as in `COLUMNS`, in the order of `FINDINGS`. Where a table has means over model
        seeds, those are taken; else the first seed, which the subject then names.
    """
    run = Run(tables, kinds or {})
    rows = [
        {"finding": name} | row
        for name, finding in FINDINGS.items()
        if len(tables.get(finding.table, ()))
        for row in finding.rows(run)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"n": "Int64"})


FINDINGS: Mapping[str, Finding] = {
    "robustness": Finding(
        "How many predictions withstand the worst attack?",
        "Share of attacked test sequences that are classified correctly and that no attack of the "
        "suite, with any seed, and no certificate flips.",
        "worst_case",
        "robust_accuracy",
        sequence_findings.robustness,
        forms.share,
    ),
    "one_edit": Finding(
        "What does a single letter do?",
        "The same share where an attack may replace one letter.",
        "worst_case",
        "edits_per_success",
        sequence_findings.one_edit,
        forms.share,
    ),
    "truth": Finding(
        "Is the model wrong, or did the label change?",
        "Where the probability of every sequence is known, a flip is an error of the model if the "
        "likelier label stays what it was, and a true change if it does not. Beside it: how often "
        "the same attack, on the truth itself, changes that.",
        "known_truth",
        "",
        sequence_findings.truth,
        forms.share,
    ),
    "hardening": Finding(
        "Does adversarial training help?",
        "Last round against baseline under fresh attacks, in percentage points, paired by "
        "sequence; intervals are Holm-adjusted. Controls train as long without adversaries.",
        "verdict",
        "hardening_summary",
        sequence_findings.hardening,
        forms.change,
    ),
    "expression": Finding(
        "How few genes mislead a model of expression?",
        "Half of the attacked samples flip once so many of the most important genes were moved.",
        "smallest_k",
        "smallest_k",
        expression_findings.smallest_k,
        forms.count,
    ),
    "detection": Finding(
        "Can attacked data be told from natural data?",
        "The detector that is best against each model's attack, and an attacker who knows it. "
        "What is found is a share of the attack's flips; what stays unnoticed is a share of all "
        "samples that the attacker tried.",
        "best_detector",
        "undetected",
        detection_findings.detection,
        forms.share,
    ),
}
"""The questions in the order in which they are told."""
