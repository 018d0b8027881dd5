"""What changes from the baseline to a defence's last round, paired by sequence.

A family of comparisons is the defences of one model; each measure has its own.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.comparisons import holm, holm_levels, mcnemar_family, signed_rank_p
from genosiege.sequence import rates
from genosiege.sequence.outcomes import BLACK_BOX, CLEAN, REPLAY, TRANSFER
from genosiege.sequence.worst_case import WORST_CASE
from genosiege.statistics import (
    Interval,
    bootstrap_interval,
    weighted_mean,
    weighted_median,
)

LEVEL = 0.95
"""Confidence of a whole family."""

Answers = NDArray[np.bool_]


class Pair(NamedTuple):
    """One yes or no per sequence, with the last round's model and with the baseline."""

    last: Answers
    baseline: Answers


class Change(NamedTuple):
    """Last round minus baseline, as one comparison of a family; nan where nothing was compared."""

    value: float
    interval: Interval
    p: float
    level: float = LEVEL
    """Confidence level of the interval."""

    def named(self, name: str) -> dict[str, float]:
        """Give the columns of this change."""
        return rates.named(f"delta_{name}", self.value, self.interval) | {f"delta_{name}_p": self.p}

    @property
    def falls(self) -> bool:
        """Whether it is below 0 with confidence."""
        return self.interval.high < 0

    @property
    def rises(self) -> bool:
        """Whether it is above 0 with confidence."""
        return self.interval.low > 0


UNKNOWN = Change(math.nan, Interval(math.nan, math.nan), math.nan)

Family = Mapping[str, pd.DataFrame]
"""The outcomes of each defence of a model, in the order of their names."""


def columns(name: str) -> list[str]:
    """Name the columns of a change: value, both ends of its interval, adjusted p."""
    return [*rates.columns(f"delta_{name}"), f"delta_{name}_p"]


# Pairs --------------------------------------------------------------------------------


def within(rows: pd.DataFrame, edits: int) -> pd.DataFrame:
    """Leave of the flips those of at most so many edits."""
    kept = {}
    for when in ("before", "after"):
        few = rows[f"n_edits_{when}"] <= edits
        kept[f"flipped_{when}"] = rows[f"flipped_{when}"] & few
        kept[f"n_edits_{when}"] = rows[f"n_edits_{when}"].where(few)
    return rows.assign(**kept)


def under(rows: pd.DataFrame, attack: str) -> pd.DataFrame:
    """Give the outcomes under one attack."""
    return rows[rows["attack"] == attack]


def withstood(rows: pd.DataFrame) -> Pair:
    """Tell of each sequence of an attack whether either model withstood."""
    last, before = (
        (rows[f"correct_{when}"] & ~rows[f"flipped_{when}"]).to_numpy()
        for when in ("after", "before")
    )
    return Pair(last, before)


def clean(rows: pd.DataFrame) -> Pair:
    """Tell of each sequence of the clean test split whether either model is right."""
    answers = under(rows, CLEAN)
    return Pair(answers["correct_after"].to_numpy(), answers["correct_before"].to_numpy())


