"""Divide samples into train, dev and test."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.data.tables import shown
from genosiege.errors import InputError

SPLITS = ("train", "dev", "test")
"""A division names each sample's split by its index in here."""

KINDS = ("random", "donor", "site", "folds")

_RESTARTS = 40
# Groups are placed one by one, so that many groups, which balance anyway, get fewer restarts.
_PLACEMENTS = 20_000
# A restart whose worst class is off by this share more than the best one's is as good: else
# every seed would get the one best division.
_AS_GOOD = 0.02


@dataclass(frozen=True)
class Splitting:
    """How samples are divided, named as in the configuration.

    Attributes
    ----------
    split : {"random", "donor", "site", "folds"}
        `random`: each class in the shares of `fractions`. `donor`, `site`: so, too, as near as
        can be, with no donor or site in two splits. `folds`: cross-validation, see `divide`.
    fractions : tuple of three float
        Shares of train, dev and test; each is above 0, and their sum is 1. Not used by `folds`.
    folds : int
        Number of folds, at least 3. Used by `folds` only.
    split_seed : int or None
        None: every run's seed divides anew (and all folds stem from seed 0). A number:
        all seeds share one division, or one set of folds.

    Raises
    ------
    InputError
        If a value is impossible.
    """

    split: str = "random"
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    folds: int = 5
    split_seed: int | None = None

    def __post_init__(self) -> None:
        if self.split not in KINDS:
            raise InputError(f"split {self.split!r}: choose from {', '.join(KINDS)}.")
        shares = self.fractions
        if (
            len(shares) != len(SPLITS)
            or not all(_is_number(share) and share > 0 for share in shares)
            or abs(sum(shares) - 1) > 1e-6
        ):
            raise InputError(
                f"fractions {list(shares)}: give three shares above 0, of train, dev and test, "
                "whose sum is 1."
            )
        if type(self.folds) is not int or self.folds < len(SPLITS):
            raise InputError(f"folds {self.folds!r}: give an integer of at least {len(SPLITS)}.")
        if self.split_seed is not None and (
            type(self.split_seed) is not int or self.split_seed < 0
        ):
            raise InputError(f"split_seed {self.split_seed!r}: give an integer ≥ 0, or null.")

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any]) -> "Splitting":
        """Take what a dataset's entry says about its division; it may say more."""
        given = {field.name: entry[field.name] for field in fields(cls) if field.name in entry}
        if "fractions" in given:
            if not isinstance(given["fractions"], list | tuple):
                raise InputError(f"fractions {given['fractions']!r}: give a list of three shares.")
            given["fractions"] = tuple(given["fractions"])
        return cls(**given)

    def drawn_by(self, seed: int) -> int:
        """Give the seed that draws the division: all seeds share the one of folds."""
        if self.split_seed is not None:
            return self.split_seed
        return 0 if self.split == "folds" else seed


def divide(
    labels: NDArray[np.int64],
    groups: NDArray[np.str_] | None,
    options: Splitting,
    seed: int,
    name: str = "dataset",
) -> NDArray[np.int64]:
    """Divide samples into train, dev and test.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        0 or 1.
    groups : ndarray of str, shape (n,), or None
        Donor or site of each sample, "" for unknown; only used by these splits.
    options : Splitting
        What to do.
    seed : int
        Seed of the run.
    name : str
        The dataset, for errors.

    Returns
    -------
    ndarray of int64, shape (n,)
        Index into `SPLITS`. Each split holds samples of both classes.

    Raises
    ------
    InputError
        If there is one class only, a class has fewer samples than there are folds, fewer than
        three groups have a class, or a split would lack a class.

    Notes
    -----
    `random` draws test from everything and dev from what is left, each by scikit-learn's
    `train_test_split(stratify=labels, random_state=seed)`, so that anybody can draw the same test
    split: test has ceil(n · fraction) samples. `folds` are scikit-learn's
    `StratifiedKFold(folds, shuffle=True, random_state=split_seed)`; seed s tests on fold
    s mod folds and has the next one for dev.
    """
    _check_classes(labels, name)
    if options.split == "folds":
        division = _by_fold(labels, options, seed, name)
    elif options.split == "random":
        division = _at_random(labels, options, options.drawn_by(seed), name)
    else:
        rng = runtime.stream(options.drawn_by(seed), name, f"split by {options.split}")
        division = _by_group(labels, _known(groups, options.split, name), options, rng, name)
    for index, split in enumerate(SPLITS):
        for label in (0, 1):
            if not np.any((division == index) & (labels == label)):
                raise InputError(
                    f"{name}: of {np.sum(labels == label)} samples with label {label}, none falls "
                    f"into {split}; enlarge its share in `fractions` or give more samples."
                )
    return division


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_classes(labels: NDArray[np.int64], name: str) -> None:
    present = np.unique(labels)
    if len(present) < 2:
        found = f"all samples have label {present[0]}" if len(present) else "there are no samples"
        raise InputError(f"{name}: {found}; give samples of both classes.")


