"""The natural attack: mutants as population variation or a sequencer's errors make them.

No adversary at all: a model that fails under these changes fails in ordinary use.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, softmax

from genosiege.errors import InputError
from genosiege.sequence.attacks import Edits, Steps, Target, check_sizes
from genosiege.sequence.attacks.blind import best_of
from genosiege.sequence.constraints import BASES, transition

MOST_REFUSED = 1_000
"""Draws that hard rules may refuse, in a row, before no mutant counts as possible."""

_TRANSVERSIONS = {base: BASES.replace(base, "").replace(transition(base), "") for base in BASES}


@dataclass(frozen=True)
class Options:
    """Settings of the natural attack.

    Attributes
    ----------
    rate : float
        Probability, in (0, 1), that a base changes.
    transition_share : float
        Share of transitions among the changes.
    draws : int
        Mutants that are drawn at most, repeated ones included.
    max_edits : int
        Mutants with more changes than this are drawn again.
    query_budget : int
        Most different sequences that the model is asked about.

    Notes
    -----
    Two human chromosomes differ at about one base in 1,000: International SNP Map Working
    Group (2001), Nature 409, 928–933 (one in 1,331); 1000 Genomes Project Consortium
    (2015), Nature 526, 68–74. Their differences have about two transitions for each
    transversion, a share of .67: DePristo et al. (2011), Nat. Genet. 43, 491–498. Illumina
    instruments err at .001 to .006 per base: Stoler & Nekrutenko (2021), NAR Genom.
    Bioinform. 3, lqab019.
    """

    rate: float = 0.001
    transition_share: float = 0.67
    draws: int = 1_000
    max_edits: int = 10
    query_budget: int = 10_000

    def __post_init__(self) -> None:
        check_sizes("natural", self)
        if not 0 < self.rate < 1:
            raise InputError(
                f"attack natural, rate {self.rate}: give a probability above 0 and below 1."
            )


def search(target: Target, options: Options, rng: np.random.Generator) -> Steps:
    """Ask about naturally drawn mutants until one flips the prediction.

    Parameters
    ----------
    target : Target
        What is attacked.
    options : Options
        Settings.
    rng : numpy.random.Generator
        The stream of this sequence and attack seed.

    Yields
    ------
    list of str
        Up to 50 mutants. Repeated ones are among them: they cost no unique query.

    Returns
    -------
    Found
        The mutant with the lowest margin; a flip is pruned. `exhausted` once all draws are
        used, or where hard rules refuse every mutant.

    Notes
    -----
    The number of changes is binomial over the editable positions, given that it is from 1
    to `max_edits`; positions are uniform without replacement; a change is a transition with
    probability `transition_share`, else either of the two transversions. Mutants that break
    a hard rule are drawn again as a whole.
    """
    found = yield from best_of(target, _mutants(target, options, rng))
    return found


def _mutants(target: Target, options: Options, rng: np.random.Generator) -> Iterator[Edits]:
    """Draw mutants that keep the hard rules."""
    positions = target.rules.positions
    if not len(positions):
        return
    shares = _shares_of_sizes(len(positions), options.rate, options.max_edits)
    for _ in range(options.draws):
        for _ in range(MOST_REFUSED):
            size = int(rng.choice(len(shares), p=shares)) + 1
            chosen = rng.choice(positions, size=size, replace=False, shuffle=False)
            edits = {
                int(p): new_base(target.sequence[p], options.transition_share, rng) for p in chosen
            }
            if target.rules.allows(edits):
                yield edits
                break
        else:
            return


def _shares_of_sizes(n_positions: int, rate: float, max_edits: int) -> NDArray[np.float64]:
    """Binomial probabilities of 1, 2, … changes, given that there are 1 to `max_edits`."""
    sizes = np.arange(1, min(max_edits, n_positions) + 1)
    log_ways = -gammaln(sizes + 1) - gammaln(n_positions - sizes + 1)
    # Up to a constant, and so without underflow at any rate.
    return np.asarray(softmax(log_ways + sizes * (np.log(rate) - np.log1p(-rate))))


def new_base(old: str, transition_share: float, rng: np.random.Generator) -> str:
    """Draw what a base becomes: a transition with this probability, else either transversion."""
    if rng.random() < transition_share:
        return transition(old)
    return _TRANSVERSIONS[old][rng.integers(2)]
