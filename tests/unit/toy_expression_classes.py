"""Samples of two classes that differ in a few genes, for tests of the models of expression."""

import numpy as np

from genosiege.expression.samples import Samples


def two_classes(
    n: int, seed: int, positives: float = 0.5, p: int = 12, shift: float = 0.5
) -> Samples:
    """Draw samples whose first three genes tell the class; the others are noise.

    Parameters
    ----------
    n : int
        Number of samples.
    seed : int
        Of the draw.
    positives : float
        Share of class 1.
    p : int
        Number of genes.
    shift : float
        How far each class's mean is from 0 in these three genes, against noise of standard
        deviation 0.25.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation((np.arange(n) < round(n * positives)).astype(np.int64))
    values = rng.normal(0, 0.25, (n, p))
    values[:, :3] += shift * (2 * labels[:, None] - 1)
    return Samples(
        ids=np.array([f"s{row}" for row in range(n)]),
        values=values.astype(np.float32),
        labels=labels,
        genes=tuple(f"g{column}" for column in range(p)),
    )
