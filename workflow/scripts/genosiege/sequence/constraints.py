"""What an adversary may look like: the biological rules an attack keeps or pays for.

Each rule is `hard` (a candidate that breaks it is never proposed), `soft` (it lowers the
plausibility, which the fitness rewards) or `off`. Edits are substitutions: a mapping from
0-based position to the new base.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from Bio.Data import CodonTable
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.sequence import motifs
from genosiege.sequence.draws import Draws
from genosiege.sequence.motifs import Motif, Site

Edits = Mapping[int, str]
BASES = "ACGT"
PLAUSIBLE = 0.8
"""A candidate of at least this plausibility is called plausible."""
TRANSVERSION_SCORE = 0.3
"""What a transversion scores where a transition scores 1, as in the published method."""

_TRANSITION = {"A": "G", "G": "A", "C": "T", "T": "C"}
_MODES = ("hard", "soft", "off")
# Edits of single sites whose effect is remembered, for each sequence under attack.
_MOST_REMEMBERED = 5_000


def transition(base: str) -> str:
    """Give the other purine of a purine, the other pyrimidine of a pyrimidine."""
    return _TRANSITION[base]


def is_transition(old: str, new: str) -> bool:
    """Whether a substitution stays among purines or among pyrimidines."""
    return _TRANSITION.get(old) == new


class Description(NamedTuple):
    """The biology of an edit set, as an attack row reports it, whatever rules are on."""

    gc_shift: float
    n_transitions: int
    n_transversions: int
    motifs_lost: int
    stop_codons_created: int
    plausibility: float


@dataclass(frozen=True)
class Constraints:
    """The rules of a run, for sequences of one task.

    Attributes
    ----------
    gc_shift, motifs, transitions, stop_codons, edit_mask : str
        Mode of each rule: `hard`, `soft` or `off`.
    gc_limit : float
        Largest change of the share of G and C among all bases.
    motif_list : tuple of Motif
        What is looked for in each original.
    transition_weight : float
        Probability that a proposed substitution is a transition (where the rule is on).
    frames : tuple of int
        Reading frames, as offsets of the first codon.
    stop_codon_set : frozenset of str
        Stop codons of the genetic code in use.
    editable : tuple of (int, int) or None
        Half-open intervals that may be edited; None for everywhere.
    tss_index : int or None
        0-based position of the transcription start site.
    """

    gc_shift: str = "off"
    motifs: str = "off"
    transitions: str = "off"
    stop_codons: str = "off"
    edit_mask: str = "off"
    gc_limit: float = 0.05
    motif_list: tuple[Motif, ...] = ()
    transition_weight: float = 0.7
    frames: tuple[int, ...] = ()
    stop_codon_set: frozenset[str] = frozenset({"TAA", "TAG", "TGA"})
    editable: tuple[tuple[int, int], ...] | None = None
    tss_index: int | None = None

    @classmethod
    def from_config(
        cls, section: Mapping[str, Mapping[str, Any]], tss_index: int | None = None
    ) -> "Constraints":
        """Read the section `constraints` of a configuration.

        Raises
        ------
        InputError
            If a mode, a motif, a genetic code or an interval is unknown or out of range.
        """
        # YAML reads a bare `off` as false.
        modes = {rule: options.get("mode") or "off" for rule, options in section.items()}
        for rule, mode in modes.items():
            if mode not in _MODES:
                raise InputError(f'constraints/{rule}/mode "{mode}": choose hard, soft or off.')
        chosen = section.get("motifs", {})
        table = int(section.get("stop_codons", {}).get("table", 1))
        if table not in CodonTable.unambiguous_dna_by_id:
            raise InputError(f"constraints/stop_codons/table {table}: NCBI has no such code.")
        editable = section.get("edit_mask", {}).get("editable")
        if any(not 0 <= start < end for start, end in editable or ()):
            raise InputError("constraints/edit_mask/editable: give intervals with start < end.")
        matrices = [
            motif
            for path in chosen.get("jaspar", ())
            for motif in motifs.jaspar_motifs(path, float(chosen.get("threshold", 0.85)))
        ]
        return cls(
            **modes,
            gc_limit=float(section.get("gc_shift", {}).get("limit", 0.05)),
            motif_list=(*motifs.known_motifs(chosen.get("known", ())), *matrices),
            transition_weight=float(section.get("transitions", {}).get("weight", 0.7)),
            frames=tuple(section.get("stop_codons", {}).get("frames", ())),
            stop_codon_set=frozenset(CodonTable.unambiguous_dna_by_id[table].stop_codons),
            editable=None if editable is None else tuple((int(a), int(b)) for a, b in editable),
            tss_index=tss_index,
        )

    def bind(self, original: str) -> "Bound":
        """Apply the rules to one sequence."""
        return Bound(self, original)


Found = TypeVar("Found")


class _Remembered(dict[tuple[int, str], Found]):
    """What each edit (position, base) does, found out when it is first asked for.

    A search proposes the same edits again and again.
    """

    def __init__(self, find: Callable[[int, str], Found]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, edit: tuple[int, str]) -> Found:
        found = self[edit] = self._find(*edit)
        return found

    def of(self, edits: Edits) -> Iterator[Found]:
        """Give what each edit of a set does."""
        return map(self.__getitem__, edits.items())


@dataclass
class Bound:
    """The rules applied to one original sequence.

    Parameters
    ----------
    rules : Constraints
        The rules of the run.
    original : str
        ACGTN, upper case.
    """

    rules: Constraints
    original: str
    positions: NDArray[np.int64] = field(init=False)
    sites: list[Site] = field(init=False)

    def __post_init__(self) -> None:
        editable = np.array([base in BASES for base in self.original], dtype=bool)
        mask = self.rules.editable
        if self.rules.edit_mask == "hard" and mask is not None:
            inside = np.zeros(len(editable), dtype=bool)
            for start, end in mask:
                inside[start:end] = True
            editable &= inside
        #: Positions that may be edited; N never.
        self.positions = np.flatnonzero(editable)
        self.sites = motifs.find_sites(self.original, self.rules.motif_list, self.rules.tss_index)
        self._sites_at: dict[int, list[int]] = {}
        for index, site in enumerate(self.sites):
            for position in site.positions:
                self._sites_at.setdefault(position, []).append(index)
        self._kept: dict[tuple[int, frozenset[tuple[int, str]]], bool] = {}
        self._is_edit = _Remembered(self._changes_a_base)
        self._gc_gained = _Remembered(lambda p, b: (b in "GC") - (self.original[p] in "GC"))
        self._transits = _Remembered(lambda p, b: is_transition(self.original[p], b))
        self._transition_weight = (
            1 / 3 if self.rules.transitions == "off" else self.rules.transition_weight
        )
        rules = [rule for rule in self._scores if getattr(self.rules, rule) != "off"]
        # A rule that binds nothing must not lift the mean of the others: stop codons without
        # frames, and a mask, unless it is a soft one (a hard one only says what is proposed).
        vacuous = set() if self.rules.frames else {"stop_codons"}
        if mask is None or self.rules.edit_mask == "hard":
            vacuous.add("edit_mask")
        self._on = [rule for rule in rules if rule not in vacuous]
        self._hard = [rule for rule in rules if getattr(self.rules, rule) == "hard"]

    def substitutions(self) -> list[tuple[int, str]]:
        """List (position, new base) of all substitutions, by position, then by base.

        Three for each editable position, whether or not a hard rule allows them.
        """
        return [
            (int(position), base)
            for position in self.positions
            for base in BASES
            if base != self.original[position]
        ]

    def propose_base(self, position: int, draws: Draws) -> str:
        """Draw a new base for a position: a transition with the configured probability.

        With the rule off the three other bases are equally likely. With the rule hard it
        is always the transition.
        """
        old = self.original[position]
        weight = 1.0 if self.rules.transitions == "hard" else self._transition_weight
        draw = draws.random()
        if draw < weight:
            return _TRANSITION[old]
        others = [base for base in BASES if base not in (old, _TRANSITION[old])]
        return others[draw > (1 + weight) / 2]

    def allows(self, edits: Edits) -> bool:
        """Whether an edit set changes only what may change and breaks no hard rule."""
        return all(self._is_edit.of(edits)) and all(
            self._scores[rule](self, edits) >= 1 for rule in self._hard
        )

    def plausibility(self, edits: Edits) -> float:
        """Mean score, in [0, 1], of the rules that are on; 1 if none is."""
        if not self._on:
            return 1.0
        return sum([self._scores[rule](self, edits) for rule in self._on]) / len(self._on)

    def describe(self, edits: Edits) -> Description:
        """Report the biology of an edit set."""
        n_transitions = sum(self._transits.of(edits))
        return Description(
            gc_shift=self._gc_change(edits) / max(1, len(self.original)),
            n_transitions=n_transitions,
            n_transversions=len(edits) - n_transitions,
            motifs_lost=self._motifs_lost(edits),
            stop_codons_created=self._stop_codons_created(edits),
            plausibility=self.plausibility(edits),
        )

    def _changes_a_base(self, position: int, base: str) -> bool:
        old = self.original[position]
        return old != base and old in BASES and base in BASES

    def _gc_change(self, edits: Edits) -> int:
        return sum(self._gc_gained.of(edits))

    def _motifs_lost(self, edits: Edits) -> int:
        touched: dict[int, dict[int, str]] = {}
        for position in self._sites_at.keys() & edits.keys():
            for index in self._sites_at[position]:
                touched.setdefault(index, {})[position] = edits[position]
        return sum([not self._keeps(index, changed) for index, changed in touched.items()])

    def _keeps(self, index: int, edits: Edits) -> bool:
        """Whether a site is still there after edits of its own bases."""
        key = index, frozenset(edits.items())
        if key not in self._kept:
            # Hundreds of matrices make a hundred thousand of these in one search.
            if len(self._kept) >= _MOST_REMEMBERED:
                self._kept.clear()
            self._kept[key] = self.sites[index].kept(self.original, edits)
        return self._kept[key]

    def _stop_codons_created(self, edits: Edits) -> int:
        created = 0
        for frame in self.rules.frames:
            starts = {p - (p - frame) % 3 for p in edits if p >= frame}
            for start in starts:
                old = self.original[start : start + 3]
                new = "".join(edits.get(start + i, base) for i, base in enumerate(old))
                stops = self.rules.stop_codon_set
                created += new in stops and old not in stops
        return created

    def _gc_score(self, edits: Edits) -> float:
        shift = abs(self._gc_change(edits)) / max(1, len(self.original))
        if shift <= self.rules.gc_limit + 1e-12:
            return 1.0
        # From 1 at the limit linearly to 0 at twice the limit.
        return max(0.0, 2.0 - shift / self.rules.gc_limit) if self.rules.gc_limit else 0.0

    def _motif_score(self, edits: Edits) -> float:
        return 1.0 - self._motifs_lost(edits) / len(self.sites) if self.sites else 1.0

    def _transition_score(self, edits: Edits) -> float:
        if not edits:
            return 1.0
        share = sum(self._transits.of(edits)) / len(edits)
        return share + (1 - share) * TRANSVERSION_SCORE

    def _stop_codon_score(self, edits: Edits) -> float:
        return 0.0 if self._stop_codons_created(edits) else 1.0

    def _mask_score(self, edits: Edits) -> float:
        mask = self.rules.editable
        if mask is None or not edits:
            return 1.0
        inside = [any(start <= p < end for start, end in mask) for p in edits]
        return sum(inside) / len(inside)

    _scores: ClassVar[dict[str, Callable[..., float]]] = {
        "gc_shift": _gc_score,
        "motifs": _motif_score,
        "transitions": _transition_score,
        "stop_codons": _stop_codon_score,
        "edit_mask": _mask_score,
    }
