"""The smallest number of features that flips a sample, exactly."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.expression import fimba, judging
from genosiege.expression.fimba import Order, Ranked, Rankings
from genosiege.expression.fimba_options import Fimba
from genosiege.expression.judging import Predictor, Values
from genosiege.expression.samples import Samples
from genosiege.expression.targets import Targets

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

SKIPPED = "skipped_misclassified"
"""Status of a sample that the model gets wrong before the attack."""

_ROWS = 4096
_CELLS = 16_000_000


class Found(NamedTuple):
    """The smallest k of each sample, 0 where none flips it, and the prefixes tried; both (n,)."""

    smallest_k: NDArray[np.int64]
    n_queries: NDArray[np.int64]


def smallest(
    model: Predictor,
    samples: Samples,
    aim: Values,
    order: Order,
    t: float,
    max_k: int,
    rows_at_once: int = _ROWS,
) -> Found:
    """Find for each sample the shortest prefix of the order that flips it.

    Every prefix is tried, since a longer one need not flip what a shorter one flips.

    Parameters
    ----------
    model : Predictor
        The model under attack.
    samples : Samples
        n samples that the model gets right.
    aim : ndarray of float32, shape (n, p)
        Their targets.
    order : ndarray of int, shape (p,) or (n, p)
        Features by falling importance.
    t : float
        Share of the way to the target.
    max_k : int
        Longest prefix tried, at most p.
    rows_at_once : int
        About how many moved samples the model sees at once; the result does not depend on it.

    Returns
    -------
    Found
        `n_queries` counts the prefixes up to and with the one that flips, or all of them:
        what a search one by one asks.
    """
    n, p = samples.values.shape
    moved = fimba.move(samples.values, aim, order, p, t)
    position = np.argsort(np.broadcast_to(order, (n, p)), axis=1, kind="stable")
    found = Found(np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64))
    rows_at_once = max(1, min(rows_at_once, _CELLS // p))
    active, tried = np.arange(n), 0
    while len(active) and tried < max_k:
        ks = np.arange(tried + 1, min(max_k, tried + max(1, rows_at_once // len(active))) + 1)
        flipped = np.empty((len(active), len(ks)), dtype=bool)
        for start in range(0, len(active), rows_at_once):
            rows = active[start : start + rows_at_once]
            taken = position[rows, None] < ks[:, None]
            values = np.where(taken, moved[rows, None], samples.values[rows, None])
            labels = np.repeat(samples.labels[rows], len(ks))
            after = judging.answers(model, values.reshape(-1, p), labels)
            flipped[start : start + rows_at_once] = ~after.correct.reshape(len(rows), len(ks))
        hit = flipped.any(axis=1)
        found.smallest_k[active[hit]] = ks[flipped[hit].argmax(axis=1)]
        tried = int(ks[-1])
        active = active[~hit]
    found.n_queries[:] = np.where(found.smallest_k > 0, found.smallest_k, max_k)
    return found


COLUMNS = {
    "targets": "object", "importance": "object", "features": "object", "t": "float64",
    "id": "object", "label": "int64", "correct_before": "bool", "smallest_k": "Int64",
    "tried_to": "int64", "n_queries": "int64", "status": "object",
}  # fmt: skip
"""Columns of the table, and their types."""


def search(
    model: Predictor,
    test: Samples,
    targets: Mapping[str, Targets],
    rankings: Rankings,
    options: Fimba,
    seed: int,
) -> "pd.DataFrame":
    """Find the smallest k of a sample of the attacked test samples, in every setting.

    Parameters
    ----------
    model : Predictor
        The model under attack.
    test : Samples
        The test split or what `fimba.attacked` drew from it, as in `fimba.attack`.
    targets, rankings
        As in `fimba.attack`.
    options : Fimba
        The settings; without `smallest_k` the table is empty. Values are interpolated; of
        the random orders the first is taken.
    seed : int
        Seed of the run. The samples drawn are the same for all models.

    Returns
    -------
    DataFrame
        A row for each setting and sample: targets, importance, features, t, id, label,
        correct_before, smallest_k (missing where no k up to `tried_to` flips the sample),
        tried_to, n_queries, status (`attacked`, `no_targets` or `skipped_misclassified`; the
        last two try nothing).

    Raises
    ------
    InputError
        As in `fimba.attack`.
    """
    import pandas as pd

    if options.smallest_k is None:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    everyone = fimba.attacked(test, options, seed)
    rng = runtime.stream(seed, "smallest_k")
    rows = fimba.stratified(everyone.labels, options.smallest_k.samples, rng)
    samples = everyone.take(rows)
    correct = judging.answers(model, samples.values, samples.labels).correct
    ranked = [
        found._replace(order=found.order[rows] if found.order.ndim == 2 else found.order)
        for found in fimba.orders(rankings, options, everyone.values.shape, seed)
        if found.feature_set == 0
    ]
    tables = []
    for kind, aim, status in fimba.goals(samples, targets, options):
        status = np.where(correct, status, SKIPPED)
        for found in ranked:
            for t in options.t:
                setting = _columns(kind, found, t)
                searched = (model, samples, aim, found.order, float(t), options.smallest_k.max)
                tables.append(_table(*searched, setting, correct, status))
                log.info("smallest k, targets %s, features %s, t %.3f: done", kind, found[0], t)
    return pd.concat(tables, ignore_index=True)


def _columns(kind: str, found: Ranked, t: float) -> dict[str, Any]:
    return {
        "targets": kind,
        "importance": found.importance,
        "features": found.features,
        "t": float(t),
    }


def _table(
    model: Predictor,
    samples: Samples,
    aim: Values,
    order: Order,
    t: float,
    max_k: int,
    setting: Mapping[str, Any],
    correct: NDArray[np.bool_],
    status: NDArray[np.str_],
) -> "pd.DataFrame":
    import pandas as pd

    n, p = samples.values.shape
    limit = min(max_k, p)
    rows = np.flatnonzero(status == judging.ATTACKED)
    own = order[rows] if order.ndim == 2 else order
    found = smallest(model, samples.take(rows), aim[rows], own, t, limit)
    smallest_k, n_queries = np.zeros((2, n), dtype=np.int64)
    smallest_k[rows], n_queries[rows] = found
    table: dict[str, Any] = {name: [value] * n for name, value in setting.items()}
    table |= {
        "id": samples.ids.astype(object),
        "label": samples.labels,
        "correct_before": correct,
        "smallest_k": pd.array(smallest_k, dtype="Int64"),
        "tried_to": np.where(status == judging.ATTACKED, limit, 0),
        "n_queries": n_queries,
        "status": status.astype(object),
    }
    made = pd.DataFrame(table)
    made.loc[made["smallest_k"] == 0, "smallest_k"] = pd.NA
    return made
