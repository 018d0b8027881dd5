"""Simulate human promoters and genomic background, for work without a download.

The model
---------
**Composition.** Every sequence is drawn from a first-order Markov chain whose transition
matrix follows a composition level c in [0, 1] that may change along the sequence: c = 0 is
AT-rich genome, c = 1 the core of a CpG island. GC content rises with it from 0.35 to 0.68. The
ratios of observed to expected dinucleotides (Burge, Campbell & Karlin 1992, Proc. Natl.
Acad. Sci. USA 89, 1358-1362) are those of the human genome hg19, averaged over both strands,
except that the ratio of CpG rises from the genome's 0.24 to 0.90: CpG islands have GC above
0.5 and a CpG ratio above 0.6 (Gardiner-Garden & Frommer 1987, J. Mol. Biol. 196, 261-282).

**Background** (label 0) has one level along the whole sequence, drawn anew for each, as
isochores differ; a small share are pieces of CpG islands away from any promoter.

**Promoters** (label 1): 72 % are CpG-rich (Saxonov, Berg & Brutlag 2006, Proc. Natl. Acad.
Sci. USA 103, 1412-1417). Their level rises from the local background to an island around the
transcription start site (TSS), with a graded, asymmetric profile of random height and width.
The other 28 % rise less than half as high.

**Core-promoter elements** are drawn from position frequency matrices and written over the
sequence at their usual places (position +1 is the TSS, there is no position 0):

=============  ==================  ==========================  ===========================
element        consensus           first base at               strand
=============  ==================  ==========================  ===========================
TATA box       counts of Bucher    -33 to -28                  forward
BRE            SSRCGCC             ends where TATA begins      forward
initiator      YYANWYY             -2 (its A is +1)            forward
DPE            RGWYV               +28, without a TATA box     forward
GC box         RGGGGCGGGGC         -110 to -40, up to three    both
CCAAT box      YRRCCAATSR          -110 to -60                 both
=============  ==================  ==========================  ===========================

TATA: Bucher 1990, J. Mol. Biol. 212, 563-578 (389 promoters). BRE: Lagrange et al. 1998,
Genes Dev. 12, 34-44. Initiator: Javahery et al. 1994, Mol. Cell. Biol. 14, 116-127. DPE: Burke
& Kadonaga 1997, Genes Dev. 11, 3020-3031. GC box: as searched by Suzuki et al. (below).
CCAAT: Mantovani 1998, Nucleic Acids Res. 26, 1135-1143. Where only a consensus is published,
each of its positions holds with probability 0.9. How often an element is planted follows counts
in human promoters: TATA 24 %, initiator 46 % (Yang et al. 2007, Gene 389, 52-65); GC box 97 %,
CCAAT box 64 %, TATA 32 %, initiator 85 % at looser thresholds (Suzuki et al. 2001, Genome Res.
11, 677-684). GC and CCAAT boxes are planted less often, as chance adds matches to them.

**Difficulty.** Single levels overlap between the classes and no element is certain, so no
classifier reaches 1. `strength` scales the islands' height and the rates of all elements: at 0
the classes are equal, at the default 1 a logistic regression on k-mers is right in about nine
of ten cases.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pandas as pd

from genosiege import files, runtime
from genosiege.errors import InputError

log = logging.getLogger(__name__)

BASES = "ACGT"

# Dinucleotides of hg19 in percent, counted over the whole genome; rows: first base.
_HG19 = np.array(
    [
        [9.777, 5.034, 6.992, 7.727],
        [7.253, 5.208, 0.985, 6.996],
        [5.933, 4.265, 5.211, 5.045],
        [6.567, 5.935, 7.266, 9.805],
    ]
)
_GC = (0.35, 0.68)
_ISLAND_CPG_RATIO = 0.90
_LEVELS = 41

_CPG_RICH = 0.72
_STRAY_ISLANDS = 0.04
# Height of a CpG-poor promoter's rise, relative to an island's.
_POOR_RISE = 0.45

_IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT",
    "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip

# Bucher's TATA box from its first T on; rows A, C, G, T.
_TATA_COUNTS = np.array(
    [
        [16, 352, 3, 354, 268, 360, 222, 155],
        [46, 0, 10, 0, 0, 3, 2, 44],
        [18, 2, 2, 5, 0, 20, 44, 157],
        [309, 35, 374, 30, 121, 6, 121, 33],
    ]
)


@dataclass(frozen=True)
class Design:
    """What can be set of every simulated task.

    Attributes
    ----------
    seed : int
        Equal seeds give equal sequences.
    n_train, n_dev, n_test : int
        Sequences of each split; half of them, rounded down, are promoters.
    length : int
        Length of every sequence in bp.
    tss_index : int
        0-based offset of the TSS (+1) in every promoter.
    """

    seed: int = 0
    n_train: int = 2000
    n_dev: int = 400
    n_test: int = 400
    length: int = 300
    tss_index: int = 249

    def __post_init__(self) -> None:
        for split in ("train", "dev", "test"):
            self._require(f"n_{split}", self.rows(split) >= 2, "an integer of at least 2")
        self._require("length", self.length >= 1, "a positive number of bp")
        self._require(
            "tss_index", 0 <= self.tss_index < self.length, "an offset from 0 to length - 1"
        )

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise InputError(f"source simulate, {name} {getattr(self, name)}: this must be {what}.")

    def rows(self, split: str) -> int:
        """Return the number of sequences of a split."""
        return int(getattr(self, f"n_{split}"))

    @classmethod
    def from_source(cls, source: Mapping[str, Any]) -> Self:
        """Read the parameters from a source entry of kind `simulate`.

        Raises
        ------
        InputError
            If a parameter does not exist or has an impossible value.
        """
        given = {key: value for key, value in source.items() if key not in ("kind", "generator")}
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise InputError(
                    f"source simulate, {name}: there is no such parameter; choose from "
                    f"{', '.join(known)}."
                )
        return cls(**given)


@dataclass(frozen=True)
class Parameters(Design):
    """What can be set of these promoters: a `Design`, and how clear they are.

    Attributes
    ----------
    strength : float
        How clearly promoters differ from background, in [0, 1.5].
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("strength", 0 <= self.strength <= 1.5, "a number from 0 to 1.5")


