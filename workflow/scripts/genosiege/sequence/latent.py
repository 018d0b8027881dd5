"""Attacks in embedding space: FGSM and PGD on the vectors that tokens are embedded as.

They tell how far a model's decision is from its inputs where the input is continuous. What
they find is no DNA: no string has the perturbed embedding.

The size of a perturbation is relative to the sequence's own embedding matrix X, of all its
real tokens, special ones counted: with norm `linf` every entry moves by at most epsilon times
the root mean square entry of X, with `l2` the whole moves by at most epsilon times the
Frobenius norm of X. Special tokens may be perturbed, padding never is.

References
----------
Goodfellow, Shlens and Szegedy (2015), ICLR (FGSM). Madry et al. (2018), ICLR (PGD).
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.sequence.answers import check_finite, margins, true_class_probabilities
from genosiege.sequence.batching import batches
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.gradients import embed, embedded_as, logits_and_gradients
from genosiege.sequence.prediction import batch, borrowed
from genosiege.sequence.tables import typed

log = logging.getLogger(__name__)

COLUMNS = {
    "id": "str",
    "label": "int64",
    "norm": "str",
    "epsilon": "float64",
    "margin_before": "float64",
    "margin_after": "float64",
    "p_true_before": "float64",
    "p_true_after": "float64",
    "correct_before": "bool",
    "flipped": "bool",
    "l2": "float64",
    "linf": "float64",
    "n_gradients": "int64",
    "n_queries": "int64",
}
"""One row per sequence and epsilon. `l2` and `linf` are of the perturbation that was best."""

_EPSILONS = (0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Fgsm:
    """Settings of FGSM: one step of full length along the gradient.

    Attributes
    ----------
    norm : str
        `linf` or `l2`.
    epsilons : sequence of float
        Sizes of the perturbation, relative to the embedding's own size.
    """

    norm: str = "linf"
    epsilons: tuple[float, ...] = _EPSILONS

    def __post_init__(self) -> None:
        _check("latent_fgsm", self)


@dataclass(frozen=True)
class Pgd:
    """Settings of PGD: many short steps, each led back into the budget.

    Attributes
    ----------
    norm, epsilons
        As for FGSM.
    steps : int
        Gradient steps for each epsilon.
    step_size : float
        Length of a step, as a share of epsilon.
    random_start : bool
        Start at a random point inside the budget instead of at the embedding.
    """

    norm: str = "l2"
    epsilons: tuple[float, ...] = _EPSILONS
    steps: int = 20
    step_size: float = 0.125
    random_start: bool = True

    def __post_init__(self) -> None:
        _check("latent_pgd", self)
        if type(self.steps) is not int or self.steps < 1:
            raise InputError(f"attack latent_pgd, steps {self.steps!r}: give 1 or more.")
        if not self.step_size > 0:
            raise InputError(f"attack latent_pgd, step_size {self.step_size!r}: give a number > 0.")


KINDS: Mapping[str, type[Fgsm] | type[Pgd]] = {"latent_fgsm": Fgsm, "latent_pgd": Pgd}


def _check(kind: str, options: Fgsm | Pgd) -> None:
    if options.norm not in ("linf", "l2"):
        raise InputError(f'attack {kind}, norm "{options.norm}": choose linf or l2.')
    if not options.epsilons or any(not epsilon > 0 for epsilon in options.epsilons):
        raise InputError(f"attack {kind}, epsilons {list(options.epsilons)}: give numbers > 0.")


def load(entry: Mapping[str, Any]) -> Fgsm | Pgd:
    """Read the options of a catalogue entry.

    Raises
    ------
    InputError
        If the kind is no latent attack, or an option is unknown or out of range.
    """
    kind = str(entry.get("kind"))
    if kind not in KINDS:
        raise InputError(f'latent attack kind "{kind}": choose one of {", ".join(KINDS)}.')
    options = {name: value for name, value in entry.items() if name != "kind"}
    known = [field.name for field in fields(KINDS[kind])]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(
            f'attack kind {kind}, option "{unknown[0]}": it has no such option; '
            f"it has {', '.join(known)}."
        )
    if "epsilons" in options:
        options["epsilons"] = tuple(options["epsilons"])
    return KINDS[kind](**options)


def attack_sample(
    model: SequenceModel,
    sample: pd.DataFrame,
    options: Fgsm | Pgd,
    batch_size: int,
    device: torch.device | None = None,
) -> pd.DataFrame:
    """Attack the embeddings of a sample with budgets of growing size, in fp32.

    Parameters
    ----------
    model : SequenceModel
        Its mode, place and weights stay as they are.
    sample : pandas.DataFrame
        Columns id, sequence, label.
    options : Fgsm or Pgd
        From `load`.
    batch_size : int
        Most sequences in a forward.
    device : torch.device, optional
        By default a GPU where there is one.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, as in the sample, then by epsilon. A row tells the best point within its
        budget, those of smaller budgets and the embedding itself counted, so that the
        margin never rises with epsilon; gradients and queries (points that were scored) are
        counted up to that budget. What the model misclassifies is not attacked.

    Raises
    ------
    InputError
        If an answer is not finite.
    """
    tokens = model.tokenizer.encode(list(sample["sequence"]))
    labels = sample["label"].to_numpy(dtype=np.int64)
    found: dict[int, list[dict[str, object]]] = {}
    with borrowed(model.classifier, device or runtime.device()) as place:
        model.classifier.eval()
        for rows in batches(tokens.lengths, batch_size):
            inputs = batch(tokens, rows, model.tokenizer.pad_id, place)
            names = [str(name) for name in sample["id"].iloc[rows]]
            attacked = _Batch(model, *inputs, labels[rows], names)
            for row, results in zip(rows, attacked.run(options), strict=True):
                found[int(row)] = results
            log.info("%d of %d sequences", len(found), len(tokens))
    return typed([row for index in sorted(found) for row in found[index]], COLUMNS)


class _Batch:
    """Sequences that share their forwards; none has an influence on another."""

    def __init__(
        self,
        model: SequenceModel,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: NDArray[np.int64],
        names: list[str],
    ) -> None:
        self._classifier = model.classifier
        self._file = model.file
        self._inputs = input_ids, attention_mask
        self._real = attention_mask[..., None]
        self._labels = labels
        self._names = names
        self._origin = embed(self._classifier, input_ids)
        norm = (self._origin * self._real).flatten(1).norm(dim=1)
        n_entries = attention_mask.sum(dim=1) * self._origin.shape[2]
        self._size = {"l2": norm, "linf": norm / n_entries.clamp(min=1).sqrt()}

    def run(self, options: Fgsm | Pgd) -> list[list[dict[str, object]]]:
        """Attack with every epsilon; give the rows of each sequence."""
        still = torch.zeros_like(self._origin)
        if isinstance(options, Fgsm):
            first, gradients = self._differentiate(still)
        else:
            first, gradients = self._logits(still), still
        before = self._margins(first)
        best = _Best(still, first, before)
        n_gradients, n_queries = int(isinstance(options, Fgsm)), 1
        rows: list[list[dict[str, object]]] = [[] for _ in self._names]
        for epsilon in sorted(options.epsilons):
            radius = epsilon * self._size[options.norm][:, None, None]
            if isinstance(options, Fgsm):
                point = -radius * direction(gradients, options.norm)
                best.offer(point, logits := self._logits(point), self._margins(logits))
                n_queries += 1
            else:
                for point, logits in self._descend(options, epsilon, radius):
                    best.offer(point, logits, self._margins(logits))
                n_gradients += options.steps
                n_queries += options.steps + 1
            for i, row in enumerate(self._rows(first, before, best, n_gradients, n_queries)):
                rows[i].append(row | {"norm": options.norm, "epsilon": epsilon})
        return rows

    def _descend(
        self, options: Pgd, epsilon: float, radius: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, NDArray[np.float32]]]:
        """Walk down the margin inside the budget; give every point and its logits."""
        point = torch.zeros_like(self._origin)
        if options.random_start:
            point = self._random_points(options.norm, epsilon) * radius
        for _ in range(options.steps):
            logits, gradients = self._differentiate(point)
            yield point, logits
            step = options.step_size * radius * direction(gradients, options.norm)
            point = project(point - step, radius, options.norm)
        yield point, self._logits(point)

    def _random_points(self, norm: str, epsilon: float) -> torch.Tensor:
        """Draw a uniform point of the unit ball for each sequence, from a stream of its own."""
        points = np.zeros(self._origin.shape, dtype=np.float32)
        for i, (name, real) in enumerate(zip(self._names, self._inputs[1], strict=True)):
            rng = runtime.stream("latent", name, norm, repr(float(epsilon)))
            shape = (int(real.sum()), points.shape[2])
            points[i, real.cpu().numpy()] = _uniform(rng, norm, shape)
        return torch.from_numpy(points).to(self._origin.device)

    def _differentiate(self, point: torch.Tensor) -> tuple[NDArray[np.float32], torch.Tensor]:
        labels = torch.from_numpy(self._labels).to(point.device)
        logits, gradients = logits_and_gradients(
            self._classifier, *self._inputs, labels, self._origin + point
        )
        return self._checked(logits), gradients

    def _logits(self, point: torch.Tensor) -> NDArray[np.float32]:
        with torch.no_grad(), embedded_as(self._classifier, self._origin + point):
            return self._checked(self._classifier(*self._inputs))

    def _checked(self, logits: torch.Tensor) -> NDArray[np.float32]:
        found = np.asarray(logits.cpu().numpy())
        check_finite(found, self._file, self._names.__getitem__)
        return found

    def _margins(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        return margins(logits, self._labels)

    def _rows(
        self,
        first: NDArray[np.float32],
        before: NDArray[np.float64],
        best: "_Best",
        n_gradients: int,
        n_queries: int,
    ) -> Iterator[dict[str, object]]:
        """Describe the best points so far; misclassified sequences as if left alone."""
        p_before = true_class_probabilities(first, self._labels)
        p_after = true_class_probabilities(best.logits, self._labels)
        flat = best.points.flatten(1).double()
        l2, linf = flat.norm(dim=1).cpu().numpy(), flat.abs().amax(dim=1).cpu().numpy()
        for i, name in enumerate(self._names):
            correct = bool(before[i] >= 0)
            yield {
                "id": name,
                "label": self._labels[i],
                "margin_before": before[i],
                "margin_after": best.margins[i] if correct else before[i],
                "p_true_before": p_before[i],
                "p_true_after": p_after[i] if correct else p_before[i],
                "correct_before": correct,
                "flipped": correct and bool(best.margins[i] < 0),
                "l2": l2[i] if correct else 0.0,
                "linf": linf[i] if correct else 0.0,
                "n_gradients": n_gradients if correct else 0,
                "n_queries": n_queries if correct else 1,
            }


class _Best:
    """The points of lowest margin seen so far, one per sequence."""

    def __init__(
        self,
        points: torch.Tensor,
        logits: NDArray[np.float32],
        found: NDArray[np.float64],
    ) -> None:
        self.points = points
        self.logits = logits
        self.margins = found

    def offer(
        self,
        points: torch.Tensor,
        logits: NDArray[np.float32],
        found: NDArray[np.float64],
    ) -> None:
        """Take those points that are better."""
        better = found < self.margins
        chosen = torch.from_numpy(better).to(points.device)[:, None, None]
        self.points = torch.where(chosen, points, self.points)
        self.logits = np.where(better[:, None], logits, self.logits)
        self.margins = np.where(better, found, self.margins)


def direction(gradients: torch.Tensor, norm: str) -> torch.Tensor:
    """Give the steepest direction of unit norm, for each sequence of (B, T, h); 0 for 0."""
    if norm == "linf":
        return gradients.sign()
    size = gradients.flatten(1).norm(dim=1)[:, None, None]
    return gradients / torch.where(size > 0, size, torch.ones_like(size))


def project(points: torch.Tensor, radius: torch.Tensor, norm: str) -> torch.Tensor:
    """Give the nearest points (B, T, h) in the ball of `radius` (B, 1, 1) around 0."""
    if norm == "linf":
        return points.clamp(min=-radius, max=radius)
    size = points.flatten(1).norm(dim=1)[:, None, None]
    return points * torch.where(size > radius, radius / size, torch.ones_like(size))


def _uniform(rng: np.random.Generator, norm: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Draw a point uniformly from the unit ball of all matrices of this shape."""
    if norm == "linf":
        return rng.uniform(-1.0, 1.0, shape)
    direction = rng.normal(size=shape)
    length = rng.random() ** (1 / max(1, direction.size))
    return np.asarray(length * direction / max(np.linalg.norm(direction), 1e-300))
