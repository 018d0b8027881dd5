"""Poisoning of the training split with decoded samples, and what retrained models lose by it."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.expression import judging, models
from genosiege.expression import targets as targeting
from genosiege.expression.model_options import take
from genosiege.expression.models import Model
from genosiege.expression.samples import Samples
from genosiege.expression.vae_training import share

if TYPE_CHECKING:
    import pandas as pd

    from genosiege.expression.vae import Vae

log = logging.getLogger(__name__)

NONE = "none"
"""The kind of the model that was trained on the clean split."""
VAE, RECONSTRUCTION, LABEL_FLIP, REFIT = KINDS = ("vae", "reconstruction", "label_flip", "refit")
"""Kinds of poison; the last three are controls, `refit` without any poison."""
TARGETS = ("opposite", "error")
BASELINE, RETRAINED = "baseline", "retrained"
OTHER_SEED = 1_000_003
"""What the control `refit` adds to the seed of the model."""

_RATE = "per cent of the training split, above 0, at most 100"


@dataclass(frozen=True)
class Poisoning:
    """Options of poisoning, named as in the configuration.

    Attributes
    ----------
    kinds : tuple of str
        Of `KINDS`; the clean model stands in the table anyway.
    rates : tuple of float
        Poison added, in per cent of the training split, each rounded up to a whole sample.
    targets : str
        What poison is moved to: `opposite`, the nearest training sample of the other class, or
        `error`, the nearest out-of-fold error of its own class.
    t : float
        Share of the way to the target in z, in [0, 1].

    Raises
    ------
    InputError
        If a value is out of range, or a list is empty or repeats itself.
    """

    kinds: tuple[str, ...] = KINDS
    rates: tuple[float, ...] = (1, 5, 10)
    targets: str = "opposite"
    t: float = 8 / 9

    def __post_init__(self) -> None:
        for name in ("kinds", "rates"):
            values = getattr(self, name)
            if not isinstance(values, tuple) or not values or len(set(values)) < len(values):
                raise InputError(
                    f"poisoning, {name} {values!r}: give a list of one or more different values."
                )
        for kind in self.kinds:
            if kind not in KINDS:
                raise InputError(f'poisoning, kinds "{kind}": choose among {", ".join(KINDS)}.')
        for rate in self.rates:
            if not _within(rate, 100) or rate == 0:
                raise InputError(f"poisoning, rates {rate!r}: give {_RATE}.")
        if self.targets not in TARGETS:
            raise InputError(f'poisoning, targets "{self.targets}": choose opposite or error.')
        if not _within(self.t, 1):
            raise InputError(f"poisoning, t {self.t!r}: give a share of the way, from 0 to 1.")

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any] | None) -> "Poisoning":
        """Take the options given, and the defaults for the rest."""
        return take(cls, options, "poisoning")


def _within(value: object, most: float) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and 0 <= value <= most


class Poison(NamedTuple):
    """All the poison there can be of one kind, in the order in which rates take it.

    `samples` bear the labels that they are trained with.
    """

    kind: str
    fraction: int
    samples: Samples


def amount(n: int, rate: float) -> int:
    """Count the poison of a rate: per cent of n samples, rounded up."""
    # As written, not as stored: 1.1 % of 1,000 is 11, though the float is above 1.1.
    return math.ceil(Fraction(str(rate)) * n / 100)


def order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Put rows in a random order, every beginning of which has both classes in proportion.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        0 or 1.
    seed : int
        Whose stream it is.

    Returns
    -------
    ndarray of int64, shape (n,)
        Rows. Of the first m, those of class 1 are m times their share, rounded (a half up).
    """
    n, positives = len(labels), int(labels.sum())
    if not n:
        return np.empty(0, dtype=np.int64)
    until = (2 * np.arange(n + 1) * positives + n) // (2 * n)
    drawn = np.diff(until)
    rows = np.empty(n, dtype=np.int64)
    for label in (0, 1):
        rng = runtime.stream(seed, "poisoning", f"samples of class {label}")
        rows[drawn == label] = rng.permutation(np.flatnonzero(labels == label))
    return rows


