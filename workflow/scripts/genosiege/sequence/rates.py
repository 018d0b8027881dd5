"""A rate or a mean with its interval, as the three columns that a table gives it."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from genosiege import runtime
from genosiege.statistics import (
    Interval,
    Statistic,
    bootstrap_interval,
    clustered_wilson_interval,
    wilson_interval,
)


def columns(name: str) -> list[str]:
    """Name the columns of a value and of both ends of its interval."""
    return [name, f"{name}_low", f"{name}_high"]


def named(name: str, value: float, interval: Interval) -> dict[str, float]:
    """Give a value and its interval under the names of their columns."""
    return dict(zip(columns(name), (value, *interval), strict=True))


def wilson(name: str, successes: int, n: int) -> dict[str, float]:
    """Rate of independent trials with Wilson's 95 % interval; nan without trials."""
    rate = successes / n if n else float("nan")
    return named(name, rate, wilson_interval(successes, n))


def clustered(
    name: str, outcomes: "pd.Series[bool]", sequences: "pd.Series[str]"
) -> dict[str, float]:
    """Rate of trials with its 95 % interval, those on one sequence taken together."""
    rate = outcomes.mean() if len(outcomes) else np.nan
    return named(name, rate, clustered_wilson_interval(outcomes, sequences))


def bootstrapped(
    name: str, values: ArrayLike, sequences: ArrayLike, statistic: Statistic, *stream: str | int
) -> dict[str, float]:
    """Statistic of some values with its 95 % interval, whole sequences resampled.

    Parameters
    ----------
    name : str
        Of the value's column; also of its random stream.
    values : array-like of float, shape (n,)
        The observations; none give nan.
    sequences : array-like, shape (n,)
        To which sequence each belongs.
    statistic : callable
        `statistics.weighted_mean` or `statistics.weighted_median`.
    *stream : str or int
        Whose value it is: the further names of its random stream.
    """
    observed = np.asarray(values, dtype=float)
    value = float("nan")
    if len(observed):
        value = float(statistic(observed, np.ones((1, len(observed))))[0])
    interval = bootstrap_interval(observed, sequences, statistic, runtime.stream(*stream, name))
    return named(name, value, interval)
