"""Simulate bulk expression of tumours and normal tissue.

The model
---------
**Expression** of a gene is log-normal: log2 FPKM of sample i and gene g is the sum of a gene's
mean, normal with 4.0 ± 2.0, of co-expressed programmes that no label belongs to, and of

================  ==========================================================================
part              what it is
================  ==========================================================================
site              an organ's own level: 0.6 for each gene and site
donor             what a person's samples share: 0.3 for each gene and donor
study             a batch effect: `study_effect` for each gene and study
tumour            `strength` · purity · a gene's log2 fold change, for genes of the programme
noise             the rest between samples: 0.5 on average, differing between genes
================  ==========================================================================

Numbers are standard deviations of log2 FPKM, so noise has a biological coefficient of variation
of 0.35 or so: 0.4 is typical of human data (McCarthy, Chen & Smyth 2012, Nucleic Acids Res. 40,
4288-4297, and edgeR's user's guide). Log-normality: Bengtsson et al. 2005, Genome Res. 15,
1388-1392; limma-voom (Law et al. 2014, Genome Biol. 15, R29) rests on it. Batch effects that are
additive in the logarithm: Johnson, Li & Rabinovic 2007, Biostatistics 8, 118-127.

**Tumour programme.** A share of the genes is changed in tumours, up or down, with fold changes of
1.5 ± 0.5 in absolute log2. How much of it a sample shows is its purity: beta(4, 2) in tumours,
whose purities spread as widely in TCGA (Aran, Sirota & Butte 2015, Nat. Commun. 6, 8971), and
beta(1, 9) in normal samples, since tissue beside a tumour lies between healthy and tumour
(Aran et al. 2017, Nat. Commun. 8, 1077). Impure tumours look like normal tissue, so no
classifier is right about all.

**Confounding.** With `normal_only_study` false, there are two studies, and a sample's label agrees
with its study with probability (1 + `confounding`) / 2. With true, tumours are all of the first
study, and each normal sample is of the second one, which has no tumours (as GTEx), with probability
`confounding`. At 1 the study tells the label, and a classifier may learn the batch.

**Donors.** In the first study, as many normal samples as `matched` says come from the donor of a
tumour, as TCGA's do; every other sample has a donor of its own.

The file has log2(FPKM + 0.001), as UCSC's Toil hub publishes it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.data.simulated_table import (
    Simulated,
    names,
    require_booleans,
    require_integers,
    require_numbers,
)

PSEUDOCOUNT = 0.001

_MEAN, _SPREAD = 4.0, 2.0
_SITE, _DONOR, _NOISE = 0.6, 0.3, 0.5
_PROGRAMMES, _LOADING = 5, 0.25
_FOLD_CHANGE, _FOLD_CHANGE_SPREAD = 1.5, 0.5
_PURITY = (4.0, 2.0)
_FIELD = (1.0, 9.0)


@dataclass(frozen=True)
class Bulk:
    """What can be set.

    Attributes
    ----------
    seed : int
        Equal seeds give equal samples.
    samples, genes : int
        Size of the table.
    tumours : float
        Share of tumours, in [0.05, 0.95].
    programme : float
        Share of the genes that tumours change, in [0.01, 1]; at least one gene.
    strength : float
        Scales the fold changes, in [0, 5]; at 0 only the study can tell the classes.
    sites : int
        Number of organs.
    study_effect : float
        Size of the batch effect, in log2, from 0 to 5.
    confounding : float
        How much the study depends on the label, in [0, 1].
    normal_only_study : bool
        Whether the second study has normal samples only.
    matched : float
        Share of the first study's normal samples that share a donor with a tumour, in [0, 1].
    """

    seed: int = 0
    samples: int = 400
    genes: int = 120
    tumours: float = 0.6
    programme: float = 0.2
    strength: float = 1.0
    sites: int = 6
    study_effect: float = 0.3
    confounding: float = 0.5
    normal_only_study: bool = True
    matched: float = 0.5

    def __post_init__(self) -> None:
        require_integers(self, seed=0, samples=10, genes=2, sites=1)
        require_numbers(
            self,
            tumours=(0.05, 0.95),
            programme=(0.01, 1),
            strength=(0, 5),
            study_effect=(0, 5),
            confounding=(0, 1),
            matched=(0, 1),
        )
        require_booleans(self, "normal_only_study")


def simulate(settings: Bulk) -> Simulated:
    """Draw samples in random order.

    Parameters
    ----------
    settings : Bulk
        Sizes and strengths.

    Returns
    -------
    Simulated
        `values` are log2(FPKM + 0.001), float64.
    """
    n, p = settings.samples, settings.genes
    rng = runtime.stream(settings.seed, "bulk", "simulate")
    n_tumours = min(max(round(settings.tumours * n), 1), n - 1)
    labels = rng.permutation(np.arange(n) < n_tumours).astype(np.int64)
    studies = _studies(labels, settings, rng)
    donors = _donors(labels, studies, settings, rng)
    sites = _sites(donors, settings, rng)
    change, informative = _programme(settings, rng)
    purity = np.where(labels == 1, rng.beta(*_PURITY, size=n), rng.beta(*_FIELD, size=n))
    logarithm = rng.normal(_MEAN, _SPREAD, size=p) + np.zeros((n, 1))
    logarithm += rng.normal(size=(n, _PROGRAMMES)) @ rng.normal(0, _LOADING, (_PROGRAMMES, p))
    logarithm += rng.normal(0, _SITE, size=(settings.sites, p))[sites]
    logarithm += rng.normal(0, _DONOR, size=(donors.max() + 1, p))[donors]
    logarithm += rng.normal(0, settings.study_effect, size=(2, p))[studies]
    logarithm += settings.strength * purity[:, None] * change
    logarithm += rng.normal(size=(n, p)) * _NOISE * rng.lognormal(0, 0.3, size=p)
    return Simulated(
        ids=names("S", np.arange(n), 4),
        labels=labels,
        donors=names("D", donors, 4),
        sites=names("site", sites, 1),
        studies=names("study", studies, 1),
        values=np.log2(np.exp2(logarithm) + PSEUDOCOUNT),
        informative=informative,
    )


def _studies(
    labels: NDArray[np.int64], settings: Bulk, rng: np.random.Generator
) -> NDArray[np.int64]:
    draw = rng.random(len(labels))
    if settings.normal_only_study:
        second: NDArray[np.int64] = np.asarray((labels == 0) & (draw < settings.confounding), int)
        return second
    agrees = draw < (1 + settings.confounding) / 2
    studies: NDArray[np.int64] = np.where(agrees, 1 - labels, labels)
    return studies


def _donors(
    labels: NDArray[np.int64],
    studies: NDArray[np.int64],
    settings: Bulk,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    donors = np.arange(len(labels))
    tumours = rng.permutation(np.flatnonzero((labels == 1) & (studies == 0)))
    normal = rng.permutation(np.flatnonzero((labels == 0) & (studies == 0)))
    pairs = min(round(settings.matched * len(normal)), len(tumours))
    donors[normal[:pairs]] = donors[tumours[:pairs]]
    return np.unique(donors, return_inverse=True)[1].astype(np.int64)


def _sites(
    donors: NDArray[np.int64], settings: Bulk, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw an organ for each donor: a matched normal sample is of the tumour's organ."""
    share = rng.dirichlet(np.full(settings.sites, 5.0))
    sites: NDArray[np.int64] = rng.choice(settings.sites, size=int(donors.max()) + 1, p=share)
    return sites[donors]


def _programme(
    settings: Bulk, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Draw each gene's log2 fold change in a pure tumour, shape (genes,)."""
    n_changed = max(round(settings.programme * settings.genes), 1)
    informative = rng.permutation(np.arange(settings.genes) < n_changed)
    size = np.abs(rng.normal(_FOLD_CHANGE, _FOLD_CHANGE_SPREAD, size=settings.genes))
    sign = np.where(rng.random(settings.genes) < 0.5, -1, 1)
    return np.where(informative, size * sign, 0.0), informative
