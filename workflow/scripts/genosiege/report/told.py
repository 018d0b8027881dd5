"""What findings are told from: a run's tables, and what stands against a model's numbers."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from genosiege.input_checks import PASSED, PHRASES

MODEL = ["task", "encoder"]
"""The columns that name a model of DNA, but for its seed."""

ALL_SEEDS = "all"
"""What stands for the seed in a row of means over seeds."""


class Run(NamedTuple):
    """A run's results.

    Attributes
    ----------
    tables : mapping of str to pandas.DataFrame
        By name, as far as there are; seeds are strings.
    kinds : mapping of str to str
        Kind of each attack on sequences by its name; of one that is not named, the name.
    """

    tables: Mapping[str, pd.DataFrame]
    kinds: Mapping[str, str]

    def rows(self, table: str, **where: Any) -> pd.DataFrame:
        """Give the rows whose cells are as asked for; any seed if that of all is asked for."""
        found = self.tables.get(table, pd.DataFrame(columns=[*where]))
        for column, value in where.items():
            if (column, value) != ("seed", ALL_SEEDS):
                # A name may look like a number, and a column of such names was read as numbers.
                found = found[found[column].astype(str) == str(value)]
        return found


def one_seed(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Take the means over seeds where there are any, else the first seed, and name it."""
    seeds = rows["seed"].astype(str)
    if (seeds == ALL_SEEDS).any():
        return rows[seeds == ALL_SEEDS], ", all seeds"
    first = str(min(seeds.astype(int)))
    return rows[seeds == first], f", seed {first}" if seeds.nunique() > 1 else ""


def rate(row: "pd.Series[Any]", name: str, into: str) -> dict[str, Any]:
    """Copy a value and its interval."""
    return {into: row[name], f"{into}_low": row[f"{name}_low"], f"{into}_high": row[f"{name}_high"]}


def prefer(rows: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """Take the rows with a value in a column, column by column, where there are any."""
    for column, value in wanted.items():
        some = rows[rows[column] == value]
        rows = some if len(some) else rows
    return rows


def joined(parts: Iterable[str]) -> str:
    """Join what there is to say."""
    return "; ".join(part for part in parts if part)


def listing(names: Iterable[str]) -> str:
    """Write names as a list in a sentence."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def input_check(run: Run, **model: str) -> str:
    """Say how a model failed its input check; nothing if it passed.

    Parameters
    ----------
    run : Run
        Its table `baseline` holds the checks.
    **model : str
        `task`, `encoder` and `seed`.
    """
    checks = run.rows("baseline", **model)
    failed = checks[checks["input_check"] != PASSED] if len(checks) else checks
    return joined(
        (f"seed {row['seed']}: " if model["seed"] == ALL_SEEDS else "")
        + PHRASES[row["input_check"]]
        for _, row in failed.iterrows()
    )


def is_truth(run: Run, **model: str) -> bool:
    """Tell whether a model is none, but the truth of its task."""
    return bool(run.rows("known_truth", **model, is_truth=True).shape[0])


def exhausted(run: Run, attacks: Iterable[str] | None = None, **model: str) -> str:
    """Say which attacks on a baseline ended at their limit, in how many runs.

    Parameters
    ----------
    run : Run
        Its table `warnings` holds the signs.
    attacks : iterable of str, optional
        Only of these.
    **model : str
        `task`, `encoder` and `seed`.
    """
    signs = run.rows("warnings", **model, stage="baseline", warning="budget_exhausted")
    if attacks is not None and len(signs):
        signs = signs[signs["attack"].isin([*attacks])]
    ended = [f"{sign.attack} in {sign.n:.0f} of {sign.of:.0f}" for sign in signs.itertuples()]
    return f"runs ended at their limit: {listing(ended)}" if ended else ""
