"""Where an attack edits: density of edits along the sequence against an even spread."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.statistics import Statistic, bootstrap_interval

N_SHIFTS = 1000
"""Random shifts that the band of the even spread is made from."""


class EditDensity(NamedTuple):
    """Fold density of edits per bin, shape (bins,) each; 1 is an even spread.

    Attributes
    ----------
    edges : ndarray, shape (bins + 1,)
        0-based position where each bin begins, and where the last one ends.
    fold : ndarray
        `observed` over `expected`.
    low, high : ndarray
        95 % interval of `fold`.
    null_low, null_high : ndarray
        The middle 95 % of `fold` when the edits are shifted.
    observed, expected : ndarray
        Edits in each bin, and those that an even spread would put there.
    """

    edges: NDArray[np.int64]
    fold: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    null_low: NDArray[np.float64]
    null_high: NDArray[np.float64]
    observed: NDArray[np.float64]
    expected: NDArray[np.float64]


def single_edits(edits: "pd.Series[str]") -> pd.DataFrame:
    """Take edit strings such as "12:A>G;40:C>T" apart.

    Returns
    -------
    pandas.DataFrame
        `position` (0-based), `old` and `new` base, one row per edit; the index is that of the
        edit string it came from.

    Raises
    ------
    InputError
        If a string is no list of edits.
    """
    single = edits[edits != ""].str.split(";").explode()
    found = single.str.extract(r"^(?P<position>\d+):(?P<old>[ACGTN])>(?P<new>[ACGT])$")
    wrong = found["position"].isna()
    if wrong.any():
        raise InputError(
            f'edits "{single[wrong].iloc[0]}": an edit is written position:from>to, such '
            "as 12:A>G; make the attack table again."
        )
    return found.astype({"position": np.int64})


def edit_positions(edits: "pd.Series[str]") -> "pd.Series[int]":
    """Take the 0-based positions from edit strings such as "12:A>G;40:C>T".

    Returns
    -------
    pandas.Series
        One entry per edit; its index is that of the edit string it came from.

    Raises
    ------
    InputError
        If a string is no list of edits.
    """
    return single_edits(edits)["position"]


def edit_density(
    rows: pd.DataFrame, bins: int | NDArray[np.int64], generator: np.random.Generator
) -> EditDensity:
    """Compare the density of edits along the sequence with an even spread.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of an attack table with `id`, `original`, `edits`; at least one edit.
    bins : int or ndarray of int
        Number of bins of (nearly) equal width over the longest sequence, at least 1; or the
        bins' edges, 0 first, the longest sequence's length last.
    generator : numpy.random.Generator
        For the bootstrap and the shifts.

    Returns
    -------
    EditDensity
        `fold` is the edits in a bin over those that an even spread along each sequence
        would put there. `low`, `high`: bootstrap 95 % interval, clustered by sequence id; nan
        where all rows are of one sequence. `null_low`, `null_high`: the middle 95 % of
        `fold` when all edits of a sequence, over its rows, are shifted together by a random
        distance around it, which keeps how many they are and how close they lie.
    """
    rows = rows[rows["edits"] != ""].reset_index(drop=True)
    positions = edit_positions(rows["edits"])
    lengths = rows["original"].str.len().to_numpy()
    even = np.linspace(0, lengths.max(), bins + 1).round() if isinstance(bins, int) else bins
    edges = np.unique(even.astype(np.int64))
    owner, places = positions.index.to_numpy(), positions.to_numpy()

    observed = np.zeros((len(rows), len(edges) - 1))
    np.add.at(observed, (owner, np.searchsorted(edges, places, side="right") - 1), 1)
    covered = np.clip(lengths[:, None], edges[:-1], edges[1:]) - edges[:-1]
    expected = observed.sum(axis=1, keepdims=True) * covered / lengths[:, None]
    scale = expected.sum(axis=0)

    intervals = [
        bootstrap_interval(observed[:, i], rows["id"], _fold(expected[:, i]), generator)
        for i in range(len(scale))
    ]
    # One shift per sequence: its rows, of other models or attack seeds, find the same places.
    _, first, sequence = np.unique(rows["id"], return_index=True, return_inverse=True)
    null = np.empty((N_SHIFTS, len(scale)))
    for i in range(N_SHIFTS):
        shift = generator.integers(lengths[first])[sequence]
        shifted = (places + shift[owner]) % lengths[owner]
        null[i] = np.histogram(shifted, edges)[0] / scale
    null_low, null_high = np.quantile(null, [0.025, 0.975], axis=0)
    low, high = np.array(intervals).T
    total = observed.sum(axis=0)
    return EditDensity(edges, total / scale, low, high, null_low, null_high, total, scale)


def _fold(expected: NDArray[np.float64]) -> Statistic:
    """Make the statistic observed over expected, both of the same resample."""

    def fold(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(weights @ values / (weights @ expected))

    return fold