@dataclass(frozen=True)
class Element:
    """A core-promoter element.

    Attributes
    ----------
    frequencies : numpy.ndarray
        Probability of A, C, G, T (columns) at each position (rows).
    first, last : int
        Offsets from the TSS between which its first base lies, both included.
    both_strands : bool
        Whether it is written as its reverse complement in half of the cases.
    """

    frequencies: np.ndarray
    first: int
    last: int
    both_strands: bool = False


def consensus(pattern: str, fidelity: float = 0.9) -> np.ndarray:
    """Make a frequency matrix of an IUPAC consensus.

    Parameters
    ----------
    pattern : str
        IUPAC codes.
    fidelity : float
        Probability that a position holds one of its code's bases.

    Returns
    -------
    numpy.ndarray
        Shape (len(pattern), 4), rows sum to 1; a code's bases are equally likely.
    """
    rows = []
    for code in pattern:
        inside = np.array([base in _IUPAC[code] for base in BASES])
        others = max(int((~inside).sum()), 1)
        row = np.where(inside, fidelity / inside.sum(), (1 - fidelity) / others)
        rows.append(row / row.sum())
    return np.array(rows)


TATA = Element((_TATA_COUNTS / _TATA_COUNTS.sum(axis=0)).T, -33, -28)
_BRE = Element(consensus("SSRCGCC"), 0, 0)  # placed by its TATA box
INITIATOR = Element(consensus("YYANWYY"), -2, -2)
_DPE = Element(consensus("RGWYV"), 27, 27)
GC_BOX = Element(consensus("RGGGGCGGGGC"), -110, -40, both_strands=True)
CCAAT = Element(consensus("YRRCCAATSR"), -110, -60, both_strands=True)


