"""FIMBA: move the features that matter most towards a sample of what the model gets wrong.

The published attack (arXiv 2401.10657), for all samples at once.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.expression.judging import MEMORY_CELLS, Values
from genosiege.expression.targets import KINDS

log = logging.getLogger(__name__)

ALL = "all"
"""Asks for as many features as there are."""
Order = NDArray[np.intp]
"""Features from the most to the least important, (p,), or for each sample, (n, p)."""
Rankings = Mapping[tuple[str, str], Order]
"""Orders by (features, importance), such as ("shap", "global")."""

_CHOICES = {
    "features": ("shap", "permutation", "random"),
    "importance": ("global", "per_sample"),
    "targets": KINDS,
    "values": ("interpolated", "uniform"),
}
_COUNTS = (
    "random_sets", "explain_samples", "background_samples", "permutation_repeats",
    "gradient_samples", "neighbours",
)  # fmt: skip


@dataclass(frozen=True)
class SmallestK:
    """Options of the search for the smallest k that flips a sample.

    Attributes
    ----------
    samples : int
        Test samples that are searched.
    max : int
        Most features that are moved.

    Raises
    ------
    InputError
        If a value is no positive whole number.
    """

    samples: int = 200
    max: int = 400

    def __post_init__(self) -> None:
        _check_counts(self, ("samples", "max"), "fimba, smallest_k")


@dataclass(frozen=True)
class Fimba:
    """Options of the attack, named as in the configuration.

    Attributes
    ----------
    features : sequence of str
        What ranks the features: `shap`, `permutation` or `random`.
    importance : sequence of str
        `global` (one order, from training samples) or `per_sample`; not used by `random`.
    targets : sequence of str
        `error`, `opposite` or `test_error` (published; knows the test split).
    values : sequence of str
        `interpolated` towards a target, or `uniform` in [-1, 1].
    k : sequence of int or "all"
        Numbers of features that are moved.
    t : sequence of float
        Shares of the way to the target, in [0, 1].
    random_sets : int
        Random orders of the features.
    folds : int
        Folds of the training split that give out-of-fold errors.
    test_samples : int or None
        Test samples that are attacked, drawn in proportion to the classes; None for all.
    explain_samples : int
        Training samples that a global importance is the mean of.
    background_samples : int
        Training samples that explanations of networks start from.
    permutation_repeats : int
        Values that `permutation` puts in the place of each feature of each sample.
    gradient_samples : int
        Gradients per explanation of a network.
    neighbours : int
        Clean training samples that vote on the class a moved sample looks like.
    smallest_k : SmallestK or None
        Search for the smallest k; None for none.

    Raises
    ------
    InputError
        If a value is out of range or a list is empty or repeats itself.
    """

    features: Sequence[str] = ("shap", "random")
    importance: Sequence[str] = ("global",)
    targets: Sequence[str] = ("error", "opposite")
    values: Sequence[str] = ("interpolated", "uniform")
    k: Sequence[int | str] = (10, 50, 100, 200, 400, ALL)
    t: Sequence[float] = (8 / 9,)
    random_sets: int = 5
    folds: int = 5
    test_samples: int | None = None
    explain_samples: int = 500
    background_samples: int = 100
    permutation_repeats: int = 5
    gradient_samples: int = 200
    neighbours: int = 5
    smallest_k: SmallestK | None = field(default_factory=SmallestK)

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            for value in _listed(self, name):
                if value not in choices:
                    raise InputError(f'fimba, {name} "{value}": choose among {", ".join(choices)}.')
        for k in _listed(self, "k"):
            if k != ALL and (type(k) is not int or k < 1):
                raise InputError(f'fimba, k {k!r}: give positive integers or "all".')
        for t in _listed(self, "t"):
            if isinstance(t, bool) or not isinstance(t, int | float) or not 0 <= t <= 1:
                raise InputError(f"fimba, t {t!r}: give shares of the way, from 0 to 1.")
        _check_counts(self, _COUNTS, "fimba")
        if type(self.folds) is not int or self.folds < 2:
            raise InputError(f"fimba, folds {self.folds!r}: give an integer ≥ 2.")
        if self.test_samples is not None:
            _check_counts(self, ("test_samples",), "fimba")

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any] | None) -> "Fimba":
        """Take the options given, and the defaults for the rest."""
        given = dict(options or {})
        _check_known(given, cls, "fimba")
        for name in (*_CHOICES, "k", "t"):
            if name in given:
                given[name] = tuple(given[name])
        nested = given.get("smallest_k")
        if nested is not None:
            _check_known(nested, SmallestK, "fimba, smallest_k")
            given["smallest_k"] = SmallestK(**nested)
        return cls(**given)


def _listed(options: Fimba, name: str) -> Sequence[Any]:
    values: Sequence[Any] = getattr(options, name)
    if isinstance(values, str) or not len(values) or len(set(values)) < len(values):
        raise InputError(f"fimba, {name} {values!r}: give a list of one or more different values.")
    return values


def _check_counts(options: object, names: Sequence[str], section: str) -> None:
    for name in names:
        value = getattr(options, name)
        if type(value) is not int or value < 1:
            raise InputError(f"{section}, {name} {value!r}: give a positive integer.")


def _check_known(given: Mapping[str, Any], options: Any, section: str) -> None:
    unknown = set(given) - {known.name for known in fields(options)}
    if unknown:
        raise InputError(f"{section}, {min(unknown)}: there is no such option; remove it.")


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
    first = order[..., :k]
    step = max(1, MEMORY_CELLS // max(k, 1))
    for start in range(0, n, step):
        part = np.arange(start, min(start + step, n))[:, None]
        features = first[part[:, 0]] if order.ndim == 2 else first[None]
        old, aim = values[part, features], targets[part, features]
        # In this form, and in float64, both ends are exact.
        moved[part, features] = (1 - t) * old.astype(np.float64) + t * aim.astype(np.float64)
    return moved
