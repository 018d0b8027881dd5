"""The variants attack: edits are known variants, of a population or of clinics, and no others."""

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genosiege.data.tables import Form
from genosiege.errors import InputError
from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Edits, Found, Steps, Target, check_sizes, known_variants
from genosiege.sequence.attacks.known_variants import Variant

log = logging.getLogger(__name__)

# Up to this many sets of variants are all asked about.
_MOST_LISTED = 2_000

Haplotype = tuple[Variant, ...]
"""Variants that one sequence can have together."""


@dataclass(frozen=True)
class Options:
    """Settings of the variants attack.

    Attributes
    ----------
    path : str
        List of the variants, see `known_variants.read`.
    max_edits : int
        Most substitutions; a variant of several bases counts as several.
    query_budget : int
        Most different sequences that the model is asked about.
    separator, encoding : str or None
        How the list is written, see `data.tables.Form`.
    """

    path: str
    max_edits: int = 10
    query_budget: int = 10_000
    separator: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        check_sizes("variants", self)
        if not self.path:
            raise InputError("attack variants, path: it is empty; name a VCF or a table.")

    def variants(self) -> Mapping[str, tuple[Variant, ...]]:
        """Read the list."""
        return known_variants.read(self.path, Form(self.separator, self.encoding))


def check(sequences: Mapping[str, str], options: Options) -> None:
    """Hold the list against a sample, those sequences included that are not attacked.

    Parameters
    ----------
    sequences : mapping of str to str
        All sequences of the sample by id.
    options : Options
        Settings.

    Raises
    ------
    InputError
        If a variant does not fit its sequence.
    """
    known = options.variants()
    for identity, sequence in sequences.items():
        for variant in known.get(identity, ()):
            variant.check(sequence)
    n_listed = sum(identity in known for identity in sequences)
    log.info("%s: variants of %d of %d sequences", options.path, n_listed, len(sequences))


def search(target: Target, options: Options, rng: np.random.Generator) -> Steps:
    """Try known variants of a sequence, singly, then together, until the prediction flips.

    Parameters
    ----------
    target : Target
        What is attacked; its `identity` says which variants are its own.
    options : Options
        Settings.
    rng : numpy.random.Generator
        Not used: nothing here is random.

    Yields
    ------
    list of str
        All candidates of one number of variants, each new, those of fewest edits first.

    Returns
    -------
    Found
        A flip of the smallest number of variants that was seen to flip, and among those one
        of fewest edits, then of lowest margin; else the candidate of lowest margin, with
        `exhausted` or `query_budget`. Without variants nothing is asked.

    Raises
    ------
    InputError
        If the list is wrong, or a variant does not fit the sequence.

    Notes
    -----
    Where all sets of variants within `max_edits` are few (2,000), all of them are asked
    about. Elsewhere pairs and larger sets are built by greedy extension: every further
    variant is added to the set of lowest margin. Variants whose positions overlap never come
    together, and a variant is taken or left as a whole, also in pruning.
    """
    variants = options.variants().get(target.identity, ())
    for variant in variants:
        variant.check(target.sequence)
    walk = _Walk(target, variants, options.max_edits)
    found = yield from walk.climb()
    return found


