"""Training of classifiers: the head alone on cached features, or everything on tokens."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from genosiege import optimisation
from genosiege.errors import InputError
from genosiege.optimisation import seeded
from genosiege.sequence.encoders import SequenceModel, count_parameters
from genosiege.sequence.prediction import Rows, batch, borrowed, predict, try_out
from genosiege.sequence.splits import Split
from genosiege.sequence.tokenizer import Tokens

log = logging.getLogger(__name__)

# Batches that are sorted by length together: enough for little padding, few enough for chance.
_BATCHES_PER_POOL = 50
_DIVERGED = "the {1}'s {0} not finite; lower {1}: learning_rate."


@dataclass(frozen=True)
class Training:
    """Options of one training, named as in the configuration.

    Attributes
    ----------
    epochs : int
        Most passes over the training split.
    batch_size : int
        Sequences per optimiser step.
    learning_rate : float
        Highest rate of AdamW; it rises linearly during `warmup` and then falls to 0.
    weight_decay : float
        Of AdamW, on matrices only: norms and biases are not decayed.
    warmup : float
        Share of all steps in which the rate rises, in [0, 1).
    patience : int
        Epochs without a better MCC on the dev split after which training stops.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    patience: int = 5

    def __post_init__(self) -> None:
        check_counts(self, "training", ("epochs", "batch_size", "patience"))
        check_adamw("training", self.learning_rate, self.weight_decay)
        if not 0 <= self.warmup < 1:
            raise InputError(f"training, warmup {self.warmup!r}: give a share of the steps, < 1.")

    @classmethod
    def from_config(cls, options: Mapping[str, Any] | None) -> "Training":
        """Take the options given, and the defaults for the rest."""
        options = options or {}
        unknown = set(options) - {field.name for field in fields(cls)}
        if unknown:
            raise InputError(f"training, {min(unknown)}: there is no such option; remove it.")
        return cls(**options)


def check_counts(options: object, section: str, names: Sequence[str]) -> None:
    """Refuse options that are no positive whole numbers; `section` is what they stand in."""
    for name in names:
        value = getattr(options, name)
        if type(value) is not int or value < 1:
            raise InputError(f"{section}, {name} {value!r}: give a positive integer.")


def check_adamw(section: str, learning_rate: float, weight_decay: float) -> None:
    """Refuse a rate or a weight decay that AdamW cannot take; see `check_counts`."""
    if not learning_rate > 0:
        raise InputError(f"{section}, learning_rate {learning_rate!r}: give a number > 0.")
    if not weight_decay >= 0:
        raise InputError(f"{section}, weight_decay {weight_decay!r}: give a number ≥ 0.")


class Epoch(NamedTuple):
    """What one pass over the training split gave: its mean loss, then the MCC on dev."""

    epoch: int
    loss: float
    dev_mcc: float


def fit(
    model: SequenceModel,
    train: Split,
    dev: Split,
    options: Training,
    rng: np.random.Generator,
    device: torch.device | None = None,
) -> list[Epoch]:
    """Train what of a model can be trained: its head if the encoder is frozen, else all.

    Parameters
    ----------
    model : SequenceModel
        Changed in place.
    train, dev : Split
        With features where the encoder is frozen.
    options, rng, device
        As in `train_head`.

    Raises
    ------
    InputError
        If features are missing, a split is empty, a model to be trained further gives no
        finite answers, or the loss or the answers on dev are no numbers any more.
    """
    log.info("parameters: %s", count_parameters(model))
    if not model.frozen:
        first = slice(options.batch_size)
        try_out(model, train.sequences[first], train.ids and train.ids[first], device)
        encode = model.tokenizer.encode
        return train_end_to_end(
            model,
            (encode(train.sequences), train.labels),
            (encode(dev.sequences), dev.labels),
            options,
            rng,
            device,
        )
    if train.features is None or dev.features is None:
        raise InputError("a frozen encoder's head is trained on cached features: make them first.")
    return train_head(
        model.classifier.head,
        (train.features, train.labels),
        (dev.features, dev.labels),
        options,
        rng,
        device,
    )


def train_head(
    head: nn.Module,
    train: tuple[NDArray[np.float32], Rows],
    dev: tuple[NDArray[np.float32], Rows],
    options: Training,
    rng: np.random.Generator,
    device: torch.device | None = None,
) -> list[Epoch]:
    """Train a head on cached features; the best state on dev is kept.

    Parameters
    ----------
    head : Module
        Features (B, h) → logits (B, C); changed in place.
    train, dev : tuple of ndarray (n, h) and ndarray of int (n,)
        Features and labels.
    options : Training
        See there.
    rng : numpy.random.Generator
        For the order of the rows and for dropout.
    device : torch.device, optional
        Where to train; by default where the head is.

    Returns
    -------
    list of Epoch
        The history, up to where it stopped.
    """
    with borrowed(head, device) as place:
        features, dev_features = (torch.from_numpy(part[0]).to(place) for part in (train, dev))

        def logits(rows: Rows) -> torch.Tensor:
            out: torch.Tensor = head(features[torch.from_numpy(rows).to(place)])
            return out

        def dev_logits() -> NDArray[np.float32]:
            return head(dev_features).float().cpu().numpy()  # type: ignore[no-any-return]

        lengths = np.ones(len(train[1]), dtype=np.int64)
        return _run(head, logits, dev_logits, (train[1], lengths), dev[1], options, rng)


