"""Time and memory of reading a Toil-shaped file: 60,498 genes × 2,000 samples, gzip.

The file is made in a temporary folder: log2(fpkm + 0.001) of log-normal genes of which a part is
silent in each sample, with four decimals, as the hub writes it, and a phenotype table beside it.
It is read in a fresh process, one thread unpacking while another parses: once every gene is kept,
once those that are expressed in at least 20 samples. Beside it stands the time of unpacking the
same file with gzip in the same process, best of two; the ratio says what parsing costs.

Run: `python tests/bench/toil_reading.py [genes] [samples]`; merges its rows into
results/bench/bench.json.
"""

import argparse
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import table

from genosiege import files
from genosiege.expression import reading

GENES, SAMPLES = 60_498, 2_000
ENTRIES = {
    "all genes": {"format": "toil", "values": "log"},
    "expressed in 20": {"format": "toil", "values": "log", "genes": {"min_samples": 20}},
}
DIFFERENT = 1_000
"""Genes that are drawn; further ones repeat them, too far apart for gzip to notice."""

LIMIT = 4.0
"""GiB that reading should take at most."""


def make(folder: Path, genes: int, samples: int) -> None:
    """Write matrix and phenotypes."""
    rng = np.random.default_rng(0)
    names = [
        f"TCGA-{number // 100:02d}-{number:04d}-{1 + 10 * (number % 2):02d}"
        for number in range(samples)
    ]
    types = ["Primary Tumor", "Solid Tissue Normal"]
    with gzip.open(folder / "phenotype.gz", "wt", encoding="latin-1") as table:
        table.write("sample\t_primary_site\t_sample_type\t_study\n")
        for number, name in enumerate(names):
            table.write(f"{name}\tBreast\t{types[number % 2]}\tTCGA\n")
    bodies = [row(rng, samples) for _ in range(DIFFERENT)]
    with gzip.open(folder / "matrix.gz", "wb", compresslevel=6) as matrix:
        matrix.write(("\t".join(["sample", *names]) + "\n").encode())
        for gene in range(genes):
            matrix.write(f"ENSG{gene:011d}.1".encode() + bodies[gene % DIFFERENT])


def row(rng: np.random.Generator, samples: int) -> bytes:
    """Draw a gene: log-normal, and silent in a share of the samples."""
    values = np.log2(2 ** rng.normal(rng.normal(1, 3), 1, samples) + 0.001)
    values[rng.random(samples) < rng.beta(0.4, 0.4)] = np.log2(0.001)
    return ("".join(f"\t{value:.4f}" for value in values) + "\n").encode()


class Spent(NamedTuple):
    """Seconds on the clock and of the processor."""

    wall: float
    cpu: float


@contextmanager
def watch(spent: list[Spent]) -> Iterator[None]:
    """Note what a block takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    spent.append(Spent(time.perf_counter() - wall, time.process_time() - cpu))


def unpack(path: Path) -> None:
    """Unpack a file and do nothing with it."""
    with gzip.open(path) as stream:
        while stream.read(1 << 24):
            pass


def measure(folder: Path, kind: str) -> None:
    """Print what reading takes, in this process."""
    entry, matrix = ENTRIES[kind], folder / "matrix.gz"
    spent: list[Spent] = []
    with watch(spent):
        described = reading.describe(entry, matrix, folder / "phenotype.gz")
        found = reading.read(entry, matrix, described, np.ones(len(described), dtype=np.bool_))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    for _ in range(2):
        with watch(spent):
            unpack(matrix)
    whole, plain = spent[0], min(spent[1:])
    print(
        f"{kind:16} {found.values.shape[0]} samples, {found.values.shape[1]} of "
        f"{found.notes['genes_in_file']} genes: {whole.wall:.1f} s ({whole.cpu:.1f} s of CPU), "
        f"peak {peak:.2f} GiB; gzip alone {plain.wall:.1f} s ({plain.cpu:.1f} s); ratio "
        f"{whole.wall / plain.wall:.2f} ({whole.cpu / plain.cpu:.2f})"
    )
    files.write_json({"whole": whole, "plain": plain, "peak": peak}, folder / f"{kind}.json")


def rows_of(folder: Path, sizes: list[int]) -> list[table.Row]:
    """Give the rows of what was measured."""
    rows = []
    for kind in ENTRIES:
        found = files.read_json(folder / f"{kind}.json")
        whole, plain = Spent(*found["whole"]), Spent(*found["plain"])
        remark = f"{sizes[0]} genes × {sizes[1]} samples; {whole.cpu:.1f} s of CPU"
        rows += [
            table.compared(
                f"12 reading Toil, {kind}",
                whole.wall,
                "s",
                f"unpacking alone: {plain.wall:.1f} s",
                whole.wall / plain.wall,
                remark=remark,
            ),
            table.limited(
                f"12 reading Toil, {kind}, memory", found["peak"], "GiB", LIMIT, remark=remark
            ),
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sizes", nargs="*", type=int, help="genes and samples")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    table.add_option(parser)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(Path(arguments.measure[0]), arguments.measure[1])
        return

    sizes = arguments.sizes or [GENES, SAMPLES]
    if len(sizes) != 2:
        parser.error("give genes and samples, or neither")
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        make(Path(name), *sizes)
        size = (Path(name) / "matrix.gz").stat().st_size / 2**20
        print(f"made {size:.0f} MiB in {time.perf_counter() - started:.0f} s", flush=True)
        for kind in ENTRIES:
            subprocess.run([sys.executable, __file__, "--measure", name, kind], check=True)
        table.merge(__file__, rows_of(Path(name), sizes), arguments.table)


if __name__ == "__main__":
    main()
