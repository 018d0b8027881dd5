"""The sequences that a model is weak on, for a reader or a later training."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from genosiege.sequence.results import AttackResult, ModelResult
from genosiege.sequence.suite import CERTIFY, MODEL, Suite, suites

COLUMNS = [
    *MODEL, "id", "label", "min_edits", "attack", "edits", "one_edit", "natural", "every_attack",
    "n_attacks_flipping", "n_attacks",
]  # fmt: skip


def vulnerable_table(
    attacks: Iterable[AttackResult],
    certificates: Iterable[ModelResult],
    kinds: Mapping[str, str],
) -> pd.DataFrame:
    """List the sequences that any attack or certificate flips, one row per model and sequence.

    Parameters
    ----------
    attacks : iterable of AttackResult
        All attacks in DNA space.
    certificates : iterable of ModelResult
        From `results.read_certificate`.
    kinds : mapping of str to str
        Kind of each attack by its name; flips of the kind `natural` are marked.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/vulnerable.rst`; the most vulnerable first.
        These are the sequences that `worst_case` counts as flipped at its largest budget.
    """
    rows = [row for suite in suites(attacks, certificates) for row in _rows(suite, kinds)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(suite: Suite, kinds: Mapping[str, str]) -> list[dict[str, Any]]:
    labels = suite.sequences()["label"]
    names = [attack.attack for attack in suite.attacks]
    rows = []
    # Flips come sorted by their edits: the first of a sequence is its easiest.
    for identity, found in suite.flips().groupby("id", sort=False):
        easiest = found.iloc[0]
        flipping = [name for name in found["attack"] if name != CERTIFY]
        rows.append(
            suite.place
            | {
                "id": identity,
                "label": labels[identity],
                "min_edits": easiest["n_edits"],
                "attack": easiest["attack"],
                "edits": easiest["edits"],
                "one_edit": easiest["n_edits"] == 1,
                "natural": any(kinds[name] == "natural" for name in flipping),
                "every_attack": bool(names) and len(flipping) == len(names),
                "n_attacks_flipping": len(flipping),
                "n_attacks": len(names),
            }
        )
    return sorted(rows, key=lambda row: (row["min_edits"], -row["n_attacks_flipping"]))