def _both_right(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave what both models are right about: only there can both be flipped."""
    return rows[rows["attacked"] & rows["correct_before"] & rows["correct_after"]]


def flips(rows: pd.DataFrame) -> Pair:
    """Tell of each sequence that both models are right about whether either is flipped."""
    both = _both_right(rows)
    return Pair(both["flipped_after"].to_numpy(), both["flipped_before"].to_numpy())


def transferred(rows: pd.DataFrame) -> Pair:
    """Tell the same of adversaries that were made against other models, all together.

    Only of the model's own sample: another task's may hold what this model was trained on.
    Without other models, those of the baseline stand in; beside them these would only blur the
    picture, since any training undoes some of what lies at the baseline's own border.
    """
    both = _both_right(_transferred(rows))
    flipped = both.groupby("id")[["flipped_after", "flipped_before"]].any()
    return Pair(flipped["flipped_after"].to_numpy(), flipped["flipped_before"].to_numpy())


def asks_others(rows: pd.DataFrame) -> bool:
    """Tell whether adversaries of another model were asked, on the model's own sample."""
    return bool(_of_others(rows).any())


def _of_others(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["attack"].str.startswith(TRANSFER) & (rows["sample"] == rows["task"])


def _transferred(rows: pd.DataFrame) -> pd.DataFrame:
    others = _of_others(rows)
    return rows[others] if others.any() else under(rows, REPLAY)


def _robust(rows: pd.DataFrame) -> pd.DataFrame:
    """Tell of each sequence, by id, whether either model withstood all attacks on it."""
    last, before = withstood(rows)
    robust = pd.DataFrame({"id": rows["id"].to_numpy(), "last": last, "baseline": before})
    return robust.groupby("id").all()


def _own_minus(rows: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.float64]:
    """Change under the own attack minus that under others, of each sequence that has both."""
    own, other = _robust(under(rows, BLACK_BOX)), _robust(others)
    both = own.index.intersection(other.index).sort_values()
    own, other = (found.loc[both].astype(float) for found in (own, other))
    gaps = (own["last"] - own["baseline"]) - (other["last"] - other["baseline"])
    return gaps.to_numpy()


# Comparisons --------------------------------------------------------------------------


def of_rates(pairs: Mapping[str, Pair]) -> dict[str, Change]:
    """Compare the pairs of one family.

    Parameters
    ----------
    pairs : mapping of str to Pair
        By defence. One without any sequence is not tested, and does not count.

    Returns
    -------
    dict of str to Change
        McNemar's test, p adjusted; each interval at the level at which Holm's procedure looks.
    """
    # In an order of their own: equal p-values are adjusted in the order given.
    tested = [name for name in sorted(pairs) if len(pairs[name].last)]
    compared = mcnemar_family([pairs[name] for name in tested], LEVEL)
    changes = dict.fromkeys(pairs, UNKNOWN)
    for name, (found, p_adjusted, level) in zip(tested, compared, strict=True):
        changes[name] = Change(found.difference, found.interval, p_adjusted, level)
    return changes


def of_masking(model: tuple[Any, ...], family: Family) -> dict[str, dict[str, Change]]:
    """Compare what a defence gains under its own attack with what it gains under others.

    Parameters
    ----------
    model : tuple
        Task, encoder and seed: part of the name of the bootstrap's random stream.
    family : mapping of str to pandas.DataFrame
        Outcomes by defence.

    Returns
    -------
    dict of str to dict of str to Change
        By measure and defence. `own_minus_worst`: the change of robust accuracy under the own
        attack minus that under the worst case, of the same sequences, with a bootstrap
        interval; p is Wilcoxon's, and adjusted. `own_minus_transferred`: the same against
        transferred adversaries, of the sequences that have one.
    """
    against: dict[str, dict[str, NDArray[np.float64]]] = {
        "own_minus_worst": {
            name: _own_minus(rows, under(rows, WORST_CASE)) for name, rows in family.items()
        },
        "own_minus_transferred": {
            name: _own_minus(rows, transfers[transfers["attacked"]])
            for name, rows in family.items()
            for transfers in [_transferred(rows)]
        },
    }
    return {measure: _of_means(model, measure, gaps) for measure, gaps in against.items()}


def _of_means(
    model: tuple[Any, ...], measure: str, gaps: Mapping[str, NDArray[np.float64]]
) -> dict[str, Change]:
    """Compare means with 0; one without any sequence is not tested, and does not count."""
    changes = dict.fromkeys(gaps, UNKNOWN)
    for name, (p, level) in _tested(gaps).items():
        found = gaps[name]
        stream = runtime.stream(*model, name, f"delta_{measure}")
        ids = np.arange(len(found))
        interval = bootstrap_interval(found, ids, weighted_mean, stream, level=level)
        changes[name] = Change(float(found.mean()), interval, p, level)
    return changes


def _tested(gaps: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
    """Give each Wilcoxon p, adjusted, and the level at which Holm's procedure looks."""
    names = [name for name in sorted(gaps) if len(gaps[name])]
    if not names:
        return {}
    p_values = [signed_rank_p(gaps[name]) for name in names]
    found = zip(holm(p_values).tolist(), holm_levels(p_values, LEVEL).tolist(), strict=True)
    return dict(zip(names, found, strict=True))


def of_edits(model: tuple[Any, ...], family: Family) -> dict[str, Change]:
    """Compare the median of the fewest edits that flip a sequence, under the worst case.

    Parameters
    ----------
    model : tuple
        Task, encoder and seed: part of the name of the bootstrap's random stream.
    family : mapping of str to pandas.DataFrame
        Outcomes by defence.

    Returns
    -------
    dict of str to Change
        The difference of both medians, each over what that model's attacks flip, with a paired
        bootstrap interval; p is Wilcoxon's, of what is flipped both times, and adjusted.
    """
    edits = {name: _edits(under(family[name], WORST_CASE)) for name in sorted(family)}
    twice = {name: found.dropna() for name, found in edits.items()}
    tested = _tested(
        {
            name: (found["n_edits_after"] - found["n_edits_before"]).to_numpy(dtype=np.float64)
            for name, found in twice.items()
        }
    )
    changes = {}
    for name, found in edits.items():
        value = _median(found["n_edits_after"]) - _median(found["n_edits_before"])
        p, level = tested.get(name, (math.nan, LEVEL))
        interval = UNKNOWN.interval
        if not math.isnan(value):
            interval = _shift_interval(found, level, *model, name, "delta_median_edits")
        changes[name] = Change(value, interval, p)
    return changes


def _edits(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the sequences that are flipped before or after, by id, and with how few edits."""
    edits = rows.set_index("id")[["n_edits_before", "n_edits_after"]].sort_index()
    return edits.dropna(how="all")


def _median(edits: "pd.Series[float]") -> float:
    return float(edits.dropna().median())


def _shift_interval(edits: pd.DataFrame, level: float, *stream: str | int) -> Interval:
    """Interval of the difference of both medians, sequences resampled with both their values."""
    before, after = edits["n_edits_before"].to_numpy(), edits["n_edits_after"].to_numpy()
    flipped_before, flipped_after = ~np.isnan(before), ~np.isnan(after)

    def shift(_: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        last = weighted_median(after[flipped_after], weights[:, flipped_after])
        first = weighted_median(before[flipped_before], weights[:, flipped_before])
        return last - first

    ids = np.arange(len(edits))
    return bootstrap_interval(ids, ids, shift, runtime.stream(*stream), level=level)
