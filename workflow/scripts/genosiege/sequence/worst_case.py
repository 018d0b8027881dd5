"""The suite's worst case: what is robust against everything that was tried."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from genosiege.sequence import rates
from genosiege.sequence.results import AttackResult, ModelResult
from genosiege.sequence.suite import CERTIFY, MODEL, Suite, suites

WORST_CASE = "worst_case"
COLUMNS = [
    *MODEL, "attack", "edit_budget", "n_sequences", *rates.columns("robust_accuracy"), "n_flipped",
    "median_edits",
]  # fmt: skip


def worst_case_table(
    attacks: Iterable[AttackResult], certificates: Iterable[ModelResult] = ()
) -> pd.DataFrame:
    """Tabulate the robust accuracy of each model at each edit budget, under all attacks at once.

    A sequence is robust at a budget if the model is right about it and nothing found a flip
    of at most so many edits: for an attack's own rows no run of that attack, with whichever
    attack seed; for `worst_case` no attack and no certificate. Since all rows count the same
    sequences, the worst case is never above any other row of its model.

    Parameters
    ----------
    attacks : iterable of AttackResult
        All attacks in DNA space.
    certificates : iterable of ModelResult
        From `results.read_certificate`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/worst_case.rst`. An attack has rows up to
        its own `max_edits`, `certify` at budgets it decided for every sequence, and
        `worst_case` up to the largest of all.
    """
    rows = [row for suite in suites(attacks, certificates) for row in _rows(suite)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(suite: Suite) -> Iterator[dict[str, Any]]:
    correct = suite.sequences()["correct"]
    flips = suite.flips()
    for name, budgets in _budgets(suite).items():
        found = flips if name == WORST_CASE else flips[flips["attack"] == name]
        fewest = found.groupby("id")["n_edits"].min()
        for budget in budgets:
            within = fewest[fewest <= budget]
            n, n_robust = len(correct), int(correct.sum()) - len(within)
            yield suite.place | {
                "attack": name,
                "edit_budget": budget,
                "n_sequences": n,
                **rates.wilson("robust_accuracy", n_robust, n),
                "n_flipped": len(within),
                "median_edits": within.median(),
            }


def _budgets(suite: Suite) -> dict[str, list[int]]:
    """Say of each row's attack at which budgets it has something to say."""
    last = suite.last_budget
    budgets = {
        attack.attack: list(range(min(last, attack.max_edits) + 1)) for attack in suite.attacks
    }
    if suite.certificate is not None:
        rows = suite.certificate.rows
        undecided = set(rows.loc[rows["status"] == "unknown", "k"])
        # Without edits there is nothing to decide.
        budgets[CERTIFY] = [0, *sorted(set(rows["k"]) - undecided)]
    return budgets | {WORST_CASE: list(range(last + 1))}
