"""The published figures of hardening, and the same measures as this run found them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.sequence import rates
from genosiege.sequence.outcomes import BLACK_BOX
from genosiege.sequence.rounds import in_order
from genosiege.statistics import Interval, bootstrap_interval

MODEL = ["task", "encoder", "seed"]
_ENDS = {"baseline": "before", "last": "after"}

COLUMNS = [
    "protocol", "defence", "kind", "attack", "adversary_source", "sequences", *MODEL, "n",
    "n_runs_baseline", *rates.columns("success_rate_baseline"),
    "n_runs_last", *rates.columns("success_rate_last"),
    *(column for measure in ("mean_edits", "mean_drop") for end in _ENDS
      for column in rates.columns(f"{measure}_{end}")),
    *rates.columns("clean_accuracy_baseline"), *rates.columns("clean_accuracy_last"),
]  # fmt: skip

REPORTED = {
    "protocol": "as reported",
    "success_rate_baseline_low": 0.60,
    "success_rate_baseline_high": 0.80,
    "mean_edits_baseline": 3.8,
    "mean_drop_baseline": 0.26,
    "clean_accuracy_baseline": 0.86,
    "clean_accuracy_last": 0.86,
}
"""What the published method's paper says of it."""

ALL, TRAINED, NEVER = "all", "trained on", "never trained on"


def published_claim_table(
    rounds: pd.DataFrame, outcomes: pd.DataFrame, defences: Sequence[str] = ()
) -> pd.DataFrame:
    """Set the published figures beside those of each defence, measured in the same way.

    Parameters and order are those of `verdict.verdict_table`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/published_claim.rst`; empty where nothing
        was hardened. Where test sequences were trained on (`adversary_source: test`), these
        and the others stand apart as well.
    """
    own = outcomes[outcomes["attack"] == BLACK_BOX]
    rows = [
        {**told, "sequences": sequences} | _measures(told, sequences, chosen)
        for key, found in own.groupby([*MODEL, "defence"])
        for told in [_told(rounds, key)]
        for sequences, chosen in _groups(found.sort_values("id"), told["adversary_source"])
    ]
    counts = dict.fromkeys(("seed", "n", "n_runs_baseline", "n_runs_last"), "Int64")
    measured = pd.DataFrame(rows, columns=COLUMNS).astype(counts)
    if measured.empty:
        return measured
    measured = in_order(measured.assign(_row=range(len(measured))), defences, "_row")
    # Empty text, not nan: a column of names stays one.
    empty = dict.fromkeys(("defence", "kind", "attack", "adversary_source", "sequences"), "")
    reported = pd.DataFrame([empty | {"task": "", "encoder": ""} | REPORTED], columns=COLUMNS)
    joined = pd.concat([reported.astype(counts), measured[COLUMNS]], ignore_index=True)
    return joined


def _told(rounds: pd.DataFrame, key: tuple[Any, ...]) -> dict[str, Any]:
    """Say which defence this is, and what it does to clean accuracy."""
    own = rounds[(rounds[[*MODEL, "defence"]] == list(key)).all(axis=1)].sort_values("round")
    last = own.iloc[-1]
    told = {name: last[name] for name in (*MODEL, "defence", "kind", "attack", "adversary_source")}
    told["protocol"] = told["defence"]
    for end, row in (("baseline", own.iloc[0]), ("last", last)):
        interval = Interval(row["accuracy_low"], row["accuracy_high"])
        told |= rates.named(f"clean_accuracy_{end}", row["accuracy"], interval)
    return told


def _groups(found: pd.DataFrame, source: str) -> Iterator[tuple[str, pd.DataFrame]]:
    yield ALL, found
    if source == "test":
        yield TRAINED, found[found["trained_on"]]
        yield NEVER, found[~found["trained_on"]]


def _measures(told: dict[str, Any], sequences: str, found: pd.DataFrame) -> dict[str, Any]:
    """Give the measures of the paper, before and after, of some sequences."""
    row: dict[str, Any] = {"n": len(found)}
    ids = found["id"].to_numpy()
    for end, when in _ENDS.items():
        runs = found[f"n_runs_{when}"].to_numpy(dtype=int)
        drops = found[f"n_drops_{when}"].to_numpy(dtype=int)
        row[f"n_runs_{end}"] = int(runs.sum())
        row |= _rate(f"success_rate_{end}", drops, runs, ids)
        # The baseline is the same for all defences, and so are its intervals.
        whose = told["attack"] if end == "baseline" else told["defence"]
        for measure, sums in (("mean_edits", "edits_of_drops"), ("mean_drop", "size_of_drops")):
            name = f"{measure}_{end}"
            stream = (*(told[column] for column in MODEL), whose, sequences, name)
            total = found[f"{sums}_{when}"].to_numpy(dtype=float)
            row |= _mean(name, total, drops.astype(float), ids, *stream)
    return row


def _rate(
    name: str, successes: NDArray[np.int_], runs: NDArray[np.int_], ids: NDArray[np.object_]
) -> dict[str, float]:
    """Share of runs that succeed, from the counts of each sequence."""
    each = [
        success
        for won, n in zip(successes, runs, strict=True)
        for success in [True] * won + [False] * (n - won)
    ]
    outcomes = pd.Series(each, dtype=bool)
    return rates.clustered(name, outcomes, pd.Series(np.repeat(ids, runs), dtype=object))


def _mean(
    name: str,
    totals: NDArray[np.float64],
    counts: NDArray[np.float64],
    ids: NDArray[np.object_],
    *stream: str | int,
) -> dict[str, float]:
    """Mean over successful runs, from the sums of each sequence, sequences resampled."""
    having = counts > 0
    totals, counts, ids = totals[having], counts[having], ids[having]
    value = totals.sum() / counts.sum() if len(totals) else float("nan")

    def ratio(_: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = (weights @ totals) / (weights @ counts)
        return means

    return rates.named(name, value, bootstrap_interval(totals, ids, ratio, runtime.stream(*stream)))
