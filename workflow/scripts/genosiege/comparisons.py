"""Paired comparisons with an effect and its interval, and what to do about several of them."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest, norm, wilcoxon
from statsmodels.stats.multitest import multipletests

from genosiege.errors import InputError
from genosiege.statistics import Interval

POWER = 0.8
"""Power at which the smallest difference is told that a comparison could have shown."""


class PairedRates(NamedTuple):
    """Two rates measured on the same units.

    Attributes
    ----------
    n : int
        Number of units.
    n_first_only, n_second_only : int
        Discordant units: successes of one measurement and not of the other.
    difference : float
        Rate of the first minus rate of the second; nan without units.
    interval : Interval
        Of the difference.
    p : float
        Two-sided, of the hypothesis that both rates are equal.
    """

    n: int
    n_first_only: int
    n_second_only: int
    difference: float
    interval: Interval
    p: float


class AdjustedRates(NamedTuple):
    """One comparison of several.

    Attributes
    ----------
    rates : PairedRates
        Its interval has the confidence level below.
    p_adjusted : float
        Holm's p-value.
    level : float
        Confidence level at which Holm's procedure looked at this comparison.
    """

    rates: PairedRates
    p_adjusted: float
    level: float


def mcnemar(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> PairedRates:
    """Compare two rates on the same units: the exact test, and the difference's score interval.

    Parameters
    ----------
    first, second : array-like of bool, shape (n,)
        Success of each unit in either measurement.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    PairedRates
        Without discordant units p is 1.

    Raises
    ------
    InputError
        If the two differ in length or level is outside (0, 1).

    Notes
    -----
    Test: McNemar (1947), Psychometrika 12, 153–157, in its exact form: the two-sided binomial
    test of the discordant units. Interval: Tango (1998), Stat. Med. 17, 891–908. It inverts
    the score test, which without a continuity correction is less cautious than the exact one:
    close to the limit an interval may exclude 0 where p is above 1 − level.
    """
    one, two = (outcomes.astype(bool) for outcomes in _paired(first, second, level))
    n, only_one, only_two = len(one), int(np.sum(one & ~two)), int(np.sum(two & ~one))
    if n == 0:
        return PairedRates(0, 0, 0, math.nan, Interval(-1.0, 1.0), 1.0)
    discordant = only_one + only_two
    p = float(binomtest(only_one, discordant).pvalue) if discordant else 1.0
    difference = (only_one - only_two) / n
    interval = _tango_interval(only_one, only_two, n, level)
    return PairedRates(n, only_one, only_two, difference, interval, p)


def _tango_interval(only_first: int, only_second: int, n: int, level: float) -> Interval:
    """Differences that the score test does not reject, by root finding on either side."""
    z2 = float(norm.ppf((1 + level) / 2)) ** 2
    if only_first == only_second == 0:
        # The variance is 0 at the estimate, where a root finder would stay.
        return Interval(-z2 / (n + z2), z2 / (n + z2))
    estimate = (only_first - only_second) / n

    def excess(difference: float) -> float:
        """Squared score less what the level allows; negative inside the interval."""
        linear = -only_first - only_second + (2 * n - only_first + only_second) * difference
        constant = -only_second * difference * (1 - difference)
        # Rate of "second only" that is most likely under this difference.
        root = math.sqrt(max(linear**2 - 8 * n * constant, 0.0))
        rate = (root - linear) / (4 * n)
        variance = n * (2 * rate + difference * (1 - difference))
        return float((only_first - only_second - n * difference) ** 2 - z2 * variance)

    # At the end of the range the estimate is itself a root; the other end has a closed form.
    if only_first == n:
        return Interval((n - z2) / (n + z2), 1.0)
    if only_second == n:
        return Interval(-1.0, -(n - z2) / (n + z2))
    low = float(brentq(excess, -1.0, estimate))
    high = float(brentq(excess, estimate, 1.0))
    return Interval(low, high)


def smallest_difference(
    n: int, discordant: float, level: float = 0.95, power: float = POWER
) -> float:
    """Give the smallest difference of two paired rates that n units show with some power.

    Parameters
    ----------
    n : int
        Number of units.
    discordant : float
        Share of them whose two outcomes differ; at least the difference itself is taken.
    level : float
        Confidence level of the interval that has to exclude 0, in (0, 1).
    power : float
        How often it should, in (0, 1).

    Returns
    -------
    float
        Above 0, at most 1; nan where n is too small for any difference.

    Notes
    -----
    The sample size of McNemar's test, solved for the difference: Connor (1987), Biometrics 43,
    207–211.
    """
    z, z_power = float(norm.ppf((1 + level) / 2)), float(norm.ppf(power))

    def excess(difference: float) -> float:
        """Squared effect that n units show, less what is asked for."""
        share = max(discordant, difference)
        needed = z * math.sqrt(share) + z_power * math.sqrt(share - difference**2)
        return n * difference**2 - needed**2

    if excess(1.0) < 0:
        return math.nan
    # At 0 itself the excess may be 0, too.
    return float(brentq(excess, 1e-12, 1.0))


def signed_rank_p(differences: ArrayLike) -> float:
    """Give the two-sided p-value of Wilcoxon's signed ranks; 1 where nothing differs.

    Parameters
    ----------
    differences : array-like of float, shape (n,)
        Of a quantity measured twice on the same units, all finite. Equal pairs are ranked, too
        (Pratt 1959).
    """
    given = np.asarray(differences, dtype=float)
    return float(wilcoxon(given, zero_method="pratt").pvalue) if given.any() else 1.0


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values for their number, so that the familywise error is kept.

    Parameters
    ----------
    p_values : array-like of float, shape (m,)
        Of one family of comparisons; nan (not tested) stays nan and does not count.

    Returns
    -------
    ndarray of float64, shape (m,)
        In the order given.

    Raises
    ------
    InputError
        If a value is outside [0, 1].

    Notes
    -----
    Holm (1979), Scand. J. Stat. 6, 65–70.
    """
    raw = np.asarray(p_values, dtype=float)
    tested = ~np.isnan(raw)
    if ((raw[tested] < 0) | (raw[tested] > 1)).any():
        raise InputError("holm: p-values lie between 0 and 1; correct them.")
    adjusted = np.full(raw.shape, np.nan)
    if tested.any():
        adjusted[tested] = multipletests(raw[tested], method="holm")[1]
    return adjusted


