"""Where an attack edits: density of edits along the sequence against an even spread."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.statistics import bootstrap_interval, weighted_mean

N_SHIFTS = 1000
"""Random shifts that the band of the even spread is made from."""


class EditDensity(NamedTuple):
    """Fold density of edits per bin, shape (bins,) each; 1 is an even spread."""

    edges: NDArray[np.int64]
    fold: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    null_low: NDArray[np.float64]
    null_high: NDArray[np.float64]


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
    single = edits[edits != ""].str.split(";").explode()
    found = single.str.extract(r"^(\d+):[ACGTN]>[ACGT]$", expand=False)
    if found.isna().any():
        raise InputError(
            f'edits "{single[found.isna()].iloc[0]}": an edit is written position:from>to, such '
            "as 12:A>G; make the attack table again."
        )
    return found.astype(np.int64)


def edit_density(rows: pd.DataFrame, n_bins: int, generator: np.random.Generator) -> EditDensity:
    """Compare the density of edits along the sequence with an even spread.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of an attack table with `id`, `original`, `edits`; at least one edit.
    n_bins : int
        Bins of (nearly) equal width over the longest sequence, at least 1.
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
    edges = np.unique(np.linspace(0, lengths.max(), n_bins + 1).round().astype(np.int64))
    owner, places = positions.index.to_numpy(), positions.to_numpy()

    observed = np.zeros((len(rows), len(edges) - 1))
    np.add.at(observed, (owner, np.searchsorted(edges, places, side="right") - 1), 1)
    covered = np.clip(lengths[:, None], edges[:-1], edges[1:]) - edges[:-1]
    expected = observed.sum(axis=1, keepdims=True) * covered / lengths[:, None]
    scale = expected.sum(axis=0)

    intervals = [
        # The denominator barely varies between resamples: hold it fixed, as a mean's n.
        bootstrap_interval(
            observed[:, i] * len(rows) / scale[i], rows["id"], weighted_mean, generator
        )
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
    return EditDensity(edges, observed.sum(axis=0) / scale, low, high, null_low, null_high)
