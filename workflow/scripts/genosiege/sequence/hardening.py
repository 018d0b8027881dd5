"""Training of one round of a defence: a few steps on adversaries, or on a control's examples."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from genosiege import optimisation
from genosiege.errors import InputError
from genosiege.optimisation import seeded
from genosiege.sequence import classifier
from genosiege.sequence.encoders import SequenceModel, count_parameters
from genosiege.sequence.examples import Choice, Example, Pool
from genosiege.sequence.prediction import Rows, batch, borrowed, encode, head_logits, try_out
from genosiege.sequence.splits import read_split

log = logging.getLogger(__name__)

Features = Mapping[str, NDArray[np.float32]]
"""Cached features (h,) of clean rows, by id."""


@dataclass(frozen=True)
class Hardening(Choice):
    """All options of a round, named as in the configuration; see `Choice` for its examples.

    Attributes
    ----------
    epochs : int
        Passes over `examples_per_round` examples, whether or not so many were found.
    batch_size : int
        Most rows per optimiser step.
    learning_rate : float
        Of AdamW, constant; each round starts a fresh one.
    weight_decay : float
        Of AdamW, on matrices only.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    epochs: int = 1
    batch_size: int = 16
    learning_rate: float = 5e-6
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        classifier.check_counts(self, "hardening", ("epochs", "batch_size"))
        classifier.check_adamw("hardening", self.learning_rate, self.weight_decay)
        if self.kind == "mixed" and self.rows_per_step < 2:
            raise InputError(
                "hardening, mixed: half of one row is none; take batch_size and "
                "examples_per_round of 2 at least."
            )

    @property
    def steps(self) -> int:
        """Optimiser steps of a round: the same whatever was found, and for every kind."""
        return self.epochs * math.ceil(self.examples_per_round / self.batch_size)

    @property
    def rows_per_step(self) -> int:
        """Rows of each step."""
        return min(self.batch_size, self.examples_per_round)

    @property
    def replay_per_step(self) -> int:
        """How many of these rows are clean replay: half, rounded down, where there is any."""
        return self.rows_per_step // 2 if self.kind == "mixed" else 0


@dataclass(frozen=True)
class Hardened:
    """What a round's training did.

    Attributes
    ----------
    losses : tuple of float
        Mean cross-entropy of each step's rows, before the step.
    kept : bool
        Whether there were no adversaries, so that the model is the one before. With
        `cumulative`, a round that found none itself trains on those of the rounds before.
    examples, replay : tuple of Example
        What the steps really read, once each: where a round has fewer steps than its pool
        needs, not all of the pool.
    """

    losses: tuple[float, ...]
    kept: bool
    examples: tuple[Example, ...]
    replay: tuple[Example, ...]

    @property
    def n_steps(self) -> int:
        """Optimiser steps taken."""
        return len(self.losses)


def batches(n_examples: int, n_replay: int, options: Hardening, rng: np.random.Generator) -> Rows:
    """Say which rows each step of a round reads.

    Parameters
    ----------
    n_examples, n_replay : int
        Sizes of the two parts of the pool. Both are cycled through: each of a part's rows
        is read once, in random order, before any is read again in another order.
    options : Hardening
        How many steps, and how many rows of each part.
    rng : numpy.random.Generator
        For the orders.

    Returns
    -------
    ndarray of int64, shape (`steps`, `rows_per_step`)
        Rows of the examples followed by the replay: numbers from `n_examples` on are replay.

    Raises
    ------
    InputError
        If a part that is needed is empty.
    """
    n_clean = options.replay_per_step
    if n_examples == 0 or (n_clean and n_replay == 0):
        raise InputError(f"{options.kind}: there is nothing to train on; enlarge the train sample.")
    rows = [_cycle(n_examples, options.steps, options.rows_per_step - n_clean, rng)]
    if n_clean:
        rows.append(n_examples + _cycle(n_replay, options.steps, n_clean, rng))
    return np.concatenate(rows, axis=1)


def _cycle(n: int, steps: int, width: int, rng: np.random.Generator) -> Rows:
    rounds = [rng.permutation(n) for _ in range(math.ceil(steps * width / n))]
    return np.concatenate(rounds)[: steps * width].reshape(steps, width)


