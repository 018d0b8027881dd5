"""HopSkipJump, ZOO and LowProFool of the Adversarial Robustness Toolbox, behind a counter.

The toolbox (`art`) loads torch, and so do these functions, whatever the model is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genosiege.expression.counted import Counted, Gradients
from genosiege.expression.judging import Predictor, Values
from genosiege.expression.samples import Samples
from genosiege.expression.targets import opposite_targets

if TYPE_CHECKING:
    from genosiege.expression.comparison_attacks import Comparison

Numbers = NDArray[np.float64]

# Keeps the logarithm of a probability of 0 finite.
_SMALLEST_PROBABILITY = 1e-12


def hopskipjump(
    counted: Counted, train: Samples, options: "Comparison", rng: np.random.Generator
) -> None:
    """Walk along the boundary by decisions alone (Chen, Jordan and Wainwright 2020), for L2.

    Parameters
    ----------
    counted : Counted
        The sample and the model; keeps the flips.
    train : Samples
        Where a start is taken from if noise gives none.
    options : Comparison
        The budget ends the walk, no number of iterations.
    rng : numpy.random.Generator
        All draws follow from it.

    Raises
    ------
    AttackEndedError
        When the budget is spent.
    """
    from art.attacks.evasion import HopSkipJump

    start = _start(counted, train, options, rng)
    if start is None:
        return
    attack = HopSkipJump(
        _toolbox_model(counted, _decisions),
        norm=2,
        max_iter=options.budget,
        init_eval=options.hopskipjump_evaluations,
        max_eval=max(10_000, options.hopskipjump_evaluations),
        verbose=False,
    )
    with _borrowed_randomness(rng):
        attack.generate(counted.sample[None], y=_one_hot(counted.label), x_adv_init=start[None])


def _start(
    counted: Counted, train: Samples, options: "Comparison", rng: np.random.Generator
) -> Values | None:
    """Find a flip to start from, as the toolbox does: uniform in the range.

    Its own search is not used, since it draws from a generator that nobody can seed. All noise
    may be of one class; then the nearest training samples of the other class are tried.
    """
    shape = (options.hopskipjump_start, len(counted.sample))
    noise = rng.uniform(-options.clip, options.clip, shape).astype(np.float32)
    found = counted.first_flip(noise)
    if found is not None:
        return np.asarray(noise[found])
    others = train.values[opposite_targets(train).for_class(counted.label)]
    distance = np.linalg.norm(others.astype(np.float64) - counted.sample, axis=1)
    others = others[np.argsort(distance, kind="stable")[: options.hopskipjump_start]]
    found = counted.first_flip(others)
    return None if found is None else np.asarray(others[found])


def zoo(counted: Counted, options: "Comparison", rng: np.random.Generator) -> None:
    """Descend by slopes estimated from scores, some features at a time (Chen et al. 2017).

    The objective is zoo_weight · max(log p(true) − log p(other), 0) + L2², with Adam. Where the
    model is a step function, most of the slopes are 0, and so is what this attack does there.

    Parameters
    ----------
    counted, options, rng
        As in `hopskipjump`.

    Raises
    ------
    AttackEndedError
        When the budget is spent.

    Notes
    -----
    The toolbox (1.20) adds the whole change again in each step, not only what is new; the
    attack is compared as it is offered there.
    """
    from art.attacks.evasion import ZooAttack

    attack = ZooAttack(
        _toolbox_model(counted, _log_probabilities),
        learning_rate=options.zoo_rate,
        max_iter=options.budget,
        binary_search_steps=1,
        initial_const=options.zoo_weight,
        abort_early=False,
        use_resize=False,
        use_importance=False,
        nb_parallel=min(options.zoo_coordinates, len(counted.sample)),
        batch_size=1,
        variable_h=options.zoo_difference,
        verbose=False,
    )
    with _borrowed_randomness(rng):
        attack.generate(counted.sample[None], y=_one_hot(counted.label))


def lowprofool(
    counted: Counted, importance: Numbers, options: "Comparison", rng: np.random.Generator
) -> None:
    """Descend by gradients, dearer in features that matter more (Ballet et al. 2019).

    Parameters
    ----------
    counted, options, rng
        As in `hopskipjump`; the model has gradients.
    importance : ndarray of float64, shape (p,)
        From `correlations`; scaled to a sum of 1, as the toolbox does.

    Raises
    ------
    AttackEndedError
        When the budget is spent.
    """
    from art.attacks.evasion import LowProFool

    classifier = _toolbox_model(counted, lambda probabilities: probabilities)
    for rate in options.lowprofool_rates:
        attack = LowProFool(classifier, n_steps=options.lowprofool_steps, eta=rate)
        attack.fit_importances(importance_array=importance)
        with _borrowed_randomness(rng):
            attack.generate(counted.sample[None], y=1 - _one_hot(counted.label))


def correlations(train: Samples) -> Numbers:
    """Give the size of each feature's Pearson correlation with the class, shape (p,).

    It is 0 for a feature that is constant. If all are, all count the same.
    """
    values = train.values - train.values.mean(axis=0, dtype=np.float64)
    labels = train.labels - train.labels.mean()
    covariance = np.einsum("ij,i->j", values, labels)
    spread = np.sqrt(np.einsum("ij,ij->j", values, values) * (labels @ labels))
    found = np.abs(np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0))
    return found if found.any() else np.ones_like(found)


def gradients_of(model: Predictor) -> Gradients | None:
    """Give the function that takes gradients of a network; None for other models.

    Parameters
    ----------
    model : Predictor
        A network has `module`: rows (n, p) → logits (n, 2).
    """
    module: Any = getattr(model, "module", None)
    if module is None:
        return None

    def gradients(rows: Values, classes: NDArray[np.int64]) -> Values:
        import torch

        device = next(module.parameters()).device
        modes = {part: part.training for part in module.modules()}
        inputs = torch.from_numpy(rows).to(device).requires_grad_()
        try:
            module.eval()
            loss = torch.nn.functional.cross_entropy(
                module(inputs), torch.from_numpy(classes).to(device), reduction="sum"
            )
            found: Values = torch.autograd.grad(loss, inputs)[0].cpu().numpy()
        finally:
            for part, mode in modes.items():
                part.training = mode
        return found

    return gradients


def _decisions(probabilities: Numbers) -> Numbers:
    return np.asarray(np.eye(2)[probabilities.argmax(axis=1)])


def _log_probabilities(probabilities: Numbers) -> Numbers:
    return np.asarray(np.log(np.maximum(probabilities, _SMALLEST_PROBABILITY)))


def _one_hot(label: int) -> Numbers:
    return np.eye(2)[[label]]


def _toolbox_model(counted: Counted, answer: Callable[[Numbers], Numbers]) -> Any:
    """Make what the toolbox takes for a classifier; `answer` is what it sees of an answer."""
    from art.estimators.classification.classifier import ClassifierMixin
    from art.estimators.estimator import BaseEstimator, LossGradientsMixin

    def predict(_: Any, x: NDArray[np.floating], **__: Any) -> Numbers:
        return answer(counted.probabilities(x))

    def loss_gradient(_: Any, x: NDArray[np.floating], y: Numbers, **__: Any) -> Values:
        return counted.loss_gradients(x, y.argmax(axis=1).astype(np.int64))

    def nothing(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    # Its base classes are loaded in here alone, so the class is made in here.
    made = type(
        "CountedClassifier",
        (LossGradientsMixin, ClassifierMixin, BaseEstimator),
        {
            "predict": predict,
            "loss_gradient": loss_gradient,
            "input_shape": (len(counted.sample),),
            "nb_classes": 2,
            "fit": nothing,
            "save": nothing,
        },
    )
    return made(model=None, clip_values=(-counted.clip, counted.clip))


@contextmanager
def _borrowed_randomness(rng: np.random.Generator) -> Iterator[None]:
    """Make global draws follow `rng` inside the block, and leave their states as they were.

    The toolbox draws from numpy's global generator and takes no other. Where a model is flat
    it divides 0 by 0 on the way, which ends the attack and is no news.
    """
    import torch

    numpy_state = np.random.get_state()  # noqa: NPY002 - the toolbox draws from it
    seeds = rng.integers(2**32, size=2)
    try:
        with torch.random.fork_rng(), np.errstate(all="ignore"):
            np.random.seed(int(seeds[0]))  # noqa: NPY002
            torch.manual_seed(int(seeds[1]))
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
