"""Do spectra of attacked samples look like those of natural errors? Draws, and the nulls.

All groups that are compared have the same number of samples of each class, in the same order of
classes, and no sample in common; a sample's own attacked version stands in none of the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.detection import spectral
from genosiege.detection.spectral import Reference, Spectra, Windowed
from genosiege.expression.judging import Values

View = tuple[str, str]
"""What is compared: `signal` or `image`, and `power` or `log_power`."""
Rows = NDArray[np.intp]
Draw = Mapping[str, Rows]
"""Rows of each group: of the attacked those in `Pools.moved`, of the others in `Pools.values`."""

SIGNAL, IMAGE = "signal", "image"
SCALES = ("power", "log_power")

REFERENCE, NATURAL, ERROR, ATTACKED = "reference", "natural", "natural_error", "attacked"
COMPARISONS = {
    "natural": (REFERENCE, NATURAL),
    "natural_error": (REFERENCE, ERROR),
    "attacked": (REFERENCE, ATTACKED),
    "attacked_error": (ERROR, ATTACKED),
}
"""Which group is compared to which; the first one's range is the `data_range` of SSIM."""

LEAST_SAMPLES = 2
"""Samples of a group, below which nothing is compared."""

# Fewer ways to tell two groups apart than this leave no p-value of 0.05, of two sides.
_LEAST_WAYS = 40
# Values of permuted groups that are held at once (8 MB).
_CELLS = 1_000_000
# Statistics that differ by less, relative to the observed one, are equal but for rounding.
_ROUNDING = 1e-9