def poison(
    kind: str,
    known: Samples,
    n: int,
    options: Poisoning,
    seed: int,
    vae: "Vae | None" = None,
    fraction: int = 0,
    out_of_fold: "pd.DataFrame | None" = None,
) -> Poison:
    """Make poison out of the training samples that the attacker has.

    `vae`: samples of class c that look like the other class and are labelled c, "synthetic false
    positives" (c = 0) and "false negatives" (c = 1): decode((1 - t) · z(x) + t · z(target)), z the
    mean of the posterior, x of class c, the target the nearest one that the options ask for.
    `reconstruction`: decode(z(x)), labelled c, of the same x: what decoding alone does.
    `label_flip`: x itself, labelled 1 - c: the plainest poison there is.

    Parameters
    ----------
    kind : str
        Of `KINDS`.
    known : Samples
        What the attacker has of the training split; x and targets are taken from it.
    n : int
        How many to make. Where the attacker has fewer samples, they are taken again.
    options : Poisoning
        See there.
    seed : int
        Whose stream chooses x. The first ones of a larger n are those of a smaller one.
    vae : Vae, optional
        For `vae` and `reconstruction`.
    fraction : int
        Per cent of the training split that the VAE saw, 0 without one.
    out_of_fold : DataFrame, optional
        Columns id, label, predicted of the training split, for targets `error`.

    Returns
    -------
    Poison
        n samples, or none where no x has a target. A class without targets gives no x.

    Notes
    -----
    Published are that poison was made with a VAE (in the abstract of FIMBA) and an interpolation
    between two samples in z (in its code, with a random draw of both z). The code does not poison:
    the labels, t, the rates and the pairs of x and target are our reading.
    """
    if kind not in KINDS or (vae is None) != (kind == LABEL_FLIP):
        raise InputError(f'poison "{kind}": vae and reconstruction need a VAE, label_flip none.')
    assigned = _assigned(known, options, out_of_fold)
    usable = np.flatnonzero(assigned.rows >= 0)
    if not len(usable):
        return Poison(kind, fraction, known.take(usable))
    rows = usable[np.resize(order(known.labels[usable], seed), n)]
    values, labels = known.values[rows], known.labels[rows]
    if kind == LABEL_FLIP:
        labels = 1 - labels
    elif vae is not None:
        vae.check(known)
        if kind == VAE:
            values = vae.interpolate(values, assigned.values[rows], options.t)
        else:
            values = vae.reconstruct(values)
    ids = [f"{kind}:{i}:{name}" for i, name in enumerate(known.ids[rows].tolist())]
    return Poison(
        kind, fraction, Samples(np.array(ids, dtype=np.str_), values, labels, known.genes)
    )


def _assigned(
    known: Samples, options: Poisoning, out_of_fold: "pd.DataFrame | None"
) -> targeting.Assigned:
    if options.targets == "opposite":
        return targeting.assign(targeting.opposite_targets(known), known)
    if out_of_fold is None:
        raise InputError("poisoning, targets error: they need out-of-fold predictions; give them.")
    mine = out_of_fold[out_of_fold["id"].astype(str).isin(known.ids.tolist())]
    return targeting.assign(targeting.error_targets(known, mine), known)


