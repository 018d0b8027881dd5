"""The only door to a model: strings in, logits out, in bulk, and every query counted.

An attack is a generator that yields candidates and receives `Answers`. The oracle drives
one such generator per sequence and attack seed (a `Search`), keeps what it has already
answered, charges each search for its unique queries and stops answering when its budget
is spent. A white-box attack asks `WithSlopes`, and is told gradients too, each one counted.
"""

import copy
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.sequence.answers import Answers, WithSlopes, check_finite, margins, quoted
from genosiege.sequence.batching import batches
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.gradients import Slope, Slopes
from genosiege.sequence.journal import Journal
from genosiege.sequence.networks import Classifier
from genosiege.sequence.retokenizer import encoder_of_mutants

log = logging.getLogger(__name__)

Logits = NDArray[np.float32]
Outcome = TypeVar("Outcome")
Steps = Generator[Sequence[str], Answers, Outcome]

CLOSE = 1e-4
"""Margin up to which forwards of different shapes may differ from each other."""

MOST_AT_ONCE = 512
"""Searches that `lockstep` runs at once: enough to fill any forward, and to hold in memory."""

# Strings tokenized at a time; bounds the memory of a whole split.
_CHUNK = 8192


@dataclass
class Search(Generic[Outcome]):
    """One attack on one sequence, and what it has cost so far.

    Attributes
    ----------
    key : str
        Unique among the searches of a job: sequence id and attack seed.
    label : int
        True class of the sequence.
    budget : int
        Largest number of unique queries.
    steps : generator
        Yields candidates, receives `Answers`, returns its outcome.
    original : str, optional
        What its candidates are mutants of, as far as is known: they are tokenized sooner.
    identity : str, optional
        Id of the sequence, for errors; by default the key.
    """

    key: str
    label: int
    budget: int
    steps: Steps[Outcome]
    original: str | None = None
    identity: str | None = None
    n_queries: int = 0
    n_queries_unique: int = 0
    n_gradients: int = 0
    known: dict[str, Logits] = field(default_factory=dict, repr=False)

    def unknown(self, candidates: Sequence[str]) -> list[str]:
        """Give the candidates never asked before, once each, as far as the budget goes."""
        left = self.budget - self.n_queries_unique
        fresh: dict[str, None] = {}
        for candidate in candidates:
            if candidate not in self.known and candidate not in fresh:
                if len(fresh) == left:
                    break
                fresh[candidate] = None
        return list(fresh)

    def charge(self, candidates: Sequence[str], n_fresh: int, n_classes: int) -> Answers:
        """Answer a proposal out of what is known now, and count it."""
        answered: list[Logits] = []
        for candidate in candidates:
            row = self.known.get(candidate)
            if row is None:
                break
            answered.append(row)
        self.n_queries += len(answered)
        self.n_queries_unique += n_fresh
        logits = np.array(answered, dtype=np.float32).reshape(len(answered), n_classes)
        return Answers(logits, self.label, exhausted=len(answered) < len(candidates))