class _Walk:
    """Levels of haplotypes with one more variant each, up to the first flip."""

    def __init__(self, target: Target, variants: Sequence[Variant], max_edits: int) -> None:
        self._target = target
        self._variants = variants
        self._max_edits = max_edits
        # Different variants can make the same edits, such as AC>GT beside A>G and C>T.
        self._seen: set[frozenset[tuple[int, str]]] = set()

    def climb(self) -> Steps:
        """Ask about level after level."""
        best: Haplotype = ()
        lowest, reason = np.inf, "exhausted"
        levels = self._listed_levels()
        level = self._extended(()) if levels is None else next(levels, [])
        while level:
            answers = yield self._render(level)
            peak: Haplotype = ()
            if len(answers):
                chosen = _preferred(level, answers)
                peak, margin = level[chosen], answers.margins[chosen]
                if margin < lowest:
                    best, lowest = peak, margin
            if lowest < 0:
                reason = "success"
                break
            if answers.exhausted:
                reason = "query_budget"
                break
            level = self._extended(peak) if levels is None else next(levels, [])
        if lowest >= 0:
            return Found(_edits(best), len(_edits(best)), reason, False)
        kept, state = best, "complete" if len(best) > 1 else ""
        # Of the listed sets all smaller ones were asked about before: nothing can be left out.
        if levels is None:
            kept, state = yield from self._prune(best)
        return Found(_edits(kept), len(_edits(best)), reason, True, state)

    def _listed_levels(self) -> Iterator[list[Haplotype]] | None:
        """List all haplotypes by their number of variants; None where they are too many."""
        levels: list[list[Haplotype]] = []
        level: list[Haplotype] = [()]
        n_listed = 0
        while level:
            larger: list[Haplotype] = []
            for haplotype in level:
                # What is added stands behind the last variant, so that each set comes once.
                first = self._variants.index(haplotype[-1]) + 1 if haplotype else 0
                larger += self._grown(haplotype, self._variants[first:])
                if n_listed + len(larger) > _MOST_LISTED:
                    return None
            n_listed += len(larger)
            levels.append(larger)
            level = larger
        new = (self._new(level) for level in levels)
        return iter([level for level in new if level])

    def _extended(self, haplotype: Haplotype) -> list[Haplotype]:
        """Make the next level of a greedy search."""
        return self._new(self._grown(haplotype, self._variants))

    def _grown(self, haplotype: Haplotype, variants: Sequence[Variant]) -> list[Haplotype]:
        """Add each variant that fits in."""
        n_left = self._max_edits - len(_edits(haplotype))
        return [
            (*haplotype, variant)
            for variant in variants
            if len(variant.edits) <= n_left and not any(map(variant.overlaps, haplotype))
        ]

    def _prune(
        self, haplotype: Haplotype
    ) -> Generator[Sequence[str], Answers, tuple[Haplotype, str]]:
        """Leave out variants one by one while the flip holds, as `pruning.prune` does edits."""
        state = "complete" if len(haplotype) > 1 else ""
        while shorter := self._allowed(_shorter(haplotype)):
            answers = yield self._render(shorter)
            holds = len(answers) > 0 and answers.margins.min() < 0
            if holds:
                haplotype = shorter[_preferred(shorter, answers)]
            if answers.exhausted:
                state = "cut" if len(haplotype) > 1 else "complete"
            if answers.exhausted or not holds:
                break
        return haplotype, state

    def _allowed(self, haplotypes: Iterable[Haplotype]) -> list[Haplotype]:
        """Keep what obeys the hard rules."""
        return [h for h in haplotypes if self._target.rules.allows(_edits(h))]

    def _new(self, haplotypes: Iterable[Haplotype]) -> list[Haplotype]:
        """Keep what is allowed and was never proposed, fewest edits first."""
        new = []
        for haplotype in self._allowed(haplotypes):
            key = frozenset(_edits(haplotype).items())
            if key not in self._seen:
                self._seen.add(key)
                new.append(haplotype)
        return sorted(new, key=lambda haplotype: len(_edits(haplotype)))

    def _render(self, haplotypes: Sequence[Haplotype]) -> list[str]:
        return [self._target.render(_edits(haplotype)) for haplotype in haplotypes]


def _edits(haplotype: Haplotype) -> Edits:
    return {p: base for variant in haplotype for p, base in variant.edits.items()}


def _preferred(haplotypes: Sequence[Haplotype], answers: Answers) -> int:
    """Index of the flip of fewest edits, then lowest margin; without flips, of the margin."""
    margins = answers.margins
    return min(
        range(len(margins)),
        key=lambda i: (margins[i] >= 0, len(_edits(haplotypes[i])) * (margins[i] < 0), margins[i]),
    )


def _shorter(haplotype: Haplotype) -> Iterator[Haplotype]:
    if len(haplotype) > 1:
        for index in range(len(haplotype)):
            yield haplotype[:index] + haplotype[index + 1 :]
