"""Training of a network on samples, with class weights and an early stop."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from genosiege import optimisation
from genosiege.errors import InputError
from genosiege.expression import model_options
from genosiege.expression.samples import Samples
from genosiege.optimisation import seeded

log = logging.getLogger(__name__)

_SECTION = "models, training"
# Numbers of input that a network sees at a time: they bound its memory.
_CELLS = {"cpu": 2**18, "cuda": 2**21}


@dataclass(frozen=True)
class Training:
    """Options of one training, named as in the configuration.

    Attributes
    ----------
    epochs : int
        Most passes over the training split.
    batch_size : int
        Samples per optimiser step, at least 2; a last batch of one joins the one before.
    learning_rate : float
        Rate of AdamW.
    weight_decay : float
        Of AdamW, on matrices only: norms and biases are not decayed.
    patience : int
        Epochs without a better dev split after which training stops.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    patience: int = 10

    def __post_init__(self) -> None:
        model_options.check_count(_SECTION, "epochs", self.epochs)
        model_options.check_count(_SECTION, "batch_size", self.batch_size, least=2)
        model_options.check_number(_SECTION, "learning_rate", self.learning_rate, above=True)
        model_options.check_number(_SECTION, "weight_decay", self.weight_decay, above=False)
        model_options.check_count(_SECTION, "patience", self.patience)


class Epoch(NamedTuple):
    """What one pass over the training split gave.

    `loss` is its mean weighted cross-entropy, in nats; then follow balanced accuracy and
    the same loss on the dev split.
    """

    epoch: int
    loss: float
    dev_balanced_accuracy: float
    dev_loss: float


def best_epoch(history: list[Epoch]) -> Epoch:
    """Give the epoch that is best on dev: by balanced accuracy, then loss, then the first."""
    return max(history, key=lambda epoch: (epoch.dev_balanced_accuracy, -epoch.dev_loss))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode, without gradients, and give it back as it was."""
    modes = {part: part.training for part in module.modules()}
    try:
        module.eval()
        with torch.inference_mode():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def logits(module: nn.Module, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give a network's logits, in evaluation mode and in batches of bounded memory.

    Parameters
    ----------
    module : Module
        (n, p) → (n, 2); used where it is.
    values : ndarray of float32, shape (n, p)
        Scaled expression, n > 0.

    Returns
    -------
    ndarray of float64, shape (n, 2)
    """
    device = next(module.parameters()).device
    rows = max(1, _CELLS.get(device.type, _CELLS["cpu"]) // values.shape[1])
    with evaluating(module):
        parts = [
            module(torch.from_numpy(values[start : start + rows]).to(device)).double().cpu()
            for start in range(0, len(values), rows)
        ]
    joined: NDArray[np.float64] = torch.cat(parts).numpy()
    return joined


def batches(n: int, batch_size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Put n ≥ 2 rows in batches at random.

    Batch normalisation cannot tell the spread of one row: a last batch of one joins the one
    before.
    """
    order = rng.permutation(n)
    starts = list(range(0, n, batch_size))
    if n - starts[-1] == 1 and len(starts) > 1:
        starts.pop()
    return np.split(order, starts[1:])


def fit(
    module: nn.Module, train: Samples, dev: Samples, options: Training, rng: np.random.Generator
) -> list[Epoch]:
    """Train a network; the weights of the epoch that is best on dev are kept.

    Parameters
    ----------
    module : Module
        (n, p) → (n, 2) logits; changed in place, where it is, and left in evaluation mode.
    train, dev : Samples
        `train` with both classes, `dev` not empty.
    options : Training
        See there.
    rng : numpy.random.Generator
        For the order of the samples and for dropout.

    Returns
    -------
    list of Epoch
        The history, up to where it stopped.

    Raises
    ------
    InputError
        If the loss is no number any more.
    """
    device = next(module.parameters()).device
    values = torch.from_numpy(np.ascontiguousarray(train.values)).to(device)
    labels = torch.from_numpy(np.asarray(train.labels, dtype=np.int64)).to(device)
    weights = class_weights(train.labels)
    on_device = torch.from_numpy(weights).float().to(device)
    optimiser = optimisation.adamw(module, options.learning_rate, options.weight_decay, fused=True)
    history: list[Epoch] = []
    best: dict[str, torch.Tensor] = {}
    with seeded(rng):
        for epoch in range(1, options.epochs + 1):
            module.train()
            total = torch.zeros((), dtype=torch.float64, device=device)
            for rows in batches(len(train), options.batch_size, rng):
                chosen = torch.from_numpy(rows).to(device)
                target = labels[chosen]
                each = F.cross_entropy(module(values[chosen]), target, reduction="none")
                # The mean over samples, not over weights: a batch without a class is no bias.
                loss = (on_device[target] * each).mean()
                optimisation.step(loss, module, optimiser)
                total += loss.detach().double() * len(rows)
            history.append(Epoch(epoch, _finite(total) / len(train), *judge(module, dev, weights)))
            if best_epoch(history) is history[-1]:
                best = {name: t.detach().clone() for name, t in module.state_dict().items()}
            log.info("epoch %d: loss %.4f, dev balanced accuracy %.4f, loss %.4f", *history[-1])
            if epoch - best_epoch(history).epoch >= options.patience:
                break
    module.load_state_dict(best)
    module.eval()
    log.info("kept epoch %d", best_epoch(history).epoch)
    return history


def class_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give n / (2 n_c) for both classes c: both weigh the same, one sample weighs 1 on average."""
    return len(labels) / (2 * np.bincount(labels, minlength=2))


def judge(module: nn.Module, dev: Samples, weights: NDArray[np.float64]) -> tuple[float, float]:
    """Give balanced accuracy and weighted mean cross-entropy, in nats, on a split.

    Parameters
    ----------
    module : Module
        (n, p) → (n, 2) logits.
    dev : Samples
        Not empty; of a class that it lacks, there is no share to average.
    weights : ndarray, shape (2,)
        Weight of a sample of each class.
    """
    out = logits(module, np.ascontiguousarray(dev.values))
    correct = out.argmax(axis=1) == dev.labels
    shares = [correct[dev.labels == c].mean() for c in np.unique(dev.labels)]
    margin = np.where(dev.labels == 1, 1, -1) * (out[:, 1] - out[:, 0])
    loss = np.average(np.logaddexp(0, -margin), weights=weights[dev.labels])
    return float(np.mean(shares)), float(loss)


def _finite(total: torch.Tensor) -> float:
    number = float(total)
    if not math.isfinite(number):
        raise InputError("the training's loss is not finite; lower training: learning_rate.")
    return number