class Oracle:
    """A model behind one door.

    Parameters
    ----------
    model : SequenceModel
        What answers. It is used in evaluation mode and left as it was.
    precision : str
        `fp32`, `bf16`, or `auto` (see `runtime.choose_precision`).
    batching : str
        `per_sequence`: a forward holds the candidates of one search only, so that a result
        does not depend on which other sequences share the job. `lockstep`: the candidates
        of many searches fill each forward. `auto`: lockstep on a GPU.
    batch_size : int
        Most sequences in one forward.
    device : torch.device, optional
        By default a GPU where there is one.

    Raises
    ------
    InputError
        If an option has an unknown value; by everything that asks, if an answer is not finite.
    """

    def __init__(
        self,
        model: SequenceModel,
        *,
        precision: str = "fp32",
        batching: str = "per_sequence",
        batch_size: int = 64,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or runtime.device()
        if batching == "auto":
            batching = "lockstep" if self.device.type == "cuda" else "per_sequence"
        if batching not in ("per_sequence", "lockstep"):
            raise InputError(f'batching "{batching}": choose auto, per_sequence or lockstep.')
        if batch_size < 1:
            raise InputError(f"batch_size {batch_size}: give a positive integer.")
        self.batching = batching
        self.batch_size = batch_size
        self.n_classes = model.n_classes
        self._file = model.file
        self._tokenizer = model.tokenizer
        self._encode = encoder_of_mutants(model.tokenizer)
        n_parameters = sum(p.numel() for p in model.classifier.parameters())
        self.precision = runtime.choose_precision(precision, self.device, n_parameters)
        # Copies, so that the caller's model keeps its mode, device and precision; made for
        # gradients too, which tensors of the inference mode would not give.
        with torch.inference_mode(False):
            self._exact = copy.deepcopy(model.classifier).eval().to(self.device)
        self._classifier = self._exact
        self._slope: Slope | None = None
        if self.precision == "bf16":
            self._classifier = copy.deepcopy(self._exact)
            # Weights are cast once; autocast would cast them again in every forward.
            self._classifier.lower_precision(torch.bfloat16)
        log.info("oracle: %s, %s, %s", self.device, self.precision, self.batching)

    @property
    def settings(self) -> dict[str, str]:
        """What `auto` was settled to, for the record of a result."""
        return {
            "device": self.device.type,
            "machine": runtime.machine(self.device),
            "precision": self.precision,
            "batching": self.batching,
        }

    def logits(self, sequences: Sequence[str], ids: Sequence[str] | None = None) -> Logits:
        """Give the logits of sequences, uncounted; duplicates are computed once.

        Parameters
        ----------
        sequences : sequence of str
        ids : sequence of str, optional
            What they are called, for errors.

        Returns
        -------
        ndarray of float32, shape (n, C)
        """
        unique = dict.fromkeys(sequences)
        names = {} if ids is None else dict(zip(sequences, ids, strict=True))
        found = self._forward(unique, lambda sequence: names.get(sequence) or quoted(sequence))
        rows = dict(zip(unique, found, strict=True))
        return np.array([rows[s] for s in sequences], np.float32).reshape(-1, self.n_classes)

    def settled_logits(
        self,
        sequences: Sequence[str],
        labels: NDArray[np.int64],
        ids: Sequence[str] | None = None,
    ) -> Logits:
        """Give logits like `logits`, those of close calls asked for once more, alone.

        Rounding depends on what shares a forward; who is right must not.

        Parameters
        ----------
        sequences : sequence of str
        labels : ndarray of int, shape (n,)
            True classes; a call is close where the margin is within `CLOSE` of 0.
        ids : sequence of str, optional
            As for `logits`.
        """
        found = self.logits(sequences, ids)
        for close in np.flatnonzero(np.abs(margins(found, labels)) < CLOSE):
            found[close] = self.logits([sequences[int(close)]])[0]
        return found

    def slopes(self, sequences: Sequence[str], labels: Sequence[int]) -> list[Slopes]:
        """Estimate to first order what each substitution does to the margins, uncounted.

        The gradients are those of the exact classifier, in fp32, also where the answers are
        in bf16.

        Returns
        -------
        list of ndarray of float64, shape (length, 4)
            See `Answers.slopes`.
        """
        self._slope = self._slope or Slope(self._exact, self._tokenizer, self.device)
        asked = list(zip(sequences, labels, strict=True))
        unique = sorted(set(asked))
        found: dict[tuple[str, int], Slopes] = {}
        for start in range(0, len(unique), _CHUNK):
            chunk = unique[start : start + _CHUNK]
            texts, classes = [text for text, _ in chunk], [label for _, label in chunk]
            computed = self._slope(texts, classes, lambda n: batches(n, self.batch_size))
            found.update(zip(chunk, computed, strict=True))
        return [found[question] for question in asked]

    def run(
        self, searches: Iterable[Search[Outcome]], journal: Journal | None = None
    ) -> Iterator[tuple[Search[Outcome], Outcome]]:
        """Drive searches to their ends.

        Parameters
        ----------
        searches : iterable of Search
            Under `per_sequence` they are taken, and finish, one after the other. Under `lockstep`
            512 run at once, and where one ends another begins: what each has asked is remembered.
        journal : Journal, optional
            Keeps answers on disk, so that a killed job repeats no forward.

        Yields
        ------
        search, outcome
            As each search ends; the search holds its counts.
        """
        at_once = 1 if self.batching == "per_sequence" else MOST_AT_ONCE
        waiting = iter(searches)
        pending: list[tuple[Search[Outcome], Sequence[str]]] = []
        while True:
            begun = islice(waiting, at_once - len(pending))
            pending += [(search, next(search.steps)) for search in begun]
            if not pending:
                return
            following = []
            for (search, _), answers in zip(pending, self._asked(pending, journal), strict=True):
                try:
                    following.append((search, search.steps.send(answers)))
                except StopIteration as end:
                    search.known.clear()
                    yield search, end.value
            pending = following

    def _asked(
        self, pending: list[tuple[Search[Outcome], Sequence[str]]], journal: Journal | None
    ) -> list[Answers]:
        """Answer the proposals of some searches, as far as their budgets go."""
        fresh = [search.unknown(candidates) for search, candidates in pending]
        self._answer([search for search, _ in pending], fresh, journal)
        charged = [
            search.charge(candidates, len(new), self.n_classes)
            for (search, candidates), new in zip(pending, fresh, strict=True)
        ]
        return self._with_slopes(pending, charged)

    def _with_slopes(
        self,
        pending: list[tuple[Search[Outcome], Sequence[str]]],
        charged: list[Answers],
    ) -> list[Answers]:
        """Add slopes to the answers of those who asked for them, and count the gradients."""
        if not any(isinstance(candidates, WithSlopes) for _, candidates in pending):
            return charged
        asked = [
            list(candidates[: len(answers)]) if isinstance(candidates, WithSlopes) else None
            for (_, candidates), answers in zip(pending, charged, strict=True)
        ]
        questions = [
            (text, search.label)
            for (search, _), texts in zip(pending, asked, strict=True)
            for text in texts or ()
        ]
        slopes = iter(self.slopes([t for t, _ in questions], [label for _, label in questions]))
        added = []
        for (search, _), texts, answers in zip(pending, asked, charged, strict=True):
            if texts is None:
                added.append(answers)
                continue
            search.n_gradients += len(set(texts))
            added.append(replace(answers, slopes=tuple(next(slopes) for _ in texts)))
        return added

    def _answer(
        self,
        searches: list[Search[Outcome]],
        fresh: list[list[str]],
        journal: Journal | None,
    ) -> None:
        """Put the logits of fresh candidates where their searches find them."""
        recalled = [
            journal.recall(search.key, strings) if journal else {}
            for search, strings in zip(searches, fresh, strict=True)
        ]
        wanted = {
            string: search.original
            for search, strings, old in zip(searches, fresh, recalled, strict=True)
            for string in strings
            if string not in old
        }

        def name(string: str) -> str:
            search = next(s for s, asked in zip(searches, fresh, strict=True) if string in asked)
            return search.identity or search.key

        new = dict(zip(wanted, self._forward(wanted, name), strict=True))
        if self._classifier is not self._exact:
            new |= self._confirmed(searches, fresh, new, name)
        for search, strings, old in zip(searches, fresh, recalled, strict=True):
            computed = {string: new[string] for string in strings if string not in old}
            search.known.update(old)
            search.known.update(computed)
            if journal:
                journal.note(search.key, computed)
        if journal:
            journal.save_in_time()

    def _confirmed(
        self,
        searches: list[Search[Outcome]],
        fresh: list[list[str]],
        new: dict[str, Logits],
        name: Callable[[str], str],
    ) -> dict[str, Logits]:
        """Ask about flips again, in fp32.

        A search stops and prunes at flips, so it would end with those that bf16's rounding
        made: they would not survive rescoring, and count as withstood.
        """
        flips: dict[str, str | None] = {}
        for search, strings in zip(searches, fresh, strict=True):
            asked = [string for string in strings if string in new]
            if asked:
                logits = np.array([new[string] for string in asked])
                found = margins(logits, np.full(len(asked), search.label)) < 0
                flips |= {s: search.original for s, f in zip(asked, found, strict=True) if f}
        return dict(zip(flips, self._forward(flips, name, self._exact), strict=True))

    @torch.inference_mode()
    def _forward(
        self,
        originals: Mapping[str, str | None],
        name: Callable[[str], str],
        classifier: Classifier | None = None,
    ) -> Logits:
        """Compute logits of distinct sequences, in an order of their own.

        Each may be given with an original that it is a mutant of. `name` says in an error what
        a sequence is called.
        """
        classifier = classifier or self._classifier
        sequences = list(originals)
        answered = np.empty((len(sequences), self.n_classes), dtype=np.float32)
        # Sorted, so that equal sets make equal batches whatever order they came in.
        order = sorted(range(len(sequences)), key=sequences.__getitem__)
        for start in range(0, len(order), _CHUNK):
            chunk = np.array(order[start : start + _CHUNK])
            texts = [sequences[i] for i in chunk]
            tokens = self._encode(texts, [originals[text] for text in texts])
            for rows in batches(tokens.lengths, self.batch_size):
                input_ids, mask = tokens.padded(rows, self._tokenizer.pad_id)
                logits = classifier(
                    torch.from_numpy(input_ids).to(self.device),
                    torch.from_numpy(mask).to(self.device),
                )
                answered[chunk[rows]] = logits.cpu().numpy()
        check_finite(answered, self._file, lambda row: name(sequences[row]))
        return answered
