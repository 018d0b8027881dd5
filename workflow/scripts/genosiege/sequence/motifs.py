"""Core-promoter motifs: where a sequence has them, and whether an edit breaks them.

Known motifs are IUPAC consensus patterns; matrices come as JASPAR files through Biopython.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from Bio import motifs as bio_motifs
from Bio.Data.IUPACData import ambiguous_dna_values
from Bio.Seq import reverse_complement
from numpy.typing import NDArray

from genosiege.errors import InputError

_BASES = "ACGT"


class Consensus(NamedTuple):
    """A known motif: its IUPAC pattern, where it may stand, and on which strands."""

    pattern: str
    start_from_tss: int | None = None
    both_strands: bool = False


KNOWN: Mapping[str, Consensus] = {
    "tata_box": Consensus("TATAWAWR"),
    # The third base of YYANWYY is the transcription start site itself.
    "initiator": Consensus("YYANWYY", start_from_tss=-2),
    "gc_box": Consensus("GGGCGG", both_strands=True),
    "ccaat_box": Consensus("CCAAT", both_strands=True),
    "bre": Consensus("SSRCGCC"),
    # From +28 to +32, where +1 is the transcription start site; the spacing is strict.
    "dpe": Consensus("RGWYV", start_from_tss=27),
}
"""Haberle & Stark (2018), Nat. Rev. Mol. Cell Biol. 19, 621–637, box 1 (TATA, Inr, BRE,
DPE); Kadonaga (2012), WIREs Dev. Biol. 1, 40–51 (spacing of Inr and DPE); Bucher (1990),
J. Mol. Biol. 212, 563–578 (GC and CCAAT box, found in both orientations)."""


@dataclass(frozen=True)
class Site:
    """A place where the original sequence has a motif.

    Attributes
    ----------
    name : str
        The motif.
    start : int
        0-based position of its first base.
    scores : ndarray, shape (length, 4)
        Score of A, C, G, T at each base of the site, in the strand of the sequence.
    threshold : float
        The motif is there as long as the bases' scores add up to this.
    """

    name: str
    start: int
    scores: NDArray[np.float64]
    threshold: float

    @property
    def positions(self) -> range:
        """The positions that the motif covers."""
        return range(self.start, self.start + len(self.scores))

    def kept(self, original: str, edits: Mapping[int, str]) -> bool:
        """Whether the motif is still there after some substitutions."""
        score = 0.0
        for row, position in zip(self.scores, self.positions, strict=True):
            base = _BASES.find(edits.get(position, original[position]))
            if base < 0:
                return False
            score += row[base]
        # The tolerance covers the order of summation only.
        return score >= self.threshold - 1e-9


class Motif(NamedTuple):
    """What is looked for in a sequence: a score matrix in one orientation."""

    name: str
    scores: NDArray[np.float64]
    threshold: float
    start_from_tss: int | None


def known_motifs(names: Sequence[str]) -> list[Motif]:
    """Give the built-in motifs of these names, one entry per orientation.

    Raises
    ------
    InputError
        If a name is unknown.
    """
    found = []
    for name in names:
        if name not in KNOWN:
            raise InputError(f'motif "{name}": choose among {", ".join(KNOWN)}.')
        motif = KNOWN[name]
        patterns = [motif.pattern]
        if motif.both_strands:
            patterns.append(reverse_complement(motif.pattern))  # type: ignore[no-untyped-call]
        for pattern in patterns:
            allowed = [[b in ambiguous_dna_values[code] for b in _BASES] for code in pattern]
            scores = np.array(allowed, dtype=np.float64)
            found.append(Motif(name, scores, float(len(pattern)), motif.start_from_tss))
    return found


@functools.cache
def jaspar_motifs(path: str, threshold: float) -> tuple[Motif, ...]:
    """Read the matrices of a JASPAR file as log-odds scores, both orientations.

    Parameters
    ----------
    path : str
        A file with one or more matrices in JASPAR format.
    threshold : float
        Share of a matrix's score range from which a place counts as a site, in (0, 1].

    Raises
    ------
    InputError
        If the file is missing or holds no matrix.
    """
    try:
        with Path(path).open() as handle:
            records = list(bio_motifs.parse(handle, "jaspar"))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise InputError(f"{path}: this motif file cannot be read; correct the path.") from error
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: this is not in JASPAR format; correct the file.") from error
    if not records:
        raise InputError(f"{path}: there is no matrix in it; give a file in JASPAR format.")
    found = []
    for record in records:
        # A quarter of a count per base keeps a base never seen from scoring minus infinity.
        log_odds = record.counts.normalize(pseudocounts=0.25).log_odds()
        forward = np.array([log_odds[base] for base in _BASES]).T
        lowest, highest = forward.min(axis=1).sum(), forward.max(axis=1).sum()
        needed = float(lowest + threshold * (highest - lowest))
        name = record.name or record.matrix_id
        backward = forward[::-1, ::-1]
        # A palindrome stands on both strands at once: it is one site, not two.
        palindrome = np.allclose(forward, backward)
        for scores in (forward,) if palindrome else (forward, backward):
            found.append(Motif(name, np.ascontiguousarray(scores), needed, None))
    return tuple(found)


def of_configuration(constraints: Mapping[str, Mapping[str, Any]]) -> list[Motif]:
    """Take every built-in motif, whichever the rules keep, and the matrices of a run.

    Parameters
    ----------
    constraints : mapping
        The section `constraints` of a configuration.
    """
    section = constraints.get("motifs", {})
    found = known_motifs(tuple(KNOWN))
    for path in section.get("jaspar", ()):
        found += jaspar_motifs(path, float(section.get("threshold", 0.85)))
    return found


def find_sites(sequence: str, motifs: Sequence[Motif], tss_index: int | None) -> list[Site]:
    """Find every place where a sequence has one of some motifs.

    Parameters
    ----------
    sequence : str
        ACGTN, upper case; N matches nothing.
    motifs : sequence of Motif
        From `known_motifs` and `jaspar_motifs`.
    tss_index : int or None
        0-based position of the transcription start site. Motifs with a fixed distance to
        it are left out where it is not known.

    Returns
    -------
    list of Site
        By motif, then by position.
    """
    codes = np.array([_BASES.find(base) for base in sequence])
    sites = []
    for motif in motifs:
        width = len(motif.scores)
        if motif.start_from_tss is not None:
            starts = [] if tss_index is None else [tss_index + motif.start_from_tss]
        else:
            starts = list(range(len(sequence) - width + 1))
        starts_array = np.array([s for s in starts if 0 <= s <= len(sequence) - width], dtype=int)
        windows = codes[starts_array[:, None] + np.arange(width)]
        scores = motif.scores[np.arange(width), windows].sum(axis=1)
        found = (scores >= motif.threshold - 1e-9) & (windows >= 0).all(axis=1)
        sites += [
            Site(motif.name, int(start), motif.scores, motif.threshold)
            for start in starts_array[found]
        ]
    return sites
