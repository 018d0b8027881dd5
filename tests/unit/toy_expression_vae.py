"""Stand-ins for an autoencoder whose answers are known, and toy samples."""

import numpy as np

from genosiege.errors import InputError
from genosiege.expression.samples import Samples


class Scaling:
    """z is the sample itself, and decodes to `factor` times itself; 1 gives the identity."""

    def __init__(self, genes, factor=1.0):
        self.genes = genes
        self.factor = np.float32(factor)
        self.seen = []

    def check(self, samples):
        if samples.genes != self.genes:
            raise InputError("other genes")

    def reconstruct(self, values):
        self.seen.append(values.copy())
        return self.factor * values

    def interpolate(self, values, targets, t):
        self.seen += [values.copy(), targets.copy()]
        return (self.factor * ((1 - t) * values + t * targets)).astype(np.float32)


def two_clouds(n, seed, n_genes=6, positives=0.5, gap=0.5):
    """Two classes that lie apart in their first two genes; the others are noise."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation((np.arange(n) < positives * n).astype(np.int64))
    values = rng.uniform(-0.3, 0.3, (n, n_genes))
    values[:, :2] += np.where(labels, gap, -gap)[:, None]
    return Samples(
        ids=np.array([f"s{seed}.{i}" for i in range(n)]),
        values=values.astype(np.float32),
        labels=labels,
        genes=tuple(f"g{i}" for i in range(n_genes)),
    )


def out_of_fold(samples, wrong):
    """Out-of-fold predictions of which the rows `wrong` are errors."""
    import pandas as pd

    predicted = samples.labels.copy()
    predicted[wrong] = 1 - predicted[wrong]
    return pd.DataFrame({"id": samples.ids, "label": samples.labels, "predicted": predicted})
