"""FIMBA beside attacks of the Adversarial Robustness Toolbox, at one budget of queries.

HopSkipJump sees decisions, ZOO sees scores, LowProFool also takes gradients and so is for
networks alone. FIMBA asks about one prefix of its ranking after the other. Whatever an attack
returns, its result is the flip of smallest L2 among all rows that it asked within the budget.
Gradients, and what FIMBA's ranking cost, are no queries: they are known from inside the model.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.expression import fimba, judging, model_options, toolbox_attacks
from genosiege.expression.counted import AttackEndedError, Counted, Gradients
from genosiege.expression.fimba import Order, Rankings
from genosiege.expression.judging import Predictor, Values
from genosiege.expression.samples import Samples
from genosiege.expression.targets import Assigned, Targets, assign

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

ATTACKS = ("hopskipjump", "zoo", "lowprofool")
"""Attacks of the toolbox."""
OWN = ("fimba", "fimba_random")
"""Ours, which are always run: features by SHAP, and in random order."""
WHITE_BOX = ("lowprofool",)
"""Attacks that take gradients."""
COLUMNS = (
    "attack", "budget", "id", "label", "correct_before", "flipped", "n_queries", "n_gradients",
    "l0", "l2", "linf", "status",
)  # fmt: skip

SUCCESS = "success"
FAILED = "failed"
SKIPPED = "skipped_misclassified"
NOT_APPLICABLE = "not_applicable"

# Prefixes that are asked about together.
_CHUNK = 64
_SECTION = "comparison"


@dataclass(frozen=True)
class Comparison:
    """Options of the comparison, named as in the configuration.

    Attributes
    ----------
    attacks : sequence of str
        Of `ATTACKS`; FIMBA runs in any case.
    budget : int
        Queries per sample; each row that the model is asked is one.
    samples : int or None
        Test samples that are attacked, drawn in proportion to the classes; None for all.
    t : float
        Share of the way to its target that FIMBA moves a feature, in (0, 1].
    clip : float
        Values are kept within ±clip, the range of the prepared data.
    hopskipjump_start : int
        Random samples that HopSkipJump tries as its start, and as many training samples of
        the other class, the nearest first, where all of those fail.
    hopskipjump_evaluations : int
        Rows of its first estimate of the boundary's direction.
    zoo_coordinates : int
        Features whose slope ZOO estimates in a step, two queries each; at most all.
    zoo_difference : float
        How far it goes to both sides for that. Forests are steps: small differences see none.
    zoo_rate : float
        Its learning rate.
    zoo_weight : float
        Weight of being misclassified against the squared L2.
    lowprofool_steps : int
        Steps of a run of LowProFool, each one gradient and one query.
    lowprofool_rates : sequence of float
        First step size of each of its runs. What fits depends on the model by a factor of a
        hundred, so it has several, while the budget lasts.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    attacks: Sequence[str] = ATTACKS
    budget: int = 1000
    samples: int | None = 100
    t: float = 8 / 9
    clip: float = 1.5
    hopskipjump_start: int = 100
    hopskipjump_evaluations: int = 100
    zoo_coordinates: int = 100
    zoo_difference: float = 0.5
    zoo_rate: float = 0.1
    zoo_weight: float = 100.0
    lowprofool_steps: int = 100
    lowprofool_rates: Sequence[float] = (0.05, 0.2, 1.0, 5.0, 20.0)

    def __post_init__(self) -> None:
        if isinstance(self.attacks, str) or len(set(self.attacks)) < len(self.attacks):
            raise InputError(f"comparison, attacks {self.attacks!r}: give a list of names.")
        for name in self.attacks:
            if name not in ATTACKS:
                raise InputError(
                    f'comparison, attacks "{name}": choose among {", ".join(ATTACKS)}.'
                )
        for name in (
            "budget", "hopskipjump_start", "hopskipjump_evaluations", "zoo_coordinates",
            "lowprofool_steps",
        ):  # fmt: skip
            model_options.check_count(_SECTION, name, getattr(self, name))
        if self.samples is not None:
            model_options.check_count(_SECTION, "samples", self.samples)
        for name in ("clip", "zoo_difference", "zoo_rate", "zoo_weight"):
            model_options.check_number(_SECTION, name, getattr(self, name), above=True)
        if not isinstance(self.lowprofool_rates, tuple) or not self.lowprofool_rates:
            raise InputError(
                f"{_SECTION}, lowprofool_rates {self.lowprofool_rates!r}: give a list of numbers."
            )
        for rate in self.lowprofool_rates:
            model_options.check_number(_SECTION, "lowprofool_rates", rate, above=True)
        model_options.check_share(_SECTION, "t", self.t)

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any] | None) -> "Comparison":
        """Take the options given, and the defaults for the rest."""
        return model_options.take(cls, options, _SECTION)


class _Setting(NamedTuple):
    """What is attacked, and what attacks may know.

    Attributes
    ----------
    model : Predictor
    chosen : Samples
        The n samples under attack.
    correct : ndarray of bool, shape (n,)
        Whether the model finds their classes.
    order : ndarray of int, shape (p,)
        Features by falling SHAP importance.
    assigned : Assigned
        Where FIMBA moves each sample.
    train : Samples
    gradients : callable or None
        How to take gradients, of a network.
    correlations : ndarray of float64, shape (p,)
        Of each feature with the class.
    options : Comparison
    seed : int
    """

    model: Predictor
    chosen: Samples
    correct: NDArray[np.bool_]
    order: Order
    assigned: Assigned
    train: Samples
    gradients: Gradients | None
    correlations: NDArray[np.float64]
    options: Comparison
    seed: int


