"""The detectors of attacked sequences on one model: by name, fitted, each string read once.

A module of a detector has a function `make(name, reader, options)`; it is imported by name.
"""

import copy
import importlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from genosiege import runtime
from genosiege.data.sampling import stratified_rows
from genosiege.detection import dna
from genosiege.detection.detectors import Mahalanobis, NearestNeighbours
from genosiege.detection.dna import Scores, StringDetector
from genosiege.errors import InputError
from genosiege.kinds.detectors import SEQUENCE
from genosiege.sequence.answers import check_finite, quoted
from genosiege.sequence.batching import batches
from genosiege.sequence.encoders import SequenceModel, keeps_own_head
from genosiege.sequence.networks import Classifier
from genosiege.sequence.splits import Split

if TYPE_CHECKING:
    from genosiege.detection.options import Detection

log = logging.getLogger(__name__)

OF_FEATURES = ("mahalanobis", "nearest_neighbours")
"""Detectors that need the features of an encoder."""

# Of two lengths, so that the shorter one is padded.
_PROBE = ("ACGT" * 10, "GATTACA")
_CLOSE = 1e-4


class Reading(NamedTuple):
    """What a model makes of n sequences.

    Attributes
    ----------
    features : ndarray of float32, shape (n, h)
        What its last layer, or our head, is given; (n, 0) where that cannot be told.
    logits : ndarray of float32, shape (n, C)
        What it answers.
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32]


class Reader:
    """A model that gives features and logits of strings in one forward, in fp32.

    Parameters
    ----------
    model : SequenceModel
        Used in evaluation mode and left as it was.
    batch_size : int
        Most sequences in one forward.
    device : torch.device, optional
        By default a GPU where there is one.

    Notes
    -----
    Features are what goes into the head. A checkpoint's own head may have several layers: then
    they are what goes into its last one, at the last token where that layer answers for each.
    Whether this layer makes the model's logits of them is tried out once; where it does not,
    `has_features` is False.
    """

    def __init__(
        self, model: SequenceModel, batch_size: int, device: torch.device | None = None
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size {batch_size}: give a positive integer.")
        self._device = device or runtime.device()
        self._tokenizer = model.tokenizer
        self._batch_size = batch_size
        # A copy, as an oracle has: the caller's keeps its mode and device.
        with torch.inference_mode(False):
            self._classifier = copy.deepcopy(model.classifier).eval().to(self._device)
        self._own_head = keeps_own_head(model.spec)
        self._last = _last_layer(self._classifier, model.n_classes, self._own_head)
        self._file = model.file
        self._cached: dict[str, NDArray[np.float32]] = {}
        self._names: dict[str, str] = {}
        self._known: tuple[dict[str, int], Reading] | None = None
        self.has_features = self._last is not None and self._fits()

    def remember(self, split: Split) -> None:
        """Take a split's ids, and its cached features, where it has them, for its sequences."""
        self._names.update(zip(split.sequences, split.ids or (), strict=False))
        if split.features is not None and not self._own_head:
            self._cached.update(zip(split.sequences, split.features, strict=True))

    def read(self, sequences: Sequence[str]) -> Reading:
        """Give features and logits; equal strings are read once, and the last set is kept.

        Rounding depends on what shares a forward: equal sets give equal numbers, in any order.

        Raises
        ------
        InputError
            If a feature or a logit is not finite.
        """
        rows = {sequence: row for row, sequence in enumerate(sorted(set(sequences)))}
        if self._known is None or self._known[0].keys() != rows.keys():
            self._known = rows, self._checked(list(rows))
        rows, reading = self._known
        taken = [rows[sequence] for sequence in sequences]
        return Reading(reading.features[taken], reading.logits[taken])

    def _checked(self, sequences: list[str]) -> Reading:
        reading = self._read(sequences)
        for found in reading:
            check_finite(found, self._file, lambda row: self._name(sequences[row]))
        return reading

    def _name(self, sequence: str) -> str:
        return self._names.get(sequence) or quoted(sequence)

    def features(self, sequences: Sequence[str]) -> NDArray[np.float32]:
        """Give features of n sequences, (n, h)."""
        return self.read(sequences).features

    def logits(self, sequences: Sequence[str]) -> NDArray[np.float32]:
        """Give logits of n sequences, (n, C)."""
        return self.read(sequences).logits

    @torch.inference_mode()
    def _read(self, sequences: list[str]) -> Reading:
        found: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        order: list[int] = []
        cached = [i for i, sequence in enumerate(sequences) if sequence in self._cached]
        for start in range(0, len(cached), self._batch_size):
            rows = cached[start : start + self._batch_size]
            features = np.stack([self._cached[sequences[i]] for i in rows])
            logits = self._classifier.head(torch.from_numpy(features).to(self._device))
            found.append((features, logits.float().cpu().numpy()))
            order += rows
        fresh = [i for i, sequence in enumerate(sequences) if sequence not in self._cached]
        tokens = self._tokenizer.encode([sequences[i] for i in fresh])
        for part in batches(tokens.lengths, self._batch_size):
            inputs = tokens.padded(part, self._tokenizer.pad_id)
            found.append(self._forward(*inputs))
            order += [fresh[int(i)] for i in part]
        if not found:
            return Reading(np.empty((0, 0), np.float32), np.empty((0, 0), np.float32))
        back = np.argsort(order)
        return Reading(*(np.concatenate(parts)[back] for parts in zip(*found, strict=True)))

    def _forward(
        self, input_ids: NDArray[np.int64], mask: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        seen: list[torch.Tensor] = []
        hook = None
        if self._last is not None:
            hook = self._last.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            logits = self._classifier(
                torch.from_numpy(input_ids).to(self._device),
                torch.from_numpy(mask).to(self._device),
            )
        finally:
            if hook is not None:
                hook.remove()
        answer = logits.float().cpu().numpy()
        if len(seen) != 1 or seen[0].ndim not in (2, 3) or len(seen[0]) != len(answer):
            return np.empty((len(answer), 0), np.float32), answer
        features = seen[0].float().cpu().numpy()
        if features.ndim == 3:
            features = features[np.arange(len(mask)), mask.sum(axis=1) - 1]
        return features, answer

    def _fits(self) -> bool:
        """Whether the last layer makes the logits out of the features."""
        if not self._own_head:
            return True
        reading = self._read(sorted(_PROBE))
        assert self._last is not None
        if not reading.features.shape[1]:
            return False
        with torch.inference_mode():
            again = self._last(torch.from_numpy(reading.features).to(self._device))
        difference = np.abs(again.float().cpu().numpy() - reading.logits).max()
        return bool(difference <= _CLOSE * max(1.0, float(np.abs(reading.logits).max())))


def _last_layer(classifier: Classifier, n_classes: int, own_head: bool) -> nn.Module | None:
    """Give what features go into: our head, or the layer of an own one that makes the logits."""
    if not own_head:
        return classifier.head
    linear = [part for part in classifier.head.modules() if isinstance(part, nn.Linear)]
    return next((part for part in reversed(linear) if part.out_features == n_classes), None)


class SequenceDetectors:
    """Detectors of attacked sequences on one model.

    Parameters
    ----------
    detectors : dict of str to StringDetector
        By name, in the order of the score columns.
    reader : Reader
        What those share that ask the model.

    Raises
    ------
    InputError
        By `score` and `score_all`, if a score is no finite number.
    """

    def __init__(self, detectors: dict[str, StringDetector], reader: Reader) -> None:
        self._detectors = detectors
        self._reader = reader

    @property
    def names(self) -> tuple[str, ...]:
        """The detectors there are; those that this model has no features for are left out."""
        return tuple(self._detectors)

    def fit(self, train: Split) -> "SequenceDetectors":
        """Fit all detectors on natural training sequences."""
        self._reader.remember(train)
        for name, detector in self._detectors.items():
            detector.fit(train.sequences, train.labels)
            log.info("detector %s is fitted on %d sequences", name, len(train.sequences))
        return self

    def remember(self, split: Split) -> None:
        """Use a split's ids, and its cached features, rather than making them again."""
        self._reader.remember(split)

    def logits(self, sequences: Sequence[str]) -> NDArray[np.float32]:
        """Give the model's logits, (n, C), in fp32; no forward for the set last scored."""
        return self._reader.logits(sequences)

    def score(self, name: str, sequences: Sequence[str]) -> Scores:
        """Give one detector's scores of n sequences, (n,); equal strings are scored once."""
        return self._scored([name], sequences)[name]

    def score_all(self, sequences: Sequence[str]) -> dict[str, Scores]:
        """Give every detector's scores of n sequences, (n,), by name."""
        return self._scored(self.names, sequences)

    def _scored(self, names: Iterable[str], sequences: Sequence[str]) -> dict[str, Scores]:
        rows = {sequence: row for row, sequence in enumerate(sorted(set(sequences)))}
        taken = np.array([rows[sequence] for sequence in sequences], dtype=np.intp)
        found = {}
        for name in names:
            scores = self._detectors[name].score(list(rows)) if rows else np.empty(0)
            if not np.isfinite(scores).all():
                raise InputError(
                    f"detector {name}: a score is not finite; leave the detector out, or mend it."
                )
            found[name] = np.asarray(scores, dtype=np.float64)[taken]
        return found


def build(
    names: Sequence[str], model: SequenceModel, options: "Detection", batch_size: int
) -> SequenceDetectors:
    """Make detectors, not fitted yet.

    Parameters
    ----------
    names : sequence of str
        Of `options.SEQUENCE`.
    model : SequenceModel
        The model under attack.
    options : Detection
        Order of the background, number of neighbours.
    batch_size : int
        Sequences per forward.

    Returns
    -------
    SequenceDetectors
        In the order of `names`. Detectors of features are left out, and the log says so, where
        the model's own head does not show what it is given.

    Raises
    ------
    InputError
        If there is no such detector.
    """
    reader = Reader(model, batch_size)
    chosen = {}
    for name in names:
        if name not in SEQUENCE:
            raise InputError(
                f'detection, sequence "{name}": there is no such detector; '
                f"choose among {', '.join(SEQUENCE)}."
            )
        if name in OF_FEATURES and not reader.has_features:
            log.info("detector %s is left out: the model's own head hides its features", name)
            continue
        module = importlib.import_module(f"genosiege.detection.{SEQUENCE[name]}")
        chosen[name] = module.make(name, reader, options)
    return SequenceDetectors(chosen, reader)


def make(name: str, reader: Reader, options: "Detection") -> StringDetector:
    """Make one of the detectors that come with the library."""
    makers: dict[str, Callable[[], StringDetector]] = {
        "spectral": dna.DnaSpectrum,
        "period3": dna.PeriodThree,
        "kmer": lambda: dna.KmerBackground(options.kmer),
        "mahalanobis": lambda: dna.FeatureDetector(reader.features, Mahalanobis()),
        "nearest_neighbours": lambda: dna.FeatureDetector(
            reader.features, NearestNeighbours(options.neighbours)
        ),
        "margin": lambda: dna.Margin(reader.logits),
    }
    return makers[name]()


def fitted(
    model: SequenceModel, train: Split, options: "Detection", seed: int, batch_size: int
) -> SequenceDetectors:
    """Make the detectors that the options name and fit them on the training split.

    Parameters
    ----------
    model : SequenceModel
        The model under attack.
    train : Split
        Natural sequences, with cached features where there are any.
    options : Detection
        `fit_samples` of the rows, stratified, are fitted on.
    seed : int
        Decides which.
    batch_size : int
        Sequences per forward.
    """
    rows = drawn(train.labels, options, seed, "detector fit")
    features = None if train.features is None else train.features[rows]
    chosen = Split(
        [train.sequences[int(row)] for row in rows],
        train.labels[rows],
        features,
        None if train.ids is None else [train.ids[int(row)] for row in rows],
    )
    return build(options.sequence, model, options, batch_size).fit(chosen)


def drawn(
    labels: NDArray[np.int64], options: "Detection", seed: int, purpose: str
) -> NDArray[np.intp]:
    """Choose at most `fit_samples` rows so that every class keeps its share; rising."""
    rng = runtime.stream(seed, purpose)
    return stratified_rows(labels, options.fit_samples, rng, "detection, fit_samples")
