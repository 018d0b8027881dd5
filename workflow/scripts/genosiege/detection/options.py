"""The options of detection, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genosiege.errors import InputError
from genosiege.expression.model_options import ALL, check_count, check_number, take
from genosiege.kinds import detectors

EXPRESSION = tuple(detectors.EXPRESSION)
"""Detectors of attacked expression data."""

SEQUENCE = tuple(detectors.SEQUENCE)
"""Detectors of attacked sequences."""

BOTH, UPPER = TAILS = ("both", "upper")
"""Which scores are suspicious: what is atypical in either direction, or only what is high."""

_ADAPTIVE = "detection, adaptive"


@dataclass(frozen=True)
class Ssim:
    """Options of the similarity of spectra and of its nulls.

    Attributes
    ----------
    draws : int
        Draws of samples that the natural spectra are compared in.
    gene_orders : int
        Random orders of the genes.
    permutations : int
        Permutations of natural and attacked samples, for the p-value.
    max_samples : int
        Most samples that are joined to one signal.

    Raises
    ------
    InputError
        If a value is no positive whole number, or max_samples is 1.
    """

    draws: int = 200
    gene_orders: int = 100
    permutations: int = 999
    max_samples: int = 50

    def __post_init__(self) -> None:
        for name in ("draws", "gene_orders", "permutations"):
            check_count("detection, ssim", name, getattr(self, name))
        check_count("detection, ssim", "max_samples", self.max_samples, least=2)


@dataclass(frozen=True)
class Adaptive:
    """Options of the attackers that know the detector.

    Attributes
    ----------
    samples : int or None
        Correctly classified test samples that are attacked, drawn in proportion to the classes;
        None for all.
    detectors : sequence of str or None
        Those that are evaded, of either arm; None for all of the arm's.
    penalties : sequence of float
        Weights of the suspicion beside the success, ≥ 0; 0 is the attack that knows no detector,
        and an empty list no attack.
    nearest : int
        Targets that FIMBA tries for each sample.
    k : sequence of int or "all"
        Numbers of features that FIMBA tries to move.
    t : sequence of float
        Shares of the way to the target that it tries, above 0, at most 1.
    own_class : bool
        Of FIMBA's moves count only those after which most of a sample's nearest training samples
        are still of its class: else the attacker may turn it into another one's sample.
    query_budget : int
        Most unique queries of the genetic attack per sequence.

    Raises
    ------
    InputError
        If a value is out of range, `k` or `t` is empty or a list repeats itself.
    """

    samples: int | None = 100
    detectors: Sequence[str] | None = None
    penalties: Sequence[float] = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
    nearest: int = 3
    k: Sequence[int | str] = (5, 10, 20, 50, 100, 200, 400, ALL)
    t: Sequence[float] = (0.2, 0.4, 0.6, 0.8, 1.0)
    own_class: bool = True
    query_budget: int = 1000

    def __post_init__(self) -> None:
        for name in ("nearest", "query_budget"):
            check_count(_ADAPTIVE, name, getattr(self, name))
        if self.samples is not None:
            check_count(_ADAPTIVE, "samples", self.samples)
        if self.detectors is not None:
            _check_names(_ADAPTIVE, "detectors", self.detectors, {*EXPRESSION, *SEQUENCE})
        for penalty in _listed(_ADAPTIVE, "penalties", self.penalties):
            check_number(_ADAPTIVE, "penalties", penalty, above=False)
        for k in _listed(_ADAPTIVE, "k", self.k, least=1):
            if k != ALL and (type(k) is not int or k < 1):
                raise InputError(f'{_ADAPTIVE}, k {k!r}: give positive integers or "all".')
        for t in _listed(_ADAPTIVE, "t", self.t, least=1):
            if isinstance(t, bool) or not isinstance(t, int | float) or not 0 < t <= 1:
                raise InputError(f"{_ADAPTIVE}, t {t!r}: give shares above 0, at most 1.")

    def chosen(self, detectors: Sequence[str]) -> tuple[str, ...]:
        """Give those of an arm's detectors that are evaded, in their order."""
        return tuple(name for name in detectors if self.detectors is None or name in self.detectors)


@dataclass(frozen=True)
class Detection:
    """Options of detection, named as in the configuration.

    Attributes
    ----------
    expression : sequence of str
        Detectors of attacked expression data, among `EXPRESSION`; may be empty.
    sequence : sequence of str
        Detectors of attacked sequences, among `SEQUENCE`; may be empty.
    tails : str
        `both`: what is atypical in either direction is suspicious; `upper`: only high scores.
    fit_samples : int or None
        Rows of the training split that detectors are fitted on, drawn in proportion to the
        classes; None for all.
    neighbours : int
        Training rows that `nearest_neighbours` takes the mean distance to.
    trees : int
        Trees of `isolation_forest`.
    kmer : int
        Bases of context in the background model of `kmer`.
    mutants : int
        Natural mutants per adversary, with as many edits.
    ssim : Ssim
        The similarity of spectra.
    adaptive : Adaptive
        The attackers that know the detector.

    Raises
    ------
    InputError
        If a value is out of range or a list repeats itself.
    """

    expression: Sequence[str] = EXPRESSION
    sequence: Sequence[str] = SEQUENCE
    tails: str = BOTH
    fit_samples: int | None = 5000
    neighbours: int = 5
    trees: int = 200
    kmer: int = 5
    mutants: int = 5
    ssim: Ssim = field(default_factory=Ssim)
    adaptive: Adaptive = field(default_factory=Adaptive)

    def __post_init__(self) -> None:
        _check_names("detection", "expression", self.expression, EXPRESSION)
        _check_names("detection", "sequence", self.sequence, SEQUENCE)
        if self.tails not in TAILS:
            raise InputError(f'detection, tails "{self.tails}": choose {" or ".join(TAILS)}.')
        for name in ("neighbours", "trees", "kmer", "mutants"):
            check_count("detection", name, getattr(self, name))
        if self.fit_samples is not None:
            check_count("detection", "fit_samples", self.fit_samples)

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any] | None) -> "Detection":
        """Take the options given, and the defaults for the rest."""
        given = dict(options or {})
        if "ssim" in given:
            given["ssim"] = take(Ssim, given["ssim"], "detection, ssim")
        if "adaptive" in given:
            given["adaptive"] = take(Adaptive, given["adaptive"], _ADAPTIVE)
        return take(cls, given, "detection")


def _check_names(
    section: str, name: str, values: object, choices: Sequence[str] | set[str]
) -> None:
    for value in _listed(section, name, values):
        if value not in choices:
            raise InputError(
                f'{section}, {name} "{value}": choose among {", ".join(sorted(choices))}.'
            )


def _listed(section: str, name: str, values: object, least: int = 0) -> Sequence[Any]:
    if isinstance(values, list | tuple) and len(set(values)) == len(values) >= least:
        return values
    what = "one or more different values" if least else "different values"
    raise InputError(f"{section}, {name} {values!r}: give a list of {what}.")