def run(
    model: Predictor,
    test: Samples,
    train: Samples,
    rankings: Rankings,
    targets: Targets,
    options: Comparison,
    seed: int,
) -> "pd.DataFrame":
    """Attack each sample of a part of the test split with each attack.

    Parameters
    ----------
    model : Predictor
        Trained.
    test, train : Samples
        The test split, and the training split the model was trained on.
    rankings : mapping
        With the order ("shap", "global"), as `fimba.attack` takes it.
    targets : Targets
        Where FIMBA moves samples; a sample without target is not flipped by it.
    options : Comparison
        See there.
    seed : int
        The draws of an attack on a sample belong to (seed, sample, attack).

    Returns
    -------
    DataFrame
        `COLUMNS`, by attack, then in the order of the test split. A flip has been confirmed by
        asking the model once more; l0 (NA), l2 and linf (NaN) are missing where there is none.
        A sample that the model gets wrong is not attacked (`skipped_misclassified`), nor is
        any by an attack that needs gradients which the model has not (`not_applicable`).

    Raises
    ------
    InputError
        If there is no SHAP order of all features or a sample is beyond ±clip.
    """
    chosen = _choose(test, options, seed)
    setting = _Setting(
        model,
        chosen,
        judging.answers(model, chosen.values, chosen.labels).correct,
        _order(rankings, test),
        assign(targets, chosen),
        train,
        toolbox_attacks.gradients_of(model),
        toolbox_attacks.correlations(train),
        options,
        seed,
    )
    rows: list[dict[str, Any]] = []
    for attack in (*options.attacks, *OWN):
        outcomes = [_row(setting, attack, sample) for sample in range(len(chosen))]
        flipped = sum(row["flipped"] for row in outcomes)
        log.info("%s: %d of %d samples flipped", attack, flipped, len(chosen))
        rows += outcomes
    return _table(rows)


def _order(rankings: Rankings, test: Samples) -> Order:
    order = rankings.get(("shap", "global"))
    if order is None or not np.array_equal(np.sort(order), np.arange(len(test.genes))):
        raise InputError("comparison: the order by SHAP is not one of all genes; make it anew.")
    return order


def _choose(test: Samples, options: Comparison, seed: int) -> Samples:
    rng = runtime.stream(seed, "comparison")
    chosen = test.take(fimba.stratified(test.labels, options.samples, rng))
    largest = float(np.abs(chosen.values).max(initial=0.0))
    if largest > options.clip:
        raise InputError(
            f"comparison, clip {options.clip}: a test sample has the value ±{largest:g}; "
            "raise clip to the range of the data."
        )
    return chosen


def _row(setting: _Setting, attack: str, sample: int) -> dict[str, Any]:
    """Run one attack on one sample; the result is the smallest flip among all that it asked."""
    name, label = str(setting.chosen.ids[sample]), int(setting.chosen.labels[sample])
    values, correct = setting.chosen.values[sample], bool(setting.correct[sample])
    budget, clip = setting.options.budget, setting.options.clip
    counted = Counted(setting.model, values, label, budget, clip, setting.gradients)
    flip = None
    if attack in WHITE_BOX and setting.gradients is None:
        status = NOT_APPLICABLE
    elif not correct:
        status = SKIPPED
    else:
        with suppress(AttackEndedError):
            _attack(setting, attack, sample, counted)
        flip = counted.smallest_flip()
        status = SUCCESS if flip else FAILED
    return {
        "attack": attack,
        "budget": budget,
        "id": name,
        "label": label,
        "correct_before": correct,
        "flipped": flip is not None,
        "n_queries": counted.n_queries,
        "n_gradients": counted.n_gradients,
        "l0": flip.l0 if flip else None,
        "l2": flip.l2 if flip else np.nan,
        "linf": flip.linf if flip else np.nan,
        "status": status,
    }


def _attack(setting: _Setting, attack: str, sample: int, counted: Counted) -> None:
    options = setting.options
    rng = runtime.stream(setting.seed, str(setting.chosen.ids[sample]), f"comparison {attack}")
    if attack == "hopskipjump":
        toolbox_attacks.hopskipjump(counted, setting.train, options, rng)
    elif attack == "zoo":
        toolbox_attacks.zoo(counted, options, rng)
    elif attack == "lowprofool":
        toolbox_attacks.lowprofool(counted, setting.correlations, options, rng)
    elif setting.assigned.rows[sample] >= 0:
        order = setting.order if attack == "fimba" else rng.permutation(len(setting.order))
        _prefixes(counted, setting.assigned.values[sample], order, options.t)


def _prefixes(counted: Counted, target: Values, order: Order, t: float) -> None:
    """Ask about the first 1, 2, 3, … features moved, until the sample flips."""
    most = min(len(order), counted.budget)
    for start in range(0, most, _CHUNK):
        moved = [
            fimba.move(counted.sample[None], target[None], order, k, t)
            for k in range(start + 1, min(start + _CHUNK, most) + 1)
        ]
        if counted.first_flip(np.concatenate(moved)) is not None:
            return


def _table(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    types = dict.fromkeys(("budget", "label", "n_queries", "n_gradients"), "int64")
    types |= {"l0": "Int64", "l2": "float64", "linf": "float64"}
    types |= {"correct_before": "bool", "flipped": "bool"}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)