def views(n: int, p: int) -> list[View]:
    """List the views in which n samples of p genes can be compared: the window must fit."""
    shapes = {SIGNAL: (n * p // 2,), IMAGE: (n, p // 2)}
    return [
        (view, scale) for view, shape in shapes.items() if spectral.window(shape)
        for scale in SCALES
    ]  # fmt: skip


def pictures(values: Values) -> dict[View, Spectra]:
    """Give the spectra of a group of samples in each view.

    Parameters
    ----------
    values : ndarray of float32, shape (n, p)
        Samples, one after the other, as they are joined to a signal.

    Returns
    -------
    dict of View to ndarray
        `signal`, the spectrum of all samples joined, (n · p // 2,); `image`, the spectrum of each
        sample, (n, p // 2).
    """
    rows = np.arange(len(values))[None]
    return {view: many[0] for view, many in _pictures(values, rows).items()}


def published(natural: Values, attacked: Values) -> dict[View, float]:
    """Compare samples with the same samples attacked, each where it stood, as published.

    Parameters
    ----------
    natural, attacked : ndarray of float32, shape (n, p)
        Samples and their attacked versions.

    Returns
    -------
    dict of View to float
        SSIM in the views that fit. It is high for any attack that changes a sample little, as each
        is compared with itself.
    """
    first, second = pictures(natural), pictures(attacked)
    return {view: spectral.similarity(first[view], second[view]) for view in views(*natural.shape)}


def compared(groups: Mapping[str, Values]) -> dict[tuple[View, str], float]:
    """Compare the groups that there are.

    Parameters
    ----------
    groups : mapping of str to ndarray of float32, shape (m, p)
        Of `reference`, `natural`, `natural_error`, `attacked`.

    Returns
    -------
    dict of (View, comparison) to float
        SSIM of each of `COMPARISONS` whose groups are both there, in the views that fit.
    """
    shape = next(iter(groups.values())).shape
    shown = {name: pictures(values) for name, values in groups.items()}
    found: dict[tuple[View, str], float] = {}
    for view in views(*shape):
        references: dict[str, Reference] = {}
        for comparison, (first, second) in COMPARISONS.items():
            if first in shown and second in shown:
                if first not in references:
                    references[first] = Reference(shown[first][view])
                similar = references[first].similarity(shown[second][view][None])
                found[view, comparison] = float(similar[0])
    return found


class Sizes(NamedTuple):
    """What is drawn: samples of class 0 and 1 in each group, and which groups there are."""

    counts: tuple[int, int]
    errors: bool
    attacked: bool

    @property
    def total(self) -> int:
        """Samples of a group."""
        return sum(self.counts)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Classes of a group's samples, in their order."""
        return np.repeat([0, 1], self.counts)


@dataclass(frozen=True, eq=False)
class Pools:
    """What is drawn from.

    Attributes
    ----------
    values : ndarray of float32, shape (h, p)
        Natural held-out samples.
    labels : ndarray of int64, shape (h,)
        Their classes.
    correct : ndarray of bool, shape (h,)
        Whether the model is right.
    moved : ndarray of float32, shape (s, p)
        Attacked versions of some of them.
    origin : ndarray of int, shape (s,)
        The row of `values` that each was made from.
    flipped : ndarray of bool, shape (s,)
        Whether the model was right before the attack and is wrong after it.
    targets : ndarray of int, shape (s,)
        The number of what each was moved to. Samples moved most of the way to one and the same
        are nearly copies: a group has one for each target at most, as independent samples.
    """

    values: Values
    labels: NDArray[np.int64]
    correct: NDArray[np.bool_]
    moved: Values
    origin: Rows
    flipped: NDArray[np.bool_]
    targets: Rows

    def sizes(self, most: int) -> Sizes | None:
        """Find how many samples of each class all groups can have, at most `most` together.

        Returns
        -------
        Sizes or None
            In each class at most as many as there are natural errors, targets of flips, and
            correct samples for two groups beside the flipped ones' originals. Where the two
            kinds of wrong samples have no class with enough of both, natural errors are left out,
            then instead the attacked. None where not even two natural groups can be drawn.
        """
        for errors, attacked in ((True, True), (False, True), (True, False), (False, False)):
            limits = []
            for label in (0, 1):
                limit = [len(self._correct(label)) // (3 if attacked else 2)]
                limit += [len(self._errors(label))] if errors else []
                limit += [len(set(self.targets[self._flipped(label)]))] if attacked else []
                limits.append(min(limit))
            counts = _at_most(limits[0], limits[1], most)
            if sum(counts) >= LEAST_SAMPLES:
                return Sizes(counts, errors, attacked)
        return None

    def draw(self, sizes: Sizes, rng: np.random.Generator) -> Draw:
        """Draw all groups anew, without replacement, classes one after the other."""
        rows: dict[str, list[Rows]] = {}
        for label, m in enumerate(sizes.counts):
            free = self._correct(label)
            if sizes.attacked:
                flipped = self._of_different_targets(self._flipped(label), m, rng)
                rows.setdefault(ATTACKED, []).append(flipped)
                free = np.setdiff1d(free, self.origin[flipped])
            natural = rng.choice(free, 2 * m, replace=False)
            rows.setdefault(REFERENCE, []).append(natural[:m])
            rows.setdefault(NATURAL, []).append(natural[m:])
            if sizes.errors:
                errors = rng.choice(self._errors(label), m, replace=False)
                rows.setdefault(ERROR, []).append(errors)
        return {name: np.concatenate(parts) for name, parts in rows.items()}

    def references(self, sizes: Sizes, draw: Draw, n: int, rng: np.random.Generator) -> list[Rows]:
        """Draw n more references, with no original of the draw's attacked samples in them."""
        taken = self.origin[draw[ATTACKED]] if sizes.attacked else np.empty(0, dtype=np.intp)
        free = [np.setdiff1d(self._correct(label), taken) for label in (0, 1)]
        return [
            np.concatenate(
                [
                    rng.choice(rows, m, replace=False)
                    for rows, m in zip(free, sizes.counts, strict=True)
                ]
            )
            for _ in range(n)
        ]

    def groups(self, draw: Draw, order: Rows | None = None) -> dict[str, Values]:
        """Give the samples of a draw, the genes of all in this order if one is given."""
        found = {
            name: (self.moved if name == ATTACKED else self.values)[rows]
            for name, rows in draw.items()
        }
        return found if order is None else {name: v[:, order] for name, v in found.items()}

    def _of_different_targets(self, rows: Rows, m: int, rng: np.random.Generator) -> Rows:
        mixed = rng.permutation(rows)
        _, first = np.unique(self.targets[mixed], return_index=True)
        return rng.choice(mixed[first], m, replace=False)

    def _correct(self, label: int) -> Rows:
        return np.flatnonzero(self.correct & (self.labels == label))

    def _errors(self, label: int) -> Rows:
        return np.flatnonzero(~self.correct & (self.labels == label))

    def _flipped(self, label: int) -> Rows:
        return np.flatnonzero(self.flipped & (self.labels[self.origin] == label))


def _at_most(negatives: int, positives: int, most: int) -> tuple[int, int]:
    """Shrink two counts to a sum, in proportion, both kept while there is room."""
    total = negatives + positives
    if total <= most:
        return negatives, positives
    share = round(most * positives / total)
    if negatives and positives and most > 1:
        share = min(max(share, 1), most - 1)
    return most - share, share


def exchangeability(
    references: Sequence[Values],
    attacked: Values,
    errors: Values,
    labels: NDArray[np.int64],
    permutations: int,
    rng: np.random.Generator,
    asked: Sequence[View] | None = None,
) -> dict[View, float]:
    """Test whether attacked samples and natural errors are alike as natural samples see them.

    Parameters
    ----------
    references : sequence of ndarray of float32, shape (m, p)
        Groups of natural samples, the same in all permutations.
    attacked, errors : ndarray of float32, shape (m, p)
        The two groups, the classes of their samples in the order of `labels`.
    labels : ndarray of int64, shape (m,)
        Class of the sample at each place.
    permutations : int
        Random permutations, B.
    rng : numpy.random.Generator
        For them.
    asked : sequence of View, optional
        The views that are wanted; by default all that fit.

    Returns
    -------
    dict of View to float
        Two-sided p-values; nan where so few samples could show no difference at 0.05.

    Notes
    -----
    The statistic T is the mean over the references of SSIM(reference, attacked) −
    SSIM(reference, errors). Samples are permuted over the 2m places of both groups within their
    class, which leaves their joint distribution as it is if both groups are draws from one, so
    p = (1 + #{|T*| ≥ |T|}) / (B + 1) is exact (Phipson and Smyth 2010, Stat. Appl. Genet. Mol.
    Biol. 9, 39).
    """
    m, p = attacked.shape
    wanted = [view for view in views(m, p) if asked is None or view in asked]
    if prod(comb(2 * n, n) for n in np.bincount(labels).tolist()) < _LEAST_WAYS:
        return dict.fromkeys(wanted, float("nan"))
    pool = np.concatenate([attacked, errors])
    powers = spectral.row_spectra(pool)
    places = _permuted(np.tile(labels, 2), permutations, rng)
    shown = [pictures(values) for values in references]
    known = {view: [Reference(picture[view]) for picture in shown] for view in wanted}
    statistics: dict[View, list[Spectra]] = {view: [] for view in wanted}
    step = max(1, _CELLS // pool.size)
    for start in range(0, len(places), step):
        part = places[start : start + step]
        first, second = (_pictures(pool, rows, powers) for rows in (part[:, :m], part[:, m:]))
        for view in wanted:
            one, other = Windowed(first[view]), Windowed(second[view])
            differences = [r.similarity(one) - r.similarity(other) for r in known[view]]
            statistics[view].append(np.mean(differences, axis=0))
    return {view: _two_sided(np.abs(np.concatenate(found))) for view, found in statistics.items()}


def own_order(similarities: NDArray[np.float64]) -> float:
    """Give the p-value of the data's own order of genes among random ones.

    Parameters
    ----------
    similarities : ndarray of float64, shape (B + 1,)
        SSIM in the own order, then in the random ones.

    Returns
    -------
    float
        (1 + #{d* ≥ d}) / (B + 1) of the distances d from the mean of all of them: two-sided, and
        uniform where the own order is as random as the others.
    """
    return _two_sided(np.abs(similarities - similarities.mean()))


def _two_sided(sizes: NDArray[np.float64]) -> float:
    """Rank the first among all: the share that are as large."""
    return float((sizes >= sizes[0] * (1 - _ROUNDING)).mean())


def _permuted(classes: NDArray[np.int64], n: int, rng: np.random.Generator) -> Rows:
    """Permute places within classes, n times, after the places as they are; (n + 1, places)."""
    places = np.tile(np.arange(len(classes)), (n + 1, 1))
    for label in np.unique(classes):
        own = np.flatnonzero(classes == label)
        places[1:, own] = rng.permuted(places[1:, own], axis=1)
    return places


def _pictures(pool: Values, rows: Rows, powers: Spectra | None = None) -> dict[View, Spectra]:
    """Give what `pictures` does for b groups at once; rows (b, m) of a pool, and its spectra."""
    b, m = rows.shape
    joined = spectral.row_spectra(pool[rows].reshape(b, m * pool.shape[1]))
    single = (spectral.row_spectra(pool) if powers is None else powers)[rows]
    found: dict[View, Spectra] = {}
    for view, power in ((SIGNAL, joined), (IMAGE, single)):
        found |= {(view, "power"): power, (view, "log_power"): spectral.log_power(power)}
    return found