def harden(
    model: SequenceModel,
    examples: Sequence[Example],
    replay: Sequence[Example],
    options: Hardening,
    rng: np.random.Generator,
    device: torch.device | None = None,
    cached: Features | None = None,
) -> Hardened:
    """Train a model for one round: its head if the encoder is frozen, else all of it.

    Dropout is on. Batch norms train their weights but stay in evaluation mode: a handful of
    examples would otherwise replace the statistics of a whole training split.

    Parameters
    ----------
    model : SequenceModel
        Changed in place; not at all if an attacking defence has no adversaries.
    examples, replay : sequence of Example
        The pool of the round, from `examples.of_round`.
    options : Hardening
        See there.
    rng : numpy.random.Generator
        For the order of the rows and for dropout.
    device : torch.device, optional
        Where to train; by default where the model is.
    cached : mapping, optional
        Features of clean rows on a frozen encoder. What is not in it is encoded, once.

    Raises
    ------
    InputError
        If there is nothing to train on, nothing that can be trained, the model before gives
        no finite answers, or the loss is no number any more.
    """
    if options.attacking and not examples:
        log.info("no adversaries: the model is kept as it is")
        return Hardened((), True, (), ())
    if count_parameters(model)["trainable"] == 0:
        raise InputError(
            "this encoder keeps the head it was published with, so nothing of it can be "
            "trained; harden an encoder with a head of ours."
        )
    planned = batches(len(examples), len(replay), options, rng)
    used, positions = np.unique(planned, return_inverse=True)
    pool = [(*examples, *replay)[row] for row in used]
    steps = positions.reshape(planned.shape)
    if model.frozen:
        features = _features(model, pool, cached or {}, device)
        head_logits(model, features, [one.id for one in pool])
        losses = _train_head(model.classifier.head, features, pool, steps, options, rng, device)
    else:
        first = [pool[row] for row in steps[0]]
        try_out(model, [one.sequence for one in first], [one.id for one in first], device)
        losses = _train_all(model, pool, steps, options, rng, device)
    n_examples = int((used < len(examples)).sum())
    log.info(
        "%d steps on %d examples and %d clean rows beside them: loss %.4f, then %.4f",
        *(len(losses), n_examples, len(pool) - n_examples, losses[0], losses[-1]),
    )
    return Hardened(losses, False, tuple(pool[:n_examples]), tuple(pool[n_examples:]))


def _features(
    model: SequenceModel,
    pool: Sequence[Example],
    cached: Features,
    device: torch.device | None,
) -> NDArray[np.float32]:
    """Give features (n, h): of clean rows the cached ones, of all others fresh ones."""
    known = [one.kind == "clean" and one.id in cached for one in pool]
    fresh = [one for one, is_known in zip(pool, known, strict=True) if not is_known]
    encoded: Iterator[NDArray[np.float32]] = iter(())
    if fresh:
        tokens = model.tokenizer.encode([one.sequence for one in fresh])
        encoded = iter(encode(model, tokens, device=device, ids=[one.id for one in fresh]))
    return np.stack(
        [
            cached[one.id] if is_known else next(encoded)
            for one, is_known in zip(pool, known, strict=True)
        ]
    )


def _train_head(
    head: nn.Module,
    features: NDArray[np.float32],
    pool: Sequence[Example],
    steps: Rows,
    options: Hardening,
    rng: np.random.Generator,
    device: torch.device | None,
) -> tuple[float, ...]:
    with borrowed(head, device) as place:
        inputs = torch.from_numpy(features).to(place)

        def logits(rows: Rows) -> torch.Tensor:
            out: torch.Tensor = head(inputs[torch.from_numpy(rows).to(place)])
            return out

        return _run(head, logits, pool, steps, options, rng)


def _train_all(
    model: SequenceModel,
    pool: Sequence[Example],
    steps: Rows,
    options: Hardening,
    rng: np.random.Generator,
    device: torch.device | None,
) -> tuple[float, ...]:
    network, tokens = model.classifier, model.tokenizer.encode([one.sequence for one in pool])
    with borrowed(network, device) as place:

        def logits(rows: Rows) -> torch.Tensor:
            out: torch.Tensor = network(*batch(tokens, rows, model.tokenizer.pad_id, place))
            return out

        return _run(network, logits, pool, steps, options, rng)


def _run(
    module: nn.Module,
    logits: Callable[[Rows], torch.Tensor],
    pool: Sequence[Example],
    steps: Rows,
    options: Hardening,
    rng: np.random.Generator,
) -> tuple[float, ...]:
    labels = torch.tensor([one.label for one in pool])
    optimiser = optimisation.adamw(module, options.learning_rate, options.weight_decay)
    module.train()
    for part in module.modules():
        if getattr(part, "track_running_stats", False):
            part.eval()
    losses = []
    with seeded(rng):
        for rows in steps:
            out = logits(rows)
            loss = F.cross_entropy(out, labels[torch.from_numpy(rows)].to(out.device))
            classifier.step(loss, module, optimiser, "hardening")
            losses.append(loss.item())
    return tuple(losses)


def cached_features(
    table: str | PathLike[str] | None, features: str | PathLike[str] | None
) -> Features:
    """Read the cached features of a split, by the ids of its table; nothing where none is.

    Raises
    ------
    InputError
        If a file is missing or damaged, or the two differ in length.
    """
    if table is None or features is None:
        return {}
    split = read_split(table, features)
    assert split.features is not None and split.ids is not None
    return dict(zip(split.ids, split.features, strict=True))


def describe(options: Hardening, pool: Pool, hardened: Hardened) -> dict[str, Any]:
    """Say for `model.json` what a round did.

    `n_attacked` and `n_adversaries` are of the round's own attack; `n_examples`, `n_replay`
    and `trained_on` are what the steps really read, which may be less than was drawn.
    """
    trained_on = [*hardened.examples, *hardened.replay]
    return {
        "hardening": asdict(options),
        "adversary_source": options.adversary_source if options.attacking else "train",
        "n_attacked": pool.n_attacked,
        "n_adversaries": pool.n_adversaries,
        "kept": hardened.kept,
        "n_examples": len(hardened.examples),
        "n_replay": len(hardened.replay),
        "n_steps": hardened.n_steps,
        "history": {"losses": list(hardened.losses)},
        "trained_on": [
            {"id": one.id, "kind": one.kind, "round": one.round, "n_edits": one.n_edits}
            for one in trained_on
        ],
    }
