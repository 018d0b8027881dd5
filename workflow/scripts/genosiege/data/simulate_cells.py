"""Simulate counts of single cells of healthy and infected donors.

The model
---------
As Splatter's (Zappia, Phipson & Oshlack 2017, Genome Biol. 18, 174), with donors and a response:

1. A gene's mean is gamma(0.6, rate 0.3), Splatter's default; a few are outliers, log-normally
   higher.
2. A cell has one of three types, each with marker genes of its own (log-normal factors).
3. A donor multiplies each gene by a log-normal factor of `donor_effect`: donors differ
   more than cells of one (Squair et al. 2021, Nat. Commun. 12, 5692), and cells of one donor are
   no independent samples.
4. In infected donors, genes of an interferon-like programme rise by log-normal factors, median 4,
   each to the power of `strength` times the cell's response. Interferon-stimulated genes are what
   COVID-19 raises most consistently in blood and lung (Wilk et al. 2020, Nat. Med. 26, 1070-1076;
   Delorey et al. 2021, Nature 595, 107-113). The response differs between donors,
   beta(7, 2), as some patients have an impaired one (Hadjadj et al. 2020, Science 369, 718-724),
   and between cells around the donor's mean; healthy cells have a weak one.
5. The cell's library size is log-normal; its expected counts are its share of it.
6. Counts are negative binomial: gamma-Poisson with Splatter's trend, whose coefficient of
   variation is (`dispersion` + 1 / sqrt(mean)) · sqrt(60 / chi-square of 60), edgeR's common
   dispersion (Robinson & Smyth 2008, Biostatistics 9, 321-332) for strongly expressed genes.
7. Dropout sets a count to zero with a probability that falls with the log of the mean, a logistic
   curve (Pierson & Yau 2015, Genome Biol. 16, 241; Splatter's `dropout.type`). Droplet counts are
   nearly free of it beyond the negative binomial (Svensson 2020, Nat. Biotechnol. 38, 147-150),
   so its default midpoint is low.

A cell's label is its donor's. Donors belong to hospitals (`sites`), which have no effect of their
own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.data.simulated_table import Simulated, names, require_integers, require_numbers
from genosiege.errors import InputError

_SHAPE, _RATE = 0.6, 0.3
_OUTLIERS, _OUTLIER = 0.05, (2.0, 0.5)
_TYPES, _MARKERS, _MARKER = 3, 0.1, (0.8, 0.4)
_RESPONSE = (1.4, 0.4)
_DONOR_RESPONSE, _CELL_PRECISION, _HEALTHY = (7.0, 2.0), 8.0, (1.0, 9.0)
_LIBRARY_SPREAD = 0.35
_FREEDOM = 60


@dataclass(frozen=True)
class Cells:
    """What can be set.

    Attributes
    ----------
    seed : int
        Equal seeds give equal cells.
    cells, genes : int
        Size of the table.
    donors : int
        Number of donors, at least 2.
    infected : float
        Share of donors that are infected, in [0.05, 0.95]; at least one is, and one is not.
    sites : int
        Number of hospitals.
    programme : float
        Share of the genes that belong to the interferon-like programme, in [0.01, 1].
    strength : float
        Scales the response, in [0, 5]; at 0 only donors' own effects can tell the classes.
    donor_effect : float
        Standard deviation of a donor's effect on each gene, in natural logarithms, 0 to 2.
    library : float
        Median number of counts of a cell, 10 to 1,000,000.
    dispersion : float
        Coefficient of variation of strongly expressed genes, 0 to 3.
    dropout : float
        Natural logarithm of the mean at which half of the counts drop out, -20 to 10; -20 means
        never.
    """

    seed: int = 0
    cells: int = 600
    genes: int = 120
    donors: int = 10
    infected: float = 0.5
    sites: int = 3
    programme: float = 0.2
    strength: float = 1.0
    donor_effect: float = 0.15
    library: float = 1000.0
    dispersion: float = 0.3
    dropout: float = -2.0

    def __post_init__(self) -> None:
        require_integers(self, seed=0, cells=10, genes=5, donors=2, sites=1)
        require_numbers(
            self,
            infected=(0.05, 0.95),
            programme=(0.01, 1),
            strength=(0, 5),
            donor_effect=(0, 2),
            library=(10, 1e6),
            dispersion=(0, 3),
            dropout=(-20, 10),
        )
        if self.cells < self.donors:
            raise InputError(
                f"source simulate, cells {self.cells}: give at least one for each of the "
                f"{self.donors} donors."
            )


def simulate(settings: Cells) -> Simulated:
    """Draw cells in random order.

    Parameters
    ----------
    settings : Cells
        Sizes and strengths.

    Returns
    -------
    Simulated
        `values` are counts, int64. There is no study.
    """
    n, p = settings.cells, settings.genes
    rng = runtime.stream(settings.seed, "single cells", "simulate")
    infected, donors = _donors(settings, rng)
    informative = rng.permutation(np.arange(p) < max(round(settings.programme * p), 1))
    mean = rng.gamma(_SHAPE, 1 / _RATE, size=p)
    mean *= np.where(rng.random(p) < _OUTLIERS, rng.lognormal(*_OUTLIER, size=p), 1)
    # A gene of the programme that hardly shows could not respond visibly.
    mean[informative] += 0.5
    factors = np.where(rng.random((_TYPES, p)) < _MARKERS, rng.lognormal(*_MARKER, (_TYPES, p)), 1)
    expected = np.log(mean + 1e-3) + np.log(factors)[rng.integers(_TYPES, size=n)]
    expected += rng.normal(0, settings.donor_effect, size=(settings.donors, p))[donors]
    rise = np.where(informative, np.abs(rng.normal(*_RESPONSE, size=p)), 0.0)
    expected += settings.strength * _response(infected, donors, rng)[:, None] * rise
    share = np.exp(expected)
    library = rng.lognormal(np.log(settings.library), _LIBRARY_SPREAD, size=(n, 1))
    expected_counts = library * share / share.sum(axis=1, keepdims=True)
    return Simulated(
        ids=names("C", np.arange(n), 5),
        labels=infected[donors].astype(np.int64),
        donors=names("P", donors, 2),
        sites=names("site", rng.permutation(settings.donors)[donors] % settings.sites, 1),
        studies=np.full(n, "", dtype="U1"),
        values=_counts(expected_counts, settings, rng),
        informative=informative,
    )


def _donors(
    settings: Cells, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Draw which donors are infected, and each cell's donor; every donor has a cell."""
    n_infected = min(max(round(settings.infected * settings.donors), 1), settings.donors - 1)
    infected = rng.permutation(np.arange(settings.donors) < n_infected)
    share = rng.dirichlet(np.full(settings.donors, 20.0))
    others = rng.choice(settings.donors, size=settings.cells - settings.donors, p=share)
    return infected, rng.permutation(np.concatenate([np.arange(settings.donors), others]))


def _response(
    infected: NDArray[np.bool_], donors: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw how strongly each cell shows the programme, in [0, 1]."""
    of_donor = np.clip(rng.beta(*_DONOR_RESPONSE, size=len(infected)), 0.05, 0.95)[donors]
    ill = rng.beta(_CELL_PRECISION * of_donor, _CELL_PRECISION * (1 - of_donor))
    healthy = rng.beta(*_HEALTHY, size=len(donors))
    return np.where(infected[donors], ill, healthy)


def _counts(
    expected: NDArray[np.float64], settings: Cells, rng: np.random.Generator
) -> NDArray[np.int64]:
    variation = (settings.dispersion + 1 / np.sqrt(np.maximum(expected, 1e-9))) * np.sqrt(
        _FREEDOM / rng.chisquare(_FREEDOM, size=expected.shape[1])
    )
    shape = 1 / variation**2
    counts = rng.poisson(rng.gamma(shape, expected / shape))
    if settings.dropout > -20:
        kept = 1 / (1 + np.exp(-(np.log(np.maximum(expected, 1e-9)) - settings.dropout)))
        counts = np.where(rng.random(expected.shape) < kept, counts, 0)
    whole: NDArray[np.int64] = counts.astype(np.int64)
    return whole