parameters = Parameters.from_source


def write(settings: Parameters, split: str, path: str | os.PathLike[str]) -> None:
    """Simulate one split and write it as CSV with the columns sequence and label.

    Parameters
    ----------
    settings : Parameters
        What to simulate.
    split : {"train", "dev", "test"}
        Each split has a random stream of its own.
    path : path-like
        The file to be made.
    """
    table = simulate(
        settings, settings.rows(split), runtime.stream(settings.seed, split, "simulate")
    )
    with files.whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    log.info("%s: %d simulated sequences, seed %d", path, len(table), settings.seed)


def simulate(settings: Parameters, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw promoters and background in random order.

    Parameters
    ----------
    settings : Parameters
        Length, TSS and strength.
    n : int
        Number of sequences; n // 2 are promoters.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    pandas.DataFrame
        Columns sequence and label (1: promoter).
    """
    labels = rng.permutation(np.arange(n) < n // 2).astype(np.int64)
    promoters = np.flatnonzero(labels)
    rich = rng.random(len(promoters)) < _CPG_RICH
    level = _background_levels(n, rng)[:, None] + np.zeros(settings.length)
    height = rng.beta(9.0, 2.0, size=len(promoters)) * np.where(rich, 1, _POOR_RISE)
    rise = np.minimum(settings.strength * height[:, None], 1) * _profile(
        len(promoters), settings, rng
    )
    # A rise takes a share of what is left up to 1, so that levels stay in range.
    level[promoters] += rise * (1 - level[promoters])
    bases = _chain(level, rng)
    bases[promoters] = _with_elements(bases[promoters], rich, settings, rng)
    letters = np.frombuffer(BASES.encode(), dtype=np.uint8)[bases]
    sequences = [row.tobytes().decode() for row in letters]
    return pd.DataFrame({"sequence": sequences, "label": labels})


def transition_matrices(levels: np.ndarray) -> np.ndarray:
    """Make the Markov chain's matrices for some composition levels.

    Parameters
    ----------
    levels : numpy.ndarray
        Composition levels in [0, 1], shape (k,).

    Returns
    -------
    numpy.ndarray
        Shape (k, 4, 4): probability of the next base (last axis) after each base.
    """
    counts = _HG19 + _HG19[::-1, ::-1].T  # both strands
    joint = counts / counts.sum()
    single = joint.sum(axis=1)
    ratios = np.repeat((joint / np.outer(single, single))[None], len(levels), axis=0)
    genome = ratios[0, 1, 2]
    ratios[:, 1, 2] = genome + levels * (_ISLAND_CPG_RATIO - genome)
    gc = _GC[0] + levels * (_GC[1] - _GC[0])
    single = np.stack([(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2], axis=1)
    joint = ratios * single[:, :, None] * single[:, None, :]
    # Alternate scaling gives back the base composition that the changed ratios disturb.
    for _ in range(50):
        joint *= (single / joint.sum(axis=2))[:, :, None]
        joint *= (single / joint.sum(axis=1))[:, None, :]
    matrices: np.ndarray = joint / joint.sum(axis=2, keepdims=True)
    return matrices


def _background_levels(n: int, rng: np.random.Generator) -> np.ndarray:
    levels = rng.beta(1.5, 9.0, size=n)
    stray = rng.random(n) < _STRAY_ISLANDS
    levels[stray] = rng.beta(6.0, 4.0, size=int(stray.sum()))
    return levels


def _profile(n: int, settings: Parameters, rng: np.random.Generator) -> np.ndarray:
    """Draw graded profiles with peak 1, shape (n, length); they fall faster downstream."""
    centre = settings.tss_index + rng.normal(-40, 30, size=n)
    upstream, downstream = rng.uniform(100, 300, size=n), rng.uniform(60, 200, size=n)
    distance = np.arange(settings.length)[None, :] - centre[:, None]
    width = np.where(distance < 0, upstream[:, None], downstream[:, None])
    profile: np.ndarray = np.exp(-0.5 * (distance / width) ** 2)
    return profile


def _chain(level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one base per level, as codes 0 to 3 of the same shape."""
    grid = np.linspace(0, 1, _LEVELS)
    gc = _GC[0] + grid * (_GC[1] - _GC[0])
    first = np.cumsum(np.stack([(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2], axis=1), axis=1)
    cumulative = np.cumsum(transition_matrices(grid), axis=2)
    at = np.rint(level * (_LEVELS - 1)).astype(np.intp)
    draw = rng.random(level.shape)
    bases = np.empty(level.shape, dtype=np.intp)
    for position in range(level.shape[1]):
        if position == 0:
            bounds = first[at[:, 0]]
        else:
            bounds = cumulative[at[:, position], bases[:, position - 1]]
        # The last bound is 1 up to rounding, so it is not compared.
        bases[:, position] = (draw[:, position, None] >= bounds[:, :3]).sum(axis=1)
    return bases


def _with_elements(
    bases: np.ndarray, rich: np.ndarray, settings: Parameters, rng: np.random.Generator
) -> np.ndarray:
    """Write core-promoter elements over promoters; `rich` says which are CpG-rich."""
    n = len(bases)

    def chosen(rate: float | np.ndarray) -> np.ndarray:
        return np.flatnonzero(rng.random(n) < np.minimum(settings.strength * rate, 1))

    bases = bases.copy()
    for rate in (0.60, 0.30, 0.10):
        _plant(bases, chosen(np.where(rich, rate, 0.6 * rate)), GC_BOX, settings, rng)
    _plant(bases, chosen(0.40), CCAAT, settings, rng)
    # CpG-poor promoters carry most TATA boxes.
    tata = chosen(np.where(rich, 0.12, 0.60))
    begins = _plant(bases, tata, TATA, settings, rng)
    bre = rng.random(len(tata)) < 0.3
    size = len(_BRE.frequencies)
    _write(bases, tata[bre], begins[bre] - size, _BRE.frequencies, rng)
    initiator = chosen(np.where(rich, 0.50, 0.75))
    _plant(bases, initiator, INITIATOR, settings, rng)
    without_tata = np.setdiff1d(initiator, tata)
    dpe = without_tata[rng.random(len(without_tata)) < 0.4]
    _plant(bases, dpe, _DPE, settings, rng)
    return bases


def _plant(
    bases: np.ndarray,
    rows: np.ndarray,
    element: Element,
    settings: Parameters,
    rng: np.random.Generator,
) -> np.ndarray:
    """Write one instance of an element into each of the rows; return where they begin."""
    offsets = rng.integers(element.first, element.last, size=len(rows), endpoint=True)
    begins: np.ndarray = settings.tss_index + offsets
    turned = (rng.random(len(rows)) < 0.5) & element.both_strands
    for turn in (False, True):
        # Codes count from A to T, so the complement of code b is 3 - b.
        frequencies = element.frequencies[::-1, ::-1] if turn else element.frequencies
        this = turned == turn
        _write(bases, rows[this], begins[this], frequencies, rng)
    return begins


def _write(
    bases: np.ndarray,
    rows: np.ndarray,
    begins: np.ndarray,
    frequencies: np.ndarray,
    rng: np.random.Generator,
) -> None:
    size = len(frequencies)
    draw = rng.random((len(rows), size))
    bounds = np.cumsum(frequencies, axis=1)[:, :3]
    instance = (draw[:, :, None] >= bounds[None]).sum(axis=2)
    # An element that would stick out of the sequence is left away.
    fits = (begins >= 0) & (begins + size <= bases.shape[1])
    columns = begins[fits, None] + np.arange(size)
    bases[rows[fits, None], columns] = instance[fits]
