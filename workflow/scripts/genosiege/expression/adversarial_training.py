"""Adversarial training against FIMBA: rounds of attack and retraining, with noise as control."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.expression import fimba, importance, judging, model_options, models
from genosiege.expression.fimba import Order
from genosiege.expression.fimba_options import Fimba, counts
from genosiege.expression.judging import Predictor, Values
from genosiege.expression.model_options import ALL
from genosiege.expression.models import Model
from genosiege.expression.samples import Samples
from genosiege.expression.targets import Assigned, assign, opposite_targets

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

FIMBA = "fimba"
RANDOM_NOISE = "random_noise"
DEFENCES = (FIMBA, RANDOM_NOISE)
"""What is added to the training split: samples moved by the attack, or as far by chance."""
CLEAN = "clean"
RANDOM = "random"
COLUMNS = (
    "defence", "round", "n_added", "attack", "k", "t", "feature_set", "id", "label", "p_true",
    "correct", "status",
)  # fmt: skip

RANGE = 1.5
"""Prepared values are within ± this."""

_SECTION = "expression_hardening"


@dataclass(frozen=True)
class AdversarialTraining:
    """Options of adversarial training, named as in the configuration.

    Attributes
    ----------
    rounds : int
        Rounds of attack and retraining after the baseline, which is round 0.
    k : int
        Features that are moved in the samples that are added; at most p.
    t : float
        Share of the way to the target, there and in the evaluation, in (0, 1].
    samples : int or None
        Training samples that are attacked in each round, drawn in proportion to the classes;
        None for all.
    evaluate_k : sequence of int or "all"
        Numbers of features that are moved in test samples.
    random_sets : int
        Random orders of the features in the evaluation.
    explain_samples, background_samples, gradient_samples : int
        Of the SHAP values, as in `fimba.Fimba`.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    rounds: int = 3
    k: int = 100
    t: float = 8 / 9
    samples: int | None = None
    evaluate_k: Sequence[int | str] = (10, 50, 100)
    random_sets: int = 5
    explain_samples: int = 500
    background_samples: int = 100
    gradient_samples: int = 200

    def __post_init__(self) -> None:
        for name in (
            "rounds", "k", "random_sets", "explain_samples", "background_samples",
            "gradient_samples",
        ):  # fmt: skip
            model_options.check_count(_SECTION, name, getattr(self, name))
        if self.samples is not None:
            model_options.check_count(_SECTION, "samples", self.samples)
        model_options.check_share(_SECTION, "t", self.t)
        listed = self.evaluate_k
        if isinstance(listed, str) or not listed or len(set(listed)) < len(listed):
            raise InputError(f"{_SECTION}, evaluate_k {listed!r}: give a list of different values.")
        for k in listed:
            if k != ALL:
                model_options.check_count(_SECTION, "evaluate_k", k)

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any] | None) -> "AdversarialTraining":
        """Take the options given, and the defaults for the rest."""
        return model_options.take(cls, options, _SECTION)

    def attack(self) -> Fimba:
        """Give the attack that these options speak of."""
        return Fimba(
            features=("shap", "random"),
            targets=("opposite",),
            values=("interpolated",),
            k=tuple(self.evaluate_k),
            t=(self.t,),
            random_sets=self.random_sets,
            explain_samples=self.explain_samples,
            background_samples=self.background_samples,
            gradient_samples=self.gradient_samples,
            smallest_k=None,
        )


class _Setting(NamedTuple):
    """What is the same in all rounds; `goal` is where each test sample is moved to."""

    train: Samples
    dev: Samples
    test: Samples
    goal: Assigned
    options: AdversarialTraining
    seed: int


class _Round(NamedTuple):
    """The training samples attacked in a round, n of them, and what became of them, (n, p)."""

    attacked: Samples
    moved: Values


class _Judged(NamedTuple):
    """What a model makes of the test samples, and its SHAP ranking, (p,)."""

    table: "pd.DataFrame"
    order: Order


def run(
    model: Model,
    train: Samples,
    dev: Samples,
    test: Samples,
    options: AdversarialTraining,
    seed: int,
) -> "pd.DataFrame":
    """Harden a model in rounds and attack each round's model afresh.

    In each round, training samples are moved by FIMBA against the model of the round before,
    along the SHAP ranking of that model, and added to the training split with their true
    labels, beside those of earlier rounds; a new model is trained on all of it. The control
    `random_noise` adds moved copies of the same samples: each goes as far (L2) as FIMBA moved
    it in that round, in a random direction among k random features (see `noise`).
    Early stopping looks at the clean dev split.

    Parameters
    ----------
    model : Model
        The trained baseline, round 0 of both defences.
    train, dev : Samples
        What it was trained on.
    test : Samples
        What every round's model is judged on. No round learns from it, and targets, in
        training and in the evaluation, are training samples of the other class as they were
        before the first round.
    options : AdversarialTraining
        See there.
    seed : int
        Seed of the run. Samples and random features are the same for both defences, and
        random features are those of `fimba.attack`, so comparisons are paired.

    Returns
    -------
    DataFrame
        `COLUMNS`: for each defence, round and attack the rows of all test samples. attack
        `clean` has k 0, t NaN and status `clean`; `fimba` follows the SHAP ranking of the
        model that it attacks; `random` has a row for each feature set. `n_added` are the moved
        samples that the model was trained on, beside the training split. With k above p the
        status is `k_exceeds_features`, p_true is missing and correct false.

    Raises
    ------
    InputError
        If k exceeds the number of features.
    """
    import pandas as pd

    p = len(train.genes)
    if options.k > p:
        raise InputError(f"{_SECTION}, k {options.k}: the data have {p} genes; lower k.")
    goal = assign(opposite_targets(train), test)
    setting = _Setting(train, dev, test, goal, options, seed)
    baseline = _judge(model, setting)
    by_fimba, rounds = _harden(
        model, setting, baseline, FIMBA, lambda number, order: _adversaries(setting, number, order)
    )
    by_noise, _ = _harden(
        model,
        setting,
        baseline,
        RANDOM_NOISE,
        lambda number, _: noise(rounds[number - 1], options.k, seed, number),
    )
    return pd.concat([*by_fimba, *by_noise], ignore_index=True)[list(COLUMNS)]


