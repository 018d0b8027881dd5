"""Evasion with a variational autoencoder: features take what lies between sample and target."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.expression import fimba, judging
from genosiege.expression.fimba import Ranked, Rankings
from genosiege.expression.fimba_options import Fimba, counts
from genosiege.expression.judging import Answers, Neighbours, Outcome, Predictor, Values
from genosiege.expression.samples import Samples
from genosiege.expression.targets import Targets

if TYPE_CHECKING:
    import pandas as pd

    from genosiege.expression.vae import Vae

log = logging.getLogger(__name__)

DECODED = "decoded"
RECONSTRUCTED = "reconstructed"


class _Subject(NamedTuple):
    """What is the same in all settings."""

    model: Predictor
    samples: Samples
    before: Answers
    neighbours: Neighbours
    ranked: Sequence[Ranked]
    counts: Sequence[int]


def attack(
    model: Predictor,
    vaes: "Mapping[int, Vae]",
    test: Samples,
    train: Samples,
    targets: Mapping[str, Targets],
    rankings: Rankings,
    options: Fimba,
    seed: int,
) -> "pd.DataFrame":
    """Attack test samples with decoded values, in every setting of the options.

    The target of a sample is FIMBA's own: the nearest candidate by Euclidean distance over all
    features. The first k features of an order take their values of
    decode((1 - t) · z(sample) + t · z(target)), z the mean of the posterior; all others stay. So a
    row differs from that of `fimba.attack` with the same targets, features, k and t in nothing but
    these values.

    Parameters
    ----------
    model : Predictor
        The model under attack.
    vaes : mapping of int to Vae
        By per cent of the training split that it saw; of the same genes.
    test : Samples
        The test split; `fimba.attacked` draws from it.
    train : Samples
        The training split, clean: neighbours are looked up in it.
    targets, rankings
        As in `fimba.attack`: of the whole training split, whatever a VAE saw of it.
    options : Fimba
        Those of the attack; `values` is not used.
    seed : int
        Seed of the run.

    Returns
    -------
    DataFrame
        The columns of `fimba.attack`, with `fraction` after `t`. For each VAE first the control,
        one row per sample: `values` reconstructed (what the posterior's mean decodes to, all
        features, no target; targets, importance and features `none`, t NaN). Then `values`
        decoded, one row per setting and sample; statuses as in `fimba.attack`.

    Raises
    ------
    InputError
        If genes differ, or a ranking or kind of targets is missing or of another shape.

    Notes
    -----
    Interpolation in z between two samples is in the published code of FIMBA, there with a random
    draw of both z; what becomes of the decoded samples is not.
    """
    import pandas as pd

    if test.genes != train.genes:
        raise InputError("test and training split have different genes; prepare both together.")
    if not vaes:
        raise InputError("evasion: there is no VAE; train one of at least one fraction.")
    samples = fimba.attacked(test, options, seed)
    p = len(samples.genes)
    subject = _Subject(
        model=model,
        samples=samples,
        before=judging.answers(model, samples.values, samples.labels),
        neighbours=Neighbours(train, options.neighbours),
        ranked=fimba.orders(rankings, options, (len(samples), p), seed),
        counts=counts(options.k, p),
    )
    goals = list(fimba.goals(samples, targets, options))
    tables = []
    for fraction, vae in vaes.items():
        vae.check(samples)
        tables.append(_reconstructed(subject, vae, fraction))
        for kind, aim, status in goals:
            for t in options.t:
                decoded = vae.interpolate(samples.values, aim, t)
                columns = {"targets": kind, "t": float(t), "fraction": fraction}
                tables += _decoded(subject, decoded, columns, status)
                log.info("VAE of %d %%, targets %s, t %.3f: done", fraction, kind, t)
    return pd.concat(tables, ignore_index=True)


def _setting(
    ranked: Ranked | None, values: str, k: int, columns: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "targets": columns["targets"],
        "importance": ranked.importance if ranked else "none",
        "features": ranked.features if ranked else "none",
        "feature_set": ranked.feature_set if ranked else 0,
        "values": values,
        "k": k,
        "t": columns["t"],
        "fraction": columns["fraction"],
    }


def _reconstructed(subject: _Subject, vae: "Vae", fraction: int) -> "pd.DataFrame":
    model, samples, before, neighbours, *_ = subject
    columns = {"targets": "none", "t": np.nan, "fraction": fraction}
    setting = _setting(None, RECONSTRUCTED, len(samples.genes), columns)
    moved = vae.reconstruct(samples.values)
    return judging.judge(model, samples, moved, neighbours, setting, before=before)


def _decoded(
    subject: _Subject, decoded: Values, columns: Mapping[str, Any], status: NDArray[np.str_]
) -> "list[pd.DataFrame]":
    model, samples, before, neighbours, ranked, counts = subject
    p = len(samples.genes)
    still = (status == judging.NO_TARGETS)[:, None]
    aim = np.where(still, samples.values, decoded)
    tables = []
    # All features are the same in any order.
    everything: Outcome | None = None
    for found in ranked:
        for k in counts:
            setting = _setting(found, DECODED, k, columns)
            if k > p:
                beyond = judging.K_EXCEEDS_FEATURES
                tables.append(judging.not_run(samples, before, setting, beyond))
                continue
            after = everything if k == p else None
            if after is None:
                # All the way to the decoded values: t is already in them.
                moved = fimba.move(samples.values, aim, found.order, k, 1.0)
                after = judging.outcome(model, samples, moved, neighbours, before)
            everything = after if k == p else everything
            tables.append(judging.rows(samples, before, after, setting, status))
    return tables