def run(
    model: Model,
    train: Samples,
    dev: Samples,
    test: Samples,
    vaes: "Mapping[int, Vae]",
    options: Poisoning,
    seed: int,
    out_of_fold: "pd.DataFrame | None" = None,
) -> "pd.DataFrame":
    """Retrain a model on every poisoned training split, and ask it about the clean test split.

    Parameters
    ----------
    model : Model
        Trained on `train` and `dev`: the baseline. It is left as it is.
    train, dev, test : Samples
        The clean splits; only `train` is ever poisoned.
    vaes : mapping of int to Vae
        By per cent of the training split that it saw. An attacker with such a VAE has that share
        of the training split, the one that `vae_training.share` draws with the same seed.
    options : Poisoning
        See there.
    seed : int
        Seed of the run, and of the VAEs.
    out_of_fold : DataFrame, optional
        For targets `error`: columns id, label, predicted of the training split.

    Returns
    -------
    DataFrame
        One row per model and test sample: kind, fraction (0 without a VAE), rate (per cent),
        n_poison, n_poison_wrong (poison to which the baseline gives another label than it
        bears), id, label, p_true, correct, status. First those of the baseline (`none`, rate 0,
        status `baseline`: as training is deterministic, a model fitted again on the clean split
        is the same one), then of the models that were `retrained`, that of `refit` with another
        seed. Status `no_targets` and
        n_poison 0 where the attacker has no target: the baseline stays as it is.

    Raises
    ------
    InputError
        If genes differ, or there is no VAE for a kind that needs one.
    """
    import pandas as pd

    if not vaes and set(options.kinds) - {LABEL_FLIP, REFIT}:
        raise InputError("poisoning: vae and reconstruction need a VAE; train one, or leave them.")
    most = amount(len(train), max(options.rates))
    baseline = judging.answers(model, test.values, test.labels)
    tables = [_rows(test, Poison(NONE, 0, train.take(np.arange(0))), 0.0, 0, baseline, BASELINE)]
    if REFIT in options.kinds:
        tables.append(_refit(model, train, dev, test))
    for kind in (kind for kind in options.kinds if kind != REFIT):
        for fraction in (0,) if kind == LABEL_FLIP else vaes:
            known = train.take(share(train.labels, fraction or 100, seed, "train"))
            vae = vaes[fraction] if fraction else None
            made = poison(kind, known, most, options, seed, vae, fraction, out_of_fold)
            for rate in options.rates:
                if not len(made.samples):
                    tables.append(_rows(test, made, rate, 0, baseline, judging.NO_TARGETS))
                    continue
                tables.append(_poisoned(model, train, dev, test, made, rate))
    return pd.concat(tables, ignore_index=True)


def _refit(model: Model, train: Samples, dev: Samples, test: Samples) -> "pd.DataFrame":
    """Train on clean data from another start: what any retraining changes."""
    again = models.create(model.entry(), model.n_features, model.seed + OTHER_SEED, model.threads)
    again.fit(train, dev)
    answers = judging.answers(again, test.values, test.labels)
    return _rows(test, Poison(REFIT, 0, train.take(np.arange(0))), 0.0, 0, answers, RETRAINED)


def _poisoned(
    model: Model, train: Samples, dev: Samples, test: Samples, made: Poison, rate: float
) -> "pd.DataFrame":
    first = made._replace(samples=made.samples.take(np.arange(amount(len(train), rate))))
    wrong = int((model.decide(first.samples.values) != first.samples.labels).sum())
    retrained = models.fresh(model)
    retrained.fit(joined(train, first.samples), dev)
    answers = judging.answers(retrained, test.values, test.labels)
    log.info(
        "%s, VAE of %d %%, %g %% poison: accuracy %.4f",
        *(made.kind, made.fraction, rate, answers.correct.mean()),
    )
    return _rows(test, first, rate, wrong, answers, RETRAINED)


def joined(samples: Samples, others: Samples) -> Samples:
    """Append samples to others of the same genes."""
    if samples.genes != others.genes:
        raise InputError("samples of different genes cannot be joined; prepare both together.")
    return Samples(
        np.concatenate([samples.ids, others.ids]),
        np.concatenate([samples.values, others.values]),
        np.concatenate([samples.labels, others.labels]),
        samples.genes,
    )


def _rows(
    test: Samples, made: Poison, rate: float, wrong: int, answers: judging.Answers, status: str
) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "kind": made.kind,
            "fraction": made.fraction,
            "rate": float(rate),
            "n_poison": len(made.samples),
            "n_poison_wrong": wrong,
            "id": test.ids.astype(object),
            "label": test.labels,
            "p_true": answers.p_true,
            "correct": answers.correct,
            "status": status,
        }
    )