def _harden(
    model: Model,
    setting: _Setting,
    baseline: _Judged,
    defence: str,
    make: Callable[[int, Order], _Round],
) -> "tuple[list[pd.DataFrame], list[_Round]]":
    """Run all rounds of a defence; `make` gives what a round adds from its number and ranking."""
    judged, n_added = baseline, 0
    tables: list[pd.DataFrame] = []
    rounds: list[_Round] = []
    for number in range(setting.options.rounds + 1):
        if number:
            rounds.append(make(number, judged.order))
            n_added += len(rounds[-1].attacked)
            current = models.fresh(model)
            current.fit(_enlarged(setting.train, defence, rounds), setting.dev)
            judged = _judge(current, setting)
        table = judged.table.assign(defence=defence, round=number, n_added=n_added)
        _report(table, defence, number, n_added)
        tables.append(table)
    return tables, rounds


def _report(table: "pd.DataFrame", defence: str, number: int, n_added: int) -> None:
    for attack, rows in table.groupby("attack", sort=False):
        accuracy = rows.groupby("k", sort=False)["correct"].mean().to_dict()
        log.info(
            "%s, round %d, %d samples added: accuracy under %s by k: %s",
            *(defence, number, n_added, attack),
            {k: round(rate, 3) for k, rate in accuracy.items()},
        )


def _adversaries(setting: _Setting, number: int, order: Order) -> _Round:
    """Move training samples along the ranking of the current model."""
    train, options = setting.train, setting.options
    rng = runtime.stream(setting.seed, "hardening", number)
    chosen = train.take(fimba.stratified(train.labels, options.samples, rng))
    aim = assign(opposite_targets(train), chosen).values
    return _Round(chosen, fimba.move(chosen.values, aim, order, options.k, options.t))


def noise(attacked: _Round, k: int, seed: int, number: int) -> _Round:
    """Move each sample as far as it was moved, in a random direction among k random features.

    Directions are uniform on the sphere. A feature that would leave ±`RANGE` goes the other
    way, which keeps the distance.
    """
    samples, before = attacked
    _, distance = judging.distances(samples.values, before)
    moved = samples.values.copy()
    for row, name in enumerate(samples.ids.tolist()):
        rng = runtime.stream(seed, name, "random noise", number)
        features = rng.choice(moved.shape[1], k, replace=False)
        direction = rng.normal(size=k)
        step = direction * (distance[row] / np.linalg.norm(direction))
        old = moved[row, features].astype(np.float64)
        moved[row, features] = old + np.where(np.abs(old + step) > RANGE, -step, step)
    return _Round(samples, moved)


def _enlarged(train: Samples, defence: str, rounds: Sequence[_Round]) -> Samples:
    """Add the moved samples of all rounds, with their true labels."""
    named = [
        np.array([f"{name}/{defence}{number}" for name in part.attacked.ids.tolist()])
        for number, part in enumerate(rounds, start=1)
    ]
    return Samples(
        np.concatenate([train.ids, *named]),
        np.concatenate([train.values, *(part.moved for part in rounds)]),
        np.concatenate([train.labels, *(part.attacked.labels for part in rounds)]),
        train.genes,
    )


def _judge(model: Model, setting: _Setting) -> _Judged:
    """Ask a model about the test samples as they are, and attacked afresh."""
    import pandas as pd

    test, train, attack = setting.test, setting.train, setting.options.attack()
    # Explained on the clean training split, as the attacker has it.
    explained = importance.importances(model, train, test.take(np.arange(0)), attack, setting.seed)
    rankings = importance.rankings(explained.table, {}, train.genes)
    tables = [_rows(model, test, test.values, CLEAN, 0, np.nan, 0)]
    for ranked in fimba.orders(rankings, attack, test.values.shape, setting.seed):
        name = RANDOM if ranked.features == "random" else FIMBA
        for k in counts(attack.k, len(train.genes)):
            moved = None
            if k <= len(train.genes):
                moved = fimba.move(test.values, setting.goal.values, ranked.order, k, attack.t[0])
            tables.append(_rows(model, test, moved, name, k, attack.t[0], ranked.feature_set))
    return _Judged(pd.concat(tables, ignore_index=True), rankings["shap", "global"])


def _rows(
    model: Predictor,
    test: Samples,
    values: Values | None,
    attack: str,
    k: int,
    t: float,
    feature_set: int,
) -> "pd.DataFrame":
    """Ask a model about test samples, moved or not; with no values, there are too few features."""
    import pandas as pd

    n, status = len(test), CLEAN if attack == CLEAN else judging.ATTACKED
    if values is None:
        status = judging.K_EXCEEDS_FEATURES
        after = judging.Answers(np.full(n, np.nan), np.zeros(n, dtype=bool))
    else:
        after = judging.answers(model, values, test.labels)
    return pd.DataFrame(
        {
            "attack": attack,
            "k": k,
            "t": float(t),
            "feature_set": feature_set,
            "id": test.ids.astype(object),
            "label": test.labels,
            "p_true": after.p_true,
            "correct": after.correct,
            "status": status,
        }
    )
