"""Small models with known answers, models that count, and a search without any model."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Found, Steps, Target, genetic
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.networks import Classifier, Encoder, OneHot
from genosiege.sequence.tokenizer import CharacterTokenizer

BASES = "ACGT"
LETTERS = BASES + "N"

Score = Callable[[Sequence[str]], np.ndarray]


def random_sequence(rng: np.random.Generator, length: int, n_share: float = 0.0) -> str:
    shares = [(1 - n_share) / 4] * 4 + [n_share]
    return "".join(rng.choice(list(LETTERS), length, p=shares))


class Linear(Encoder):
    """Logits that are sums over positions: `weights` (length, 5, classes)."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.width = weights.shape[2]
        self.weights = nn.Parameter(torch.as_tensor(weights, dtype=torch.float32))
        self.one_hot = OneHot(len(LETTERS), len(LETTERS))

    @property
    def embedding(self) -> nn.Module:
        return self.one_hot

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        # One product is the weight and the others are zeros: the sum is exact.
        products = self.one_hot(input_ids)[..., None] * self.weights[: input_ids.shape[1]]
        return (products.sum(dim=2) * attention_mask[..., None]).sum(dim=1)


class KilledError(Exception):
    """What a spy raises in place of the end of a process."""


class Spy(Encoder):
    """Passes on to another encoder and writes down what it was asked.

    Parameters
    ----------
    encoder : Encoder
        Of single characters.
    dies_after : int, optional
        Number of forwards after which it raises `KilledError`.
    """

    def __init__(self, encoder: Encoder, dies_after: int | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = encoder.width
        self.dies_after = dies_after
        self.forwards: list[list[str]] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> "Spy":
        copied = Spy(copy.deepcopy(self.encoder, memo), self.dies_after)
        copied.forwards = self.forwards  # shared: an oracle works on a copy
        return copied

    @property
    def embedding(self) -> nn.Module:
        return self.encoder.embedding

    @property
    def rows(self) -> list[str]:
        """Everything it was asked, in order."""
        return [sequence for forward in self.forwards for sequence in forward]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        if self.dies_after is not None and len(self.forwards) >= self.dies_after:
            raise KilledError
        ids, real = input_ids.cpu().numpy(), attention_mask.cpu().numpy()
        self.forwards.append(
            ["".join(LETTERS[i] for i in row[kept]) for row, kept in zip(ids, real, strict=True)]
        )
        return self.encoder(input_ids, attention_mask)


def wrap(encoder: Encoder, n_classes: int | None = None) -> SequenceModel:
    """Make a model of an encoder whose features are the logits."""
    classes = n_classes or encoder.width
    classifier = Classifier(encoder, nn.Identity(), frozen=False).eval()
    return SequenceModel(CharacterTokenizer(), classifier, classes, {}, None)


def linear_weights(seed: int, length: int, n_classes: int = 2) -> np.ndarray:
    weights = np.random.default_rng(seed).normal(size=(length, 5, n_classes))
    weights[:, 4] = 0
    return weights


def linear_score(weights: np.ndarray, offset: float = 0.0) -> Score:
    """Margins of a two-class model by numpy alone: `offset` + sum of weights (length, 4)."""
    codes = np.zeros(256, dtype=np.int64)
    codes[[ord(base) for base in BASES]] = range(4)
    codes[ord("N")] = 4
    padded = np.hstack([weights, np.zeros((len(weights), 1))])

    def score(sequences: Sequence[str]) -> np.ndarray:
        text = np.frombuffer("".join(sequences).encode(), dtype=np.uint8)
        ids = codes[text].reshape(len(sequences), -1)
        return offset + padded[np.arange(ids.shape[1]), ids].sum(axis=1)

    return score


def answers(margins: np.ndarray, exhausted: bool = False) -> Answers:
    """Answers of a two-class model about class 0 with these margins."""
    logits = np.stack([margins, np.zeros_like(margins)], axis=1).astype(np.float32)
    return Answers(logits, 0, exhausted)


def target(sequence: str, score: Score, rules: Constraints | None = None) -> Target:
    return Target(
        "test:0", sequence, 0, answers(score([sequence])), (rules or Constraints()).bind(sequence)
    )


def drive(
    steps: Steps, score: Score, budget: int = 10**9, asked: list[list[str]] | None = None
) -> Found:
    """Run a search to its end on a score, as an oracle would; `asked` takes the proposals."""
    known: set[str] = set()
    try:
        candidates = list(next(steps))
        while True:
            if asked is not None:
                asked.append(candidates)
            answered = 0
            for candidate in candidates:
                if candidate not in known and len(known) >= budget:
                    break
                known.add(candidate)
                answered += 1
            margins = score(candidates[:answered]) if answered else np.zeros(0)
            candidates = list(steps.send(answers(margins, answered < len(candidates))))
    except StopIteration as end:
        found: Found = end.value
        return found


SMALL = genetic.Options(population=12, generations=12, patience=12, max_edits=4)


def attack(
    sequence: str,
    score: Score,
    options: genetic.Options = SMALL,
    seed: int = 0,
    rules: Constraints | None = None,
    asked: list[list[str]] | None = None,
) -> Found:
    """Run the genetic attack on a score."""
    steps = genetic.search(target(sequence, score, rules), options, np.random.default_rng(seed))
    return drive(steps, score, options.query_budget, asked)


def apply(sequence: str, edits: Mapping[int, str]) -> str:
    return "".join(edits.get(i, base) for i, base in enumerate(sequence))


def substitutions(original: str, other: str) -> dict[int, str]:
    assert len(original) == len(other)
    return {i: b for i, (a, b) in enumerate(zip(original, other, strict=True)) if a != b}
