"""FIMBA: move the features that matter most towards a sample of what the model gets wrong.

The published attack (arXiv 2401.10657), for all samples at once.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.expression import judging
from genosiege.expression.fimba_options import Fimba, counts
from genosiege.expression.judging import Answers, Neighbours, Outcome, Predictor
from genosiege.expression.samples import Samples
from genosiege.expression.targets import Targets, assign

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

Values = judging.Values
Order = NDArray[np.intp]
"""Features from the most to the least important, (p,), or for each sample, (n, p)."""
Rankings = Mapping[tuple[str, str], Order]
"""Orders by (features, importance), such as ("shap", "global")."""

# Rows that are moved at once: enough of them to be fast, few enough for the cache.
_ROWS = 256


def move(values: Values, targets: Values, order: Order, k: int, t: float) -> Values:
    """Move the first k features of an order a share t of the way to targets.

    Parameters
    ----------
    values : ndarray of float32, shape (n, p)
        Samples.
    targets : ndarray of float32, shape (n, p)
        The target of each.
    order : ndarray of int, shape (p,) or (n, p)
        Features by falling importance, the same for all samples or for each its own.
    k : int
        How many of them to move, at most p.
    t : float
        x becomes x + t · (target − x); 0 changes nothing, 1 reaches the target exactly.

    Returns
    -------
    ndarray of float32, shape (n, p)
        A copy; all other features are as they were.

    Raises
    ------
    InputError
        If the shapes do not fit, k is outside 0..p or t outside [0, 1].

    Notes
    -----
    t = 8/9 is the `linspace(x, target, 10)[-2]` of the published code.
    """
    n, p = values.shape
    if targets.shape != (n, p) or order.shape not in ((p,), (n, p)):
        raise InputError(
            f"samples {values.shape}, targets {targets.shape}, order {order.shape}: these do not "
            "fit; give a target for each sample and an order of all features."
        )
    if not 0 <= k <= p or not 0 <= t <= 1:
        raise InputError(f"k = {k} of {p} features, t = {t}: k is 0..{p}, t from 0 to 1.")
    moved = np.array(values, dtype=np.float32, order="C")
    for start in range(0, n, _ROWS):
        part = slice(start, start + _ROWS)
        if order.ndim == 1:
            # In the order of memory, which is faster.
            columns = np.sort(order[:k])
            old, aim = values[part].take(columns, axis=1), targets[part].take(columns, axis=1)
            moved[part, columns] = _between(old, aim, t)
        else:
            own = order[part, :k]
            old = np.take_along_axis(values[part], own, axis=1)
            aim = np.take_along_axis(targets[part], own, axis=1)
            np.put_along_axis(moved[part], own, _between(old, aim, t), axis=1)
    return moved


def _between(old: Values, aim: Values, t: float) -> Values:
    # In this form, and in float64, both ends are exact.
    mixed = (1 - t) * old.astype(np.float64) + t * aim.astype(np.float64)
    return mixed.astype(np.float32)


def stratified(labels: NDArray[np.int64], n: int | None, rng: np.random.Generator) -> Order:
    """Draw rows in proportion to the classes, at least one of each while there is room.

    Parameters
    ----------
    labels : ndarray of int64, shape (m,)
        Class of each row.
    n : int or None
        Rows to draw; all where it is None or not below m.
    rng : numpy.random.Generator
        For the choice.

    Returns
    -------
    ndarray of int, shape (min(n, m),)
        Rows, rising.
    """
    m = len(labels)
    if n is None or n >= m:
        return np.arange(m, dtype=np.intp)
    positives = int(labels.sum())
    share = round(n * positives / m)
    if 0 < positives < m and n > 1:
        share = min(max(share, 1), n - 1)
    chosen = [
        rng.choice(np.flatnonzero(labels == label), size, replace=False)
        for label, size in ((0, n - share), (1, share))
    ]
    return np.sort(np.concatenate(chosen)).astype(np.intp)


def attacked(test: Samples, options: Fimba, seed: int) -> Samples:
    """Give the test samples that are attacked: the same for all models of a data set and seed."""
    rng = runtime.stream(seed, "test_samples")
    return test.take(stratified(test.labels, options.test_samples, rng))


class Ranked(NamedTuple):
    """An order of the features and the columns that name it."""

    features: str
    importance: str
    feature_set: int
    order: Order


def orders(rankings: Rankings, options: Fimba, shape: tuple[int, int], seed: int) -> list[Ranked]:
    """List the orders of features that the options ask for.

    Parameters
    ----------
    rankings : mapping of (features, importance) to ndarray of int
        Shape (p,) for `global` and (n, p) for `per_sample`.
    options : Fimba
        What is asked for.
    shape : tuple of int
        (n, p) of the attacked samples.
    seed : int
        Seed of the run. The random orders depend on it and on p alone, not on the model.

    Returns
    -------
    list of Ranked
        `random_sets` of them for `random`.

    Raises
    ------
    InputError
        If a ranking is missing or is of another shape.
    """
    found: list[Ranked] = []
    for features in options.features:
        if features == "random":
            for number in range(options.random_sets):
                order = runtime.stream(seed, number, "random features").permutation(shape[1])
                found.append(Ranked(features, "none", number, order))
            continue
        for importance in options.importance:
            ranking = rankings.get((features, importance))
            if ranking is None:
                raise InputError(f"fimba: no ranking by {features}, {importance}; explain first.")
            if ranking.shape != (shape if importance == "per_sample" else shape[1:]):
                raise InputError(
                    f"fimba: the ranking by {features}, {importance} has shape {ranking.shape}, "
                    f"the attacked samples {shape}; explain these samples."
                )
            found.append(Ranked(features, importance, 0, ranking))
    return found


class Goal(NamedTuple):
    """Where samples go: with `feature_set` None, whatever features are moved.

    Features move the share `t` of the way to `aim` if `values` is interpolated, else all of it.
    """

    targets: str
    values: str
    t: float
    feature_set: int | None
    aim: Values
    status: NDArray[np.str_]


def goals(
    samples: Samples, targets: Mapping[str, Targets], options: Fimba
) -> Iterator[tuple[str, Values, NDArray[np.str_]]]:
    """Give each kind of targets, the target of each sample, and the status of each sample.

    Raises
    ------
    InputError
        If a kind that the options ask for was not given.
    """
    for kind in options.targets:
        if kind not in targets:
            raise InputError(f"fimba: there are no targets of kind {kind}; make them first.")
        assigned = assign(targets[kind], samples)
        found = assigned.rows >= 0
        yield kind, assigned.values, np.where(found, judging.ATTACKED, judging.NO_TARGETS)


def numbered(aims: Values) -> NDArray[np.int64]:
    """Give each row of (n, p) a number, (n,), the same to equal rows: to samples of one target."""
    known: dict[bytes, int] = {}
    return np.array([known.setdefault(row.tobytes(), len(known)) for row in aims], dtype=np.int64)


def uniform_values(samples: Samples, feature_set: int, seed: int) -> Values:
    """Draw a value in [-1, 1] for each feature of each sample, the same for all k and models."""
    n, p = samples.values.shape
    drawn = np.empty((n, p), dtype=np.float32)
    for row, name in enumerate(samples.ids.tolist()):
        rng = runtime.stream(seed, name, "uniform values", feature_set)
        drawn[row] = rng.uniform(-1, 1, p)
    return drawn


def all_goals(
    samples: Samples, targets: Mapping[str, Targets], options: Fimba, sets: int, seed: int
) -> Iterator[Goal]:
    """Give every goal of the options; `sets` is how many sets of uniform values there are."""
    for values in options.values:
        if values == "interpolated":
            for kind, aim, status in goals(samples, targets, options):
                for t in options.t:
                    yield Goal(kind, values, float(t), None, aim, status)
        else:
            status = np.full(len(samples), judging.ATTACKED)
            for number in range(sets):
                drawn = uniform_values(samples, number, seed)
                yield Goal("none", values, np.nan, number, drawn, status)


class _Attacked(NamedTuple):
    """What is the same in all settings."""

    model: Predictor
    samples: Samples
    before: Answers
    neighbours: Neighbours
    counts: list[int]


def attack(
    model: Predictor,
    test: Samples,
    train: Samples,
    targets: Mapping[str, Targets],
    rankings: Rankings,
    options: Fimba,
    seed: int,
) -> "pd.DataFrame":
    """Attack test samples in every setting of the options.

    Parameters
    ----------
    model : Predictor
        The model under attack.
    test : Samples
        The test split, or what `attacked` drew from it: n samples are attacked.
    train : Samples
        The training split, clean: neighbours are looked up in it.
    targets : mapping of str to Targets
        The kinds of targets in the options; not used for `uniform` values.
    rankings : mapping of (features, importance) to ndarray of int
        Features by falling importance: (p,) for `global`, (n, p) for `per_sample`, whose rows
        are the attacked samples.
    options : Fimba
        The settings.
    seed : int
        Seed of the run.

    Returns
    -------
    DataFrame
        n rows for each setting: targets, importance, features, feature_set, values, k, t, id,
        label, p_true_before, correct_before, p_true_after, correct_after, l0, l2,
        neighbours_true, status. `status` is `attacked`; `no_targets` where a class has none, and
        the sample stays as it is; or `k_exceeds_features`, and there is nothing after.

    Raises
    ------
    InputError
        If genes differ, or a ranking or kind of targets is missing or of another shape.
    """
    import pandas as pd

    if test.genes != train.genes:
        raise InputError("test and training split have different genes; prepare both together.")
    samples = attacked(test, options, seed)
    n, p = samples.values.shape
    ranked = orders(rankings, options, (n, p), seed)
    subject = _Attacked(
        model=model,
        samples=samples,
        before=judging.answers(model, samples.values, samples.labels),
        neighbours=Neighbours(train, options.neighbours),
        counts=counts(options.k, p),
    )
    sets = 1 + max(found.feature_set for found in ranked)
    tables = []
    for goal in all_goals(samples, targets, options, sets, seed):
        tables += _towards(subject, goal, ranked)
        where = (goal.values, goal.targets, goal.t)
        log.info("%d samples, %s values, targets %s, t %.3f: done", n, *where)
    return pd.concat(tables, ignore_index=True)


def _towards(subject: _Attacked, goal: Goal, ranked: Sequence[Ranked]) -> "list[pd.DataFrame]":
    p = subject.samples.values.shape[1]
    samples, before = subject.samples, subject.before
    tables = []
    # Moving all features is the same in any order.
    everything: Outcome | None = None
    for found in ranked:
        if goal.feature_set not in (None, found.feature_set):
            continue
        for k in subject.counts:
            setting = {
                "targets": goal.targets,
                "importance": found.importance,
                "features": found.features,
                "feature_set": found.feature_set,
                "values": goal.values,
                "k": k,
                "t": goal.t,
            }
            if k > p:
                status = judging.K_EXCEEDS_FEATURES
                tables.append(judging.not_run(samples, before, setting, status))
                continue
            if k < p or everything is None:
                t = goal.t if goal.values == "interpolated" else 1.0
                moved = move(samples.values, goal.aim, found.order, k, t)
                after = judging.outcome(subject.model, samples, moved, subject.neighbours, before)
                everything = after if k == p else everything
            else:
                after = everything
            tables.append(judging.rows(samples, before, after, setting, goal.status))
    return tables
