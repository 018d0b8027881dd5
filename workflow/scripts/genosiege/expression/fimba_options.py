"""The options of FIMBA, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genosiege.errors import InputError
from genosiege.expression.model_options import ALL, check_count, take
from genosiege.expression.targets import KINDS

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
        for name in ("samples", "max"):
            check_count("fimba, smallest_k", name, getattr(self, name))


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
        for name in _COUNTS:
            check_count("fimba", name, getattr(self, name))
        check_count("fimba", "folds", self.folds, least=2)
        if self.test_samples is not None:
            check_count("fimba", "test_samples", self.test_samples)

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any] | None) -> "Fimba":
        """Take the options given, and the defaults for the rest."""
        given = dict(options or {})
        if given.get("smallest_k") is not None:
            given["smallest_k"] = take(SmallestK, given["smallest_k"], "fimba, smallest_k")
        return take(cls, given, "fimba")


def counts(asked: Sequence[int | str], p: int) -> list[int]:
    """Give numbers of features, "all" being p, each once and in their order."""
    return list(dict.fromkeys(p if k == ALL else int(k) for k in asked))


def _listed(options: Fimba, name: str) -> Sequence[Any]:
    values: Sequence[Any] = getattr(options, name)
    if isinstance(values, str) or not len(values) or len(set(values)) < len(values):
        raise InputError(f"fimba, {name} {values!r}: give a list of one or more different values.")
    return values