def _at_random(
    labels: NDArray[np.int64], options: Splitting, seed: int, name: str
) -> NDArray[np.int64]:
    from sklearn.model_selection import train_test_split

    _, dev, test = options.fractions
    division = np.zeros(len(labels), dtype=np.int64)
    rows = np.arange(len(labels))
    try:
        rows, division_test = train_test_split(
            rows, test_size=test, stratify=labels, random_state=seed
        )
        division[division_test] = 2
        # As a count: a share of what is left would round otherwise than one of everything.
        n_dev = max(int(np.floor(dev * len(labels) + 1e-9)), 1)
        _, division_dev = train_test_split(
            rows, test_size=n_dev, stratify=labels[rows], random_state=seed
        )
        division[division_dev] = 1
    except ValueError as error:
        counts = np.bincount(labels, minlength=2)
        raise InputError(
            f"{name}: {counts[0]} samples with label 0 and {counts[1]} with label 1 are too few "
            f"for the shares {list(options.fractions)}; give more samples or other `fractions`."
        ) from error
    return division


def _by_fold(
    labels: NDArray[np.int64], options: Splitting, seed: int, name: str
) -> NDArray[np.int64]:
    from sklearn.model_selection import StratifiedKFold

    for label in (0, 1):
        n = int(np.sum(labels == label))
        if n < options.folds:
            raise InputError(
                f"{name}: {n} samples with label {label} are fewer than {options.folds} folds; "
                "give more samples or fewer folds."
            )
    division = np.zeros(len(labels), dtype=np.int64)
    splitter = StratifiedKFold(options.folds, shuffle=True, random_state=options.drawn_by(seed))
    for fold, (_, rows) in enumerate(splitter.split(labels, labels)):
        if fold == seed % options.folds:
            division[rows] = 2
        elif fold == (seed + 1) % options.folds:
            division[rows] = 1
    return division


def _known(groups: NDArray[np.str_] | None, split: str, name: str) -> NDArray[np.str_]:
    if groups is None or not np.any(groups != ""):
        raise InputError(
            f"{name}, split {split}: the samples have no {split}; name its column in `{split}`, or "
            "take split: random."
        )
    unknown = int(np.sum(groups == ""))
    if unknown:
        raise InputError(
            f"{name}, split {split}: {unknown} of {len(groups)} samples have no {split}; fill it "
            "in, or leave these samples away."
        )
    return groups


def _by_group(
    labels: NDArray[np.int64],
    groups: NDArray[np.str_],
    options: Splitting,
    rng: np.random.Generator,
    name: str,
) -> NDArray[np.int64]:
    names, member = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), 2), dtype=np.int64)
    np.add.at(counts, (member, labels), 1)
    for label in (0, 1):
        having = names[counts[:, label] > 0]
        if len(having) < len(SPLITS):
            raise InputError(
                f"{name}, split {options.split}: label {label} has samples of {len(having)} "
                f"{options.split}{'s' * (len(having) != 1)} only "
                f"({', '.join(map(shown, having))}); three splits need three, so give more or take "
                "split: random."
            )
    wanted = np.outer(options.fractions, counts.sum(axis=0))
    tried = [
        _place(counts, wanted, rng)
        for _ in range(min(_RESTARTS, max(1, _PLACEMENTS // len(names))))
    ]
    costs = np.array([_cost(place, counts, wanted) for place in tried])
    chosen = tried[int(np.argmax(costs <= costs.min() + _AS_GOOD))]
    division: NDArray[np.int64] = chosen[member]
    return division


def _place(
    counts: NDArray[np.int64], wanted: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Place whole groups: some so that no split lacks a class, then each where most is missing."""
    order = rng.permutation(len(counts))
    place = np.full(len(counts), -1, dtype=np.int64)
    mixed = [group for group in order if counts[group].all()][: len(SPLITS)]
    place[mixed] = rng.permutation(len(SPLITS))[: len(mixed)]
    for label in (0, 1):
        lacking = np.setdiff1d(np.arange(len(SPLITS)), place[mixed])
        pure = [g for g in order if counts[g, label] and place[g] < 0][: len(lacking)]
        place[pure] = rng.permutation(lacking)
    missing = wanted.copy()
    placed = place >= 0
    np.subtract.at(missing, place[placed], counts[placed])
    rest = order[~placed[order]]
    for group in rest[np.argsort(-counts[rest].sum(axis=1), kind="stable")]:
        classes = counts[group] > 0
        left = ((missing - counts[group]) / wanted)[:, classes].min(axis=1)
        place[group] = int(np.argmax(left))
        missing[place[group]] -= counts[group]
    return place


def _cost(
    place: NDArray[np.int64], counts: NDArray[np.int64], wanted: NDArray[np.float64]
) -> float:
    """Give the largest share of a class that a split has too many or too few of."""
    found = np.zeros_like(wanted)
    np.add.at(found, place, counts)
    return float((np.abs(found - wanted) / counts.sum(axis=0)).max())
