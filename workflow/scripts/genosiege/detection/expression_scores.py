"""The detectors' scores of natural and of attacked expression, in every setting of the attacks."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.detection import detectors
from genosiege.detection.detectors import Detector, Scores
from genosiege.detection.options import Detection
from genosiege.errors import InputError
from genosiege.expression import evasion, fimba, judging
from genosiege.expression.fimba import Goal, Ranked, Rankings
from genosiege.expression.fimba_options import Fimba, counts
from genosiege.expression.judging import Answers, Predictor, Values
from genosiege.expression.samples import Samples
from genosiege.expression.targets import Targets

if TYPE_CHECKING:
    import pandas as pd

    from genosiege.expression.vae import Vae

log = logging.getLogger(__name__)

NOWHERE = -1
"""The number of the target of samples that are moved to none."""

_NATURAL = {
    "attack": "", "targets": "", "importance": "", "features": "", "feature_set": 0, "values": "",
    "k": 0, "t": np.nan, "fraction": 0,
}  # fmt: skip


class _Attacked(NamedTuple):
    """What is the same in all settings of both attacks."""

    model: Predictor
    detectors: Mapping[str, Detector]
    samples: Samples
    before: Answers
    scores: Mapping[str, Scores]
    """Of the samples as they were."""
    aims: Mapping[str, NDArray[np.int64]]
    """By kind of targets, the number of each sample's."""


class _Seen(NamedTuple):
    """What became of each attacked sample, all (n,)."""

    flipped: NDArray[np.bool_]
    moved: NDArray[np.bool_]
    scores: Mapping[str, Scores]


def score(
    model: Predictor,
    vae: "Vae | None",
    train: Samples,
    dev: Samples,
    test: Samples,
    targets: Mapping[str, Targets],
    rankings: Rankings,
    fimba_options: Fimba,
    options: Detection,
    seed: int,
    *,
    fraction: int = 100,
    evasion_options: Fimba | None = None,
    threads: int = 1,
) -> "pd.DataFrame":
    """Fit the detectors, then score natural samples and those of every setting of the attacks.

    Parameters
    ----------
    model : Predictor
        The model under attack.
    vae : Vae or None
        The VAE of the detector `vae` and of the attack by decoded values: the detector knows the
        attacker's own. With None there are no such rows.
    train, dev, test : Samples
        The splits: detectors are fitted on the first, dev is the natural validation data, and
        `fimba.attacked` draws what is attacked from test.
    targets, rankings
        As in `fimba.attack`; the kinds of targets of both options.
    fimba_options : Fimba
        Those of the attack.
    options : Detection
        The detectors.
    seed : int
        Seed of the run.
    fraction : int
        Per cent of the training split that the VAE saw.
    evasion_options : Fimba, optional
        Those that `evasion.attack` had, if others.
    threads : int
        Most threads to use.

    Returns
    -------
    DataFrame
        Columns part, attack, targets, importance, features, feature_set, values, k, t, fraction,
        id, label, target (equal numbers: one and the same; -1 where there is none),
        correct_before, flipped, moved, and `score_<detector>` for each. First all of
        dev (`validation`) and all of test (`natural`); then (`attacked`) the rows of
        `fimba.attack` and the decoded ones of `evasion.attack` whose status is `attacked`, in
        their order, with the very values that these made.

    Raises
    ------
    InputError
        If genes differ, `vae` is asked for without one, or a ranking or kind of targets is
        missing or of another shape.

    Notes
    -----
    Targets `error` and `opposite` are training rows, among them those that detectors are fitted
    on, and decoded values are smoother than natural ones. So a sample moved far enough lies
    nearer to the training rows than natural samples do: low scores tell it, which is why both
    tails count (`operating_points.Suspicion`).
    """
    import pandas as pd

    if not train.genes == dev.genes == test.genes:
        raise InputError("the splits have different genes; prepare them together.")
    if vae is not None:
        vae.check(test)
    made = detectors.build(
        options.expression, model=model, vae=vae, options=options, seed=seed, threads=threads
    )
    fitted = detectors.fitted(made, train, options.fit_samples, seed)
    tables = [
        _natural(model, fitted, split, part)
        for split, part in ((dev, "validation"), (test, "natural"))
    ]
    samples = fimba.attacked(test, fimba_options, seed)
    rows = {name: row for row, name in enumerate(test.ids.tolist())}
    own = tables[1].iloc[[rows[name] for name in samples.ids.tolist()]]
    subject = _Attacked(
        model=model,
        detectors=fitted,
        samples=samples,
        before=judging.answers(model, samples.values, samples.labels),
        scores={f"score_{name}": own[f"score_{name}"].to_numpy() for name in fitted},
        aims={
            kind: fimba.numbered(aim)
            for asked in (fimba_options, evasion_options or fimba_options)
            for kind, aim, _ in fimba.goals(samples, targets, asked)
        },
    )
    ranked = fimba.orders(rankings, fimba_options, samples.values.shape, seed)
    sets = 1 + max(found.feature_set for found in ranked)
    goals = fimba.all_goals(samples, targets, fimba_options, sets, seed)
    tables += _settings(subject, goals, ranked, fimba_options, {"attack": "fimba", "fraction": 0})
    if vae is not None:
        chosen = evasion_options or fimba_options
        ranked = fimba.orders(rankings, chosen, samples.values.shape, seed)
        goals = _decoded(samples, vae, targets, chosen)
        columns = {"attack": "vae", "fraction": fraction}
        tables += _settings(subject, goals, ranked, chosen, columns)
    return pd.concat(tables, ignore_index=True)