def train_end_to_end(
    model: SequenceModel,
    train: tuple[Tokens, Rows],
    dev: tuple[Tokens, Rows],
    options: Training,
    rng: np.random.Generator,
    device: torch.device | None = None,
) -> list[Epoch]:
    """Train encoder and head on tokens; the best state on dev is kept.

    Parameters
    ----------
    model : SequenceModel
        Changed in place.
    train, dev : tuple of Tokens and ndarray of int (n,)
        Token ids and labels.
    options, rng, device
        As in `train_head`.

    Returns
    -------
    list of Epoch
        The history, up to where it stopped.
    """
    classifier, (tokens, labels) = model.classifier, train
    with borrowed(classifier, device) as place:

        def logits(rows: Rows) -> torch.Tensor:
            out: torch.Tensor = classifier(*batch(tokens, rows, model.tokenizer.pad_id, place))
            return out

        def dev_logits() -> NDArray[np.float32]:
            return predict(model, dev[0], 4 * options.batch_size, place)

        return _run(classifier, logits, dev_logits, (labels, tokens.lengths), dev[1], options, rng)


def _run(
    module: nn.Module,
    logits: Callable[[Rows], torch.Tensor],
    dev_logits: Callable[[], NDArray[np.float32]],
    train: tuple[Rows, Rows],
    dev_labels: Rows,
    options: Training,
    rng: np.random.Generator,
) -> list[Epoch]:
    # Here, as it takes as long to import as torch: hardening needs this module, and none of it.
    from sklearn.metrics import matthews_corrcoef

    labels, lengths = train
    if not len(labels) or not len(dev_labels):
        raise InputError("training needs sequences in the train and the dev split; add some.")
    targets = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    steps = options.epochs * math.ceil(len(labels) / options.batch_size)
    optimiser, schedule = _optimiser(module, options, steps)
    history: list[Epoch] = []
    best: dict[str, torch.Tensor] = {}
    with seeded(rng):
        for epoch in range(1, options.epochs + 1):
            module.train()
            total = 0.0
            for rows in bucketed(lengths, options.batch_size, rng):
                out = logits(rows)
                loss = F.cross_entropy(out, targets[torch.from_numpy(rows)].to(out.device))
                step(loss, module, optimiser)
                schedule.step()
                total += loss.item() * len(rows)
            module.eval()
            with torch.inference_mode():
                answers = dev_logits()
            if not np.isfinite(answers).all():
                raise InputError(_DIVERGED.format("answers on dev are", "training"))
            mcc = float(matthews_corrcoef(dev_labels, answers.argmax(axis=1)))
            if mcc > max((past.dev_mcc for past in history), default=-math.inf):
                best = {name: t.detach().clone() for name, t in module.state_dict().items()}
            history.append(Epoch(epoch, total / len(labels), mcc))
            log.info("epoch %d: loss %.4f, dev MCC %.4f", *history[-1])
            if epoch - best_epoch(history).epoch >= options.patience:
                break
    module.load_state_dict(best)
    log.info("kept epoch %d", best_epoch(history).epoch)
    return history


def best_epoch(history: list[Epoch]) -> Epoch:
    """Give the first epoch with the highest MCC on dev: the one whose weights are kept."""
    return max(history, key=lambda epoch: epoch.dev_mcc)


def bucketed(lengths: Rows, batch_size: int, rng: np.random.Generator) -> list[Rows]:
    """Put all rows in batches at random, with rows of similar length together.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
        Number of tokens of each row.
    batch_size : int
        Rows per batch; the last batch may be smaller.
    rng : numpy.random.Generator
        For the order.

    Returns
    -------
    list of ndarray of int
        ceil(n / batch_size) batches that hold each row once.
    """
    order = rng.permutation(len(lengths))
    pool = batch_size * _BATCHES_PER_POOL
    batches: list[Rows] = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _optimiser(
    module: nn.Module, options: Training, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    optimiser = optimisation.adamw(module, options.learning_rate, options.weight_decay)
    warmup = round(options.warmup * steps)

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return (steps - step) / max(1, steps - warmup)

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, share)


def step(
    loss: torch.Tensor,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    section: str = "training",
) -> None:
    """Take one optimiser step, the gradient's norm clipped at 1.

    Parameters
    ----------
    loss : Tensor
        A scalar.
    module : Module
        Whose parameters the optimiser changes.
    optimiser : Optimizer
        From `optimisation.adamw`.
    section : str
        Where in the configuration the learning rate stands, for the error.

    Raises
    ------
    InputError
        If the loss is no number any more.
    """
    if not torch.isfinite(loss):
        raise InputError(_DIVERGED.format("loss is", section))
    optimisation.step(loss, module, optimiser)
