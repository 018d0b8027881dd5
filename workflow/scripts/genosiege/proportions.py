"""Two rates measured on different units: their difference, its interval and a test of it."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from scipy.optimize import brentq
from scipy.stats import norm

from genosiege.comparisons import holm, holm_levels
from genosiege.errors import InputError
from genosiege.statistics import Interval


class Counts(NamedTuple):
    """Successes among independent trials of either kind."""

    successes: int
    n: int
    other_successes: int
    other_n: int


class Difference(NamedTuple):
    """First rate minus second.

    Attributes
    ----------
    value : float
        The difference; nan, and so all else, where one of the rates has no trial.
    interval : Interval
        Of the difference.
    p : float
        Two-sided, of the hypothesis that both rates are equal.
    """

    value: float
    interval: Interval
    p: float

    def turned(self) -> "Difference":
        """Give second rate minus first."""
        low, high = self.interval
        return Difference(0 - self.value, Interval(0 - high, 0 - low), self.p)


def newcombe(counts: Counts, level: float = 0.95) -> Difference:
    """Compare two independent rates by the hybrid score interval of their difference.

    Parameters
    ----------
    counts : Counts
        What was counted.
    level : float
        Confidence level in (0, 1).

    Raises
    ------
    InputError
        If successes are outside 0..n or level is outside (0, 1).

    Notes
    -----
    Newcombe (1998), Stat. Med. 17, 873–890, method 10: the distance of an end from the
    difference joins those of the ends of both Wilson intervals. Test: the one that this interval
    inverts, so that an interval excludes 0 exactly where p is below 1 − level; p is what lies
    beyond the narrowest interval that reaches 0.
    """
    _check(counts, level)
    if not (counts.n and counts.other_n):
        return Difference(math.nan, Interval(math.nan, math.nan), math.nan)
    value = counts.successes / counts.n - counts.other_successes / counts.other_n
    below, above = _distances(counts, float(norm.ppf((1 + level) / 2)))
    interval = Interval(max(value - below, -1.0), min(value + above, 1.0))
    return Difference(value, interval, _p_value(counts, value))


def newcombe_family(counts: Iterable[Counts], level: float = 0.95) -> list[Difference]:
    """Compare several pairs of rates, with Holm's adjustment.

    Parameters
    ----------
    counts : iterable of Counts
        One for each comparison of the family. One without trials is not tested and does not
        count.
    level : float
        Confidence level of the whole family, in (0, 1).

    Returns
    -------
    list of Difference
        In the order given: p adjusted, and the interval at the level at which Holm's procedure
        looks; what this promises is said at `comparisons.holm_levels`. An interval excludes 0
        where its adjusted p is below 1 − level.
    """
    kept = list(counts)
    alone = [newcombe(one, level) for one in kept]
    tested = [place for place, one in enumerate(alone) if not math.isnan(one.p)]
    levels = holm_levels([alone[place].p for place in tested], level)
    adjusted = holm([one.p for one in alone])
    found = [one._replace(p=float(p)) for one, p in zip(alone, adjusted, strict=True)]
    for place, own in zip(tested, levels, strict=True):
        found[place] = found[place]._replace(interval=newcombe(kept[place], float(own)).interval)
    return found


def _distances(counts: Counts, z: float) -> tuple[float, float]:
    """Give the distance of the lower and of the upper end from the difference."""
    first = _wilson_distances(counts.successes, counts.n, z)
    second = _wilson_distances(counts.other_successes, counts.other_n, z)
    return math.hypot(first[0], second[1]), math.hypot(first[1], second[0])


def _wilson_distances(successes: int, n: int, z: float) -> tuple[float, float]:
    """Give the distance of either end of Wilson's interval from the rate."""
    rate, shrunk = successes / n, z * z / n
    centre = (rate + shrunk / 2) / (1 + shrunk)
    half = z * math.sqrt(rate * (1 - rate) / n + shrunk / (4 * n)) / (1 + shrunk)
    # Rounding may leave an end beyond the rate, or beyond 0 and 1.
    low, high = max(centre - half, 0.0), min(centre + half, 1.0)
    return max(rate - low, 0.0), max(high - rate, 0.0)


def _p_value(counts: Counts, value: float) -> float:
    """Find the z at which the end on the side of 0 is 0."""
    if value == 0:
        return 1.0
    side = 0 if value > 0 else 1

    def missing(z: float) -> float:
        return abs(value) - _distances(counts, z)[side]

    # The distances grow with z, up to those of the whole unit interval, which are larger.
    most = 1.0
    while missing(most) > 0:
        most *= 2
    return float(2 * norm.sf(brentq(missing, 0.0, most, xtol=1e-12, rtol=1e-12)))


def _check(counts: Counts, level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level {level}: a confidence level lies between 0 and 1; correct it.")
    for successes, n in (counts[:2], counts[2:]):
        if not 0 <= successes <= n:
            raise InputError(
                f"{successes} successes of {n} trials: successes lie between 0 and the number of "
                "trials; correct the counts."
            )