def _natural(
    model: Predictor, fitted: Mapping[str, Detector], split: Samples, part: str
) -> "pd.DataFrame":
    before = judging.answers(model, split.values, split.labels)
    nothing = np.zeros(len(split), dtype=bool)
    seen = _Seen(nothing, nothing, detectors.scores(fitted, split.values))
    log.info("%s: %d samples scored", part, len(split))
    return _rows(split, before, seen, {"part": part, **_NATURAL})


def _decoded(
    samples: Samples, vae: "Vae", targets: Mapping[str, Targets], options: Fimba
) -> Iterator[Goal]:
    for kind, aim, status in fimba.goals(samples, targets, options):
        still = (status == judging.NO_TARGETS)[:, None]
        for t in options.t:
            decoded = np.where(still, samples.values, vae.interpolate(samples.values, aim, t))
            yield Goal(kind, evasion.DECODED, float(t), None, decoded, status)


def _settings(
    subject: _Attacked,
    goals: Iterator[Goal],
    ranked: Sequence[Ranked],
    options: Fimba,
    columns: Mapping[str, Any],
) -> "list[pd.DataFrame]":
    samples = subject.samples
    p = samples.values.shape[1]
    fitting = [k for k in counts(options.k, p) if k <= p]
    tables = []
    for goal in goals:
        there = goal.status == judging.ATTACKED
        # Moving all features is the same in any order.
        everything: _Seen | None = None
        for found in ranked:
            if goal.feature_set not in (None, found.feature_set):
                continue
            for k in fitting:
                seen = everything if k == p else None
                seen = seen or _seen(subject, goal, found, k)
                everything = seen if k == p else everything
                setting = _setting(goal, found, k, columns)
                aims = subject.aims.get(goal.targets, NOWHERE)
                tables.append(_rows(samples, subject.before, seen, setting, aims)[there])
        where = (columns["attack"], goal.values, goal.targets, goal.t)
        log.info("%s, %s values, targets %s, t %.3f: scored", *where)
    return tables


def _setting(goal: Goal, found: Ranked, k: int, columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "part": "attacked",
        "attack": columns["attack"],
        "targets": goal.targets,
        "importance": found.importance,
        "features": found.features,
        "feature_set": found.feature_set,
        "values": goal.values,
        "k": k,
        "t": goal.t,
        "fraction": columns["fraction"],
    }


def _seen(subject: _Attacked, goal: Goal, found: Ranked, k: int) -> _Seen:
    samples = subject.samples
    t = goal.t if goal.values == "interpolated" else 1.0
    moved = fimba.move(samples.values, goal.aim, found.order, k, t)
    return _judged(subject, moved)


def _judged(subject: _Attacked, moved: Values) -> _Seen:
    """Ask model and detectors about what has moved; the rest keeps answer and scores."""
    samples, before = subject.samples, subject.before
    changed = (moved != samples.values).any(axis=1)
    after = judging.answers(subject.model, moved[changed], samples.labels[changed])
    flipped = np.zeros(len(samples), dtype=bool)
    flipped[changed] = before.correct[changed] & ~after.correct
    scores = {name: found.copy() for name, found in subject.scores.items()}
    for name, found in detectors.scores(subject.detectors, moved[changed]).items():
        scores[name][changed] = found
    return _Seen(flipped, changed, scores)


def _rows(
    samples: Samples,
    before: Answers,
    seen: _Seen,
    setting: Mapping[str, Any],
    aims: NDArray[np.int64] | int = NOWHERE,
) -> "pd.DataFrame":
    import pandas as pd

    table: dict[str, Any] = {name: [value] * len(samples) for name, value in setting.items()}
    table |= {
        "id": samples.ids.astype(object),
        "label": samples.labels,
        "target": aims,
        "correct_before": before.correct,
        "flipped": seen.flipped,
        "moved": seen.moved,
        **seen.scores,
    }
    return pd.DataFrame(table)
