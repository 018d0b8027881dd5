"""Time and memory of all detectors on 10,000 samples × 2,881 features, on two cores.

Every detector is fitted on all the samples and scores all of them. These are simulated: two
classes, correlated features (a few common factors and noise), scaled to [-1, 1]. Trained already,
and not counted, are the random forest whose margin is looked at (its own defaults, on a tenth of
the samples) and the VAE, which has the published widths and random weights. Seconds on the
clock decide; those of the processor stand beside them, for machines that do other work too.

Run: `python tests/bench/detectors.py`; writes results/bench/detectors.json, and merges its rows,
beside limits of 5 minutes and 8 GiB, into results/bench/bench.json.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "2"

import numpy as np
import table

from genosiege import files, runtime
from genosiege.detection import detectors
from genosiege.detection.options import EXPRESSION, Detection
from genosiege.expression import models, vae
from genosiege.expression.samples import Samples
from genosiege.expression.vae_training import PUBLISHED_WIDTHS

THREADS = int(os.environ["OMP_NUM_THREADS"])
LIMIT_SECONDS = 300
LIMIT_GIB = 8.0
FACTORS = 40


class Spent(NamedTuple):
    """Seconds on the clock and of the processor."""

    wall: float
    cpu: float


def simulate(n: int, p: int) -> Samples:
    """Draw samples of two classes, correlated by a few common factors."""
    rng = runtime.stream(0, "bench of detectors")
    labels = rng.permutation(np.arange(n) % 2).astype(np.int64)
    loadings = rng.normal(size=(FACTORS, p)).astype(np.float32) / np.sqrt(FACTORS)
    factors = rng.normal(size=(n, FACTORS)).astype(np.float32)
    factors[:, 0] += 3 * labels
    values = 0.25 * (factors @ loadings)
    values += rng.normal(0, 0.1, size=(n, p)).astype(np.float32)
    return Samples(
        ids=np.array([f"s{row}" for row in range(n)]),
        values=values.clip(-1, 1),
        labels=labels,
        genes=tuple(f"g{column}" for column in range(p)),
    )


def untrained_vae(samples: Samples) -> vae.Vae:
    """Make a VAE of the published widths with random weights."""
    import torch

    torch.manual_seed(0)
    network = vae.Network(len(samples.genes), PUBLISHED_WIDTHS, 32, "linear").eval()
    mean = samples.values.mean(axis=0)
    return vae.Vae(network, samples.genes, mean, PUBLISHED_WIDTHS, 32, "linear")


def watch(work: Callable[[], object]) -> Spent:
    """Do something, and tell what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def measure(samples: Samples, trees: int) -> dict[str, dict[str, float]]:
    """Fit each detector and score with it; seconds of each."""
    model = models.create({"kind": "random_forest", "trees": trees}, len(samples.genes), 0, THREADS)
    model.fit(samples.take(np.arange(len(samples) // 10)), samples.take(np.arange(0)))
    made = detectors.build(
        EXPRESSION,
        model=model,
        vae=untrained_vae(samples),
        options=Detection(fit_samples=None),
        seed=0,
        threads=THREADS,
    )
    found = {}
    for name, detector in made.items():
        one = {name: detector}
        fit = watch(lambda one=one: detectors.fitted(one, samples, None, 0))
        score = watch(lambda one=one: detectors.scores(one, samples.values))
        found[name] = {
            f"{what}_{clock}_seconds": round(seconds, 2)
            for what, spent in (("fit", fit), ("score", score))
            for clock, seconds in spent._asdict().items()
        }
        print(
            f"{name:18} fitted in {fit.wall:6.1f} s ({fit.cpu:.1f} s of CPU), "
            f"scored in {score.wall:6.1f} s ({score.cpu:.1f} s)",
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results/bench/detectors.json")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=2881)
    parser.add_argument("--trees", type=int, default=300)
    table.add_option(parser)
    arguments = parser.parse_args()

    runtime.use(THREADS)
    samples = simulate(arguments.samples, arguments.features)
    found = measure(samples, arguments.trees)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    wall, cpu = (
        round(sum(sum(v for k, v in row.items() if clock in k) for row in found.values()), 1)
        for clock in ("wall", "cpu")
    )
    report = {
        "samples": arguments.samples,
        "features": arguments.features,
        "threads": THREADS,
        "detectors": found,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "peak_gib": round(peak, 2),
        "share_of_time_limit": round(wall / LIMIT_SECONDS, 3),
        "share_of_memory_limit": round(peak / LIMIT_GIB, 3),
    }
    files.write_json(report, arguments.output)
    print(
        f"{arguments.samples} samples, {arguments.features} features, {THREADS} threads: all "
        f"detectors took {wall:.0f} s ({cpu:.0f} s of CPU), {wall / LIMIT_SECONDS:.2f} of the "
        f"limit of {LIMIT_SECONDS} s; peak {peak:.2f} GiB, {peak / LIMIT_GIB:.2f} of the limit "
        f"of {LIMIT_GIB:g} GiB, simulation and forest counted\nWritten: {arguments.output}"
    )
    remark = f"{arguments.samples} samples × {arguments.features} features, two threads"
    rows = [
        table.limited(
            "12 all detectors", wall, "s", LIMIT_SECONDS, remark=f"{remark}; {cpu:.0f} s of CPU"
        ),
        table.limited("12 all detectors, memory", peak, "GiB", LIMIT_GIB, remark=remark),
    ]
    table.merge(__file__, rows, arguments.table)


if __name__ == "__main__":
    main()