def holm_levels(p_values: ArrayLike, level: float = 0.95) -> NDArray[np.float64]:
    """Give the confidence level at which Holm's procedure looks at each comparison.

    Parameters
    ----------
    p_values : array-like of float, shape (m,)
        Of one family of comparisons, none missing.
    level : float
        Confidence level of the whole family, in (0, 1).

    Returns
    -------
    ndarray of float64, shape (m,)
        1 − α / (m − r) for the comparison with the (r + 1)-th smallest p; from the first that
        is not rejected, all have that one's level.

    Notes
    -----
    With an interval that inverts the test, 0 lies outside exactly where Holm's procedure
    rejects; that decision keeps the familywise error 1 − `level`. The intervals of what is
    not rejected hold jointly at `level` (Guilbaud 2008, Biom. J. 50, 678–692). Of what is
    rejected only the sign is so secured: its ends are those of the comparison alone, at a
    stricter level than without adjustment; for jointly valid ends of all, use 1 − α / m.
    """
    raw = np.asarray(p_values, dtype=float)
    _paired(raw, raw, level)
    alpha, m = 1 - level, len(raw)
    levels = np.empty(m)
    for n_rejected, place in enumerate(np.argsort(raw, kind="stable")):
        step = alpha / (m - n_rejected)
        levels[place] = 1 - step
        if raw[place] > step:
            levels[raw >= raw[place]] = 1 - step
            break
    return levels


def mcnemar_family(
    pairs: Iterable[tuple[ArrayLike, ArrayLike]], level: float = 0.95
) -> list[AdjustedRates]:
    """Compare several pairs of rates, such as defences, with Holm's adjustment.

    Parameters
    ----------
    pairs : iterable of two array-likes of bool
        What `mcnemar` takes, one for each comparison of the family.
    level : float
        Confidence level of the whole family, in (0, 1).

    Returns
    -------
    list of AdjustedRates
        In the order given; what the intervals promise is said at `holm_levels`.
    """
    kept = list(pairs)
    p_values = [mcnemar(first, second, level).p for first, second in kept]
    return [
        AdjustedRates(mcnemar(first, second, own), float(adjusted), float(own))
        for (first, second), adjusted, own in zip(
            kept, holm(p_values), holm_levels(p_values, level), strict=True
        )
    ]


def _paired(
    first: ArrayLike, second: ArrayLike, level: float
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Check what all comparisons are given."""
    if not 0 < level < 1:
        raise InputError(f"level {level}: a confidence level lies between 0 and 1; correct it.")
    one, two = np.asarray(first), np.asarray(second)
    if one.ndim != 1 or one.shape != two.shape:
        raise InputError(
            f"{one.shape} against {two.shape}: a paired comparison takes two values of each "
            "unit; give two lists of equal length."
        )
    return one, two
