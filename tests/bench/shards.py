"""How much sooner two shards of an attack end side by side on two cores than one after the other.

A small CNN is trained on simulated promoters, and a sample of its test sequences is attacked as
two shards of one thread each, through Snakemake as a user does: once with one core, once with two,
each several times and in turn; the best time of each counts. What was made is removed before each
call, and files are warm, as one call goes ahead. Calls whose searches are of a few questions only
tell how much of the time is spent on starting Snakemake, Python and the model.

Both ways must make the same tables. Side by side should take at most 0.6 of the time of one after
the other. Other work on the machine disturbs this more than other figures.

Run: `python tests/bench/shards.py`; writes results/bench/shards.json, merges its row into
results/bench/bench.json, and ends with status 1 where the tables differ.
"""

import argparse
import copy
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import table
from calling import run_workflow

from genosiege import files

LARGEST_RATIO = 0.6
REPEATS = 3
SHARDS = 2
TASK, CNN, ATTACK = "simulated", "cnn", "genetic"
STAGE = f"results/shards/sequence/{TASK}/{CNN}/seed0/baseline"
TABLES = [f"{STAGE}/attacks/{ATTACK}/test/shard{shard}.parquet" for shard in range(SHARDS)]

CONFIG: dict[str, Any] = {
    "run": {
        "name": "shards",
        "seeds": [0],
        "tasks": [TASK],
        "encoders": [CNN],
        "attacks": [ATTACK],
        "defences": [],
        "datasets": [],
    },
    "compute": {"precision": "fp32", "batching": "per_sequence"},
    "tasks": {
        TASK: {
            "source": {
                "kind": "simulate",
                "n_train": 400,
                "n_dev": 100,
                "n_test": 400,
                "length": 300,
                "tss_index": 249,
            },
            "tss_index": 249,
        }
    },
    "encoders": {
        CNN: {
            "kind": "cnn",
            "architecture": {"channels": 32, "blocks": 2},
            "training": {"epochs": 4, "batch_size": 32, "learning_rate": 0.005},
        }
    },
    # Searches that go on after a success until their budget ends, so that both shards are about
    # equally long.
    "attacks": {
        ATTACK: {
            "query_budget": 2000,
            "generations": 2000,
            "patience": 2000,
            "objective": "pareto",
        }
    },
}


@dataclass(frozen=True)
class Comparison:
    """Two shards, made in two ways; times in seconds."""

    sequences: int
    cores_of_machine: int
    load_before: float
    one_after_the_other: list[float]
    side_by_side: list[float]
    starting_one_after_the_other: float
    starting_side_by_side: float
    ratio: float
    starting_share: float
    same_tables: bool

    @property
    def holds(self) -> bool:
        """Whether both ways make the same tables."""
        return self.same_tables


def attack(folder: Path, config: dict[str, Any], cores: int) -> tuple[float, list[bytes]]:
    """Make both shards afresh; give the seconds that it took, and the tables."""
    for path in TABLES:
        (folder / path).unlink(missing_ok=True)
    start = time.perf_counter()
    # Snakemake ends with its timespan, which is no part of the work.
    timespan = ("--max-jobs-per-timespan", "100/1s")
    run = run_workflow(folder, config, *timespan, *TABLES, cores=cores)
    seconds = time.perf_counter() - start
    if run.returncode:
        sys.exit(f"Error: a call failed.\n{run.stdout[-2000:]}\n{run.stderr[-4000:]}")
    return seconds, [(folder / path).read_bytes() for path in TABLES]


def compare(n: int, folder: Path, repeats: int = REPEATS) -> Comparison:
    """Attack n sequences in both ways."""
    config = copy.deepcopy(CONFIG)
    config["sampling"] = {"attack_samples": n}
    config["compute"]["shard_size"] = n // SHARDS
    short = copy.deepcopy(config)
    short["attacks"][ATTACK] = {"query_budget": 2}
    load = os.getloadavg()[0]
    starting = {}
    for cores in (1, SHARDS):
        attack(folder, short, cores)  # the first trains the model; all read files that are cold
        starting[cores] = min(attack(folder, short, cores)[0] for _ in range(2))
    seconds: dict[int, list[float]] = {1: [], SHARDS: []}
    tables = []
    for _ in range(repeats):
        for cores, found in seconds.items():
            taken, made = attack(folder, config, cores)
            found.append(round(taken, 2))
            tables.append(made)
            print(f"{cores} cores: {taken:.1f} s", flush=True)
    alone, together = min(seconds[1]), min(seconds[SHARDS])
    return Comparison(
        sequences=n,
        cores_of_machine=len(os.sched_getaffinity(0)),
        load_before=round(load, 2),
        one_after_the_other=seconds[1],
        side_by_side=seconds[SHARDS],
        starting_one_after_the_other=round(starting[1], 2),
        starting_side_by_side=round(starting[SHARDS], 2),
        ratio=round(together / alone, 3),
        starting_share=round(starting[SHARDS] / together, 3),
        same_tables=all(made == tables[0] for made in tables),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results/bench/shards.json")
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    table.add_option(parser)
    arguments = parser.parse_args()

    with TemporaryDirectory() as folder:
        found = compare(arguments.sequences, Path(folder), arguments.repeats)
    files.write_json(asdict(found), arguments.output)
    print(
        f"{found.sequences} sequences in {SHARDS} shards, {found.cores_of_machine} cores, load "
        f"{found.load_before} before: one after the other {min(found.one_after_the_other)} s, side "
        f"by side {min(found.side_by_side)} s: {found.ratio} (limit {LARGEST_RATIO})\n"
        f"of which start-up {found.starting_one_after_the_other} and "
        f"{found.starting_side_by_side} s: {found.starting_share:.0%} side by side\n"
        f"Written: {arguments.output}"
    )
    row = table.compared(
        "12 two shards on two cores",
        min(found.side_by_side),
        "s",
        f"one after the other: {min(found.one_after_the_other)} s",
        found.ratio,
        most=LARGEST_RATIO,
        remark=f"{found.sequences} sequences; start-up {found.starting_share:.0%} side by side",
    )
    table.merge(__file__, [row], arguments.table)
    if not found.holds:
        sys.exit("Error: the shards' tables differ.")


if __name__ == "__main__":
    main()
