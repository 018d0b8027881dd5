"""How much faster FIMBA moves samples than the published way, one cell of a table at a time.

The published code moves a sample feature by feature: it reads the sample's and the target's
value from a pandas table, lays ten points between them and writes back the last but one.
Here all samples move at once. Both get the same samples, targets and order, so neither looks
for neighbours. Their results must agree to 1e-6, and the second should be at least 200 times
faster. The loop runs once, over all samples; the other is the median of several runs.

Run: `python tests/bench/fimba_loop.py`; writes results/bench/fimba_loop.json, merges its row into
results/bench/bench.json, and ends with status 1 where the results differ.
"""

import argparse
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import table

from genosiege import files, runtime
from genosiege.expression import fimba

LEAST_RATIO = 200
CLOSE = 1e-6
REPEATS = 5
T = 8 / 9


@dataclass(frozen=True)
class Comparison:
    """One movement of all samples, done twice; times in seconds."""

    samples: int
    features: int
    k: int
    largest_difference: float
    seconds_loop: float
    seconds_vectorised: float
    ratio: float

    @property
    def holds(self) -> bool:
        """Whether the results agree."""
        return self.largest_difference <= CLOSE


def loop(cells: pd.DataFrame, aims: pd.DataFrame, genes: list[str]) -> float:
    """Move in place, cell by cell, and give the seconds it took."""
    start = time.perf_counter()
    for sample in cells.index:
        for gene in genes:
            steps = np.linspace(cells.at[sample, gene], aims.at[sample, gene], 10)
            cells.at[sample, gene] = steps[-2]
    return time.perf_counter() - start


def compare(n: int, p: int, k: int) -> Comparison:
    """Move n samples of p features, k features each, in both ways."""
    rng = runtime.stream(0, "fimba_loop")
    values, aims = (rng.uniform(-1, 1, (n, p)).astype(np.float32) for _ in range(2))
    order = rng.permutation(p)
    genes = [f"g{column}" for column in range(p)]
    cells = pd.DataFrame(values.astype(np.float64), columns=genes)
    aim_table = pd.DataFrame(aims.astype(np.float64), columns=genes)

    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        moved = fimba.move(values, aims, order, k, T)
        seconds.append(time.perf_counter() - start)
    seconds_loop = loop(cells, aim_table, [genes[column] for column in order[:k]])
    fast = float(np.median(seconds))
    return Comparison(
        samples=n,
        features=p,
        k=k,
        largest_difference=float(np.abs(cells.to_numpy() - moved).max()),
        seconds_loop=round(seconds_loop, 2),
        seconds_vectorised=round(fast, 4),
        ratio=round(seconds_loop / fast, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results/bench/fimba_loop.json")
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--features", type=int, default=2881)
    parser.add_argument("--k", type=int, default=400)
    table.add_option(parser)
    arguments = parser.parse_args()

    found = compare(arguments.samples, arguments.features, arguments.k)
    files.write_json(asdict(found), arguments.output)
    print(
        f"{found.samples} samples, {found.features} features, k = {found.k}: the loop took "
        f"{found.seconds_loop} s, all at once {found.seconds_vectorised} s: "
        f"{found.ratio} times faster (limit {LEAST_RATIO})\n"
        f"largest difference {found.largest_difference:.1e} (limit {CLOSE:.0e})\n"
        f"Written: {arguments.output}"
    )
    row = table.compared(
        "07 FIMBA, all samples at once",
        found.seconds_vectorised,
        "s",
        f"cell by cell: {found.seconds_loop} s",
        found.ratio,
        least=LEAST_RATIO,
        remark=f"{found.samples} samples × {found.features} features, k = {found.k}",
    )
    table.merge(__file__, [row], arguments.table)
    if not found.holds:
        sys.exit("Error: the results differ.")


if __name__ == "__main__":
    main()
