"""What an attack, and single edits, make of the machine's matrix products; full-size DNABERT-2.

`oracle_throughput.py` measures the oracle alone. Here sequences go through it within real work:
a genetic attack as configured by default (random weights never flip, so each search
goes on to its budget), and all single edits of a sequence: a certificate for k = 1 in fp32, an
in-silico mutagenesis in bf16. Counted are the operations of the sequences that were forwarded
(formula in `oracle_throughput.py`), over the seconds of the whole work on the clock. Squares are
multiplied in turns with it.

Single edits are also held against separate forwards: one string tokenized and scored at a time.
So that they take seconds on two cores, only the first `--positions` bases of 300 are edited.

Run: `python tests/bench/attack_throughput.py`; merges its rows into results/bench/bench.json.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import table
import torch
import yaml
from oracle_throughput import (
    DNABERT2,
    DTYPES,
    LENGTH,
    REPOSITORY,
    SQUARES,
    generate,
    make_model,
    multiply_for,
    operations,
    seconds,
)

from genosiege import runtime
from genosiege.sequence import attacks, campaign, certificates, mutagenesis
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.oracle import Oracle

ROUNDS = 3
LEAST_SECONDS = 3.0
LEAST_SHARE = {"cpu": 0.7, "cuda": 0.5}
N_SEPARATE = 8


class Sizes(NamedTuple):
    """Sequences and queries of an attack in each round; positions that single edits change."""

    sequences: int
    budget: int
    positions: int


SIZES = {
    ("cpu", "fp32"): Sizes(1, 51, 14),
    ("cpu", "bf16"): Sizes(1, 251, 40),
    ("cuda", "fp32"): Sizes(128, 200, LENGTH),
    ("cuda", "bf16"): Sizes(512, 300, LENGTH),
}


class Counter:
    """What goes through a model's classifier, and through copies of it: lengths, and seconds."""

    def __init__(self, model: SequenceModel) -> None:
        self._parts = parts = []
        self._times = times = []

        # A function, no method: an oracle copies the model, and would copy the counter with it.
        def note(_: object, inputs: tuple[torch.Tensor, ...]) -> None:
            parts.append(inputs[1].sum(dim=1))
            times.append(-time.perf_counter())

        model.classifier.register_forward_pre_hook(note)
        model.classifier.register_forward_hook(lambda *_: times.append(time.perf_counter()))

    def take(self) -> tuple[np.ndarray, float]:
        """Give the lengths since the last call, and the seconds inside forwards on the clock."""
        lengths = torch.cat(self._parts).cpu().numpy() if self._parts else np.empty(0, np.int64)
        inside = sum(self._times)
        self._parts.clear()
        self._times.clear()
        return lengths, inside


class Measured(NamedTuple):
    """GFLOP/s, sequences per second and their number, and the share of time inside forwards."""

    gflops: float
    rate: float
    n: int
    inside: float


def all_operations(lengths: np.ndarray) -> int:
    """Sum up the operations of sequences with so many tokens."""
    counted = zip(*np.unique(lengths, return_counts=True), strict=True)
    return sum(int(n) * operations(DNABERT2, int(n_tokens)) for n_tokens, n in counted)


def sample_of(model: SequenceModel, sequences: list[str]) -> pd.DataFrame:
    """Label sequences as the model does, so that all are attacked."""
    labels = Oracle(model, precision="fp32").logits(sequences).argmax(axis=1)
    ids = [f"s{i}" for i in range(len(sequences))]
    return pd.DataFrame({"id": ids, "sequence": sequences, "label": labels})


class Bench:
    """The works of one device and precision."""

    def __init__(
        self, model: SequenceModel, counter: Counter, device: str, precision: str, sizes: Sizes
    ) -> None:
        self._model, self._counter, self._sizes = model, counter, sizes
        self._config: dict[str, Any] = yaml.safe_load(
            (REPOSITORY / "config" / "config.yaml").read_text()
        )
        self._device, self._precision = torch.device(device), precision
        self._rng = np.random.default_rng(2)

    def oracle(self) -> Oracle:
        """Make an oracle as a job does."""
        return Oracle(self._model, precision=self._precision, batching="auto", device=self._device)

    def attack(self) -> Callable[[], object]:
        """Prepare a genetic attack on fresh sequences."""
        sample = sample_of(self._model, generate(self._sizes.sequences, self._rng))
        entry = self._config["attacks"]["genetic"] | {"query_budget": self._sizes.budget}
        attack, oracle = attacks.load(entry), self.oracle()
        rules = Constraints.from_config(self._config["constraints"], 249)
        return lambda: campaign.attack_sample(self._model, sample, attack, rules, [0], oracle)

    def single_edits(self) -> Callable[[], object]:
        """Prepare a certificate (fp32) or a mutagenesis of a fresh sequence."""
        sequence, oracle = generate(1, self._rng)[0], self.oracle()
        if self._precision == "fp32":
            mask = {"edit_mask": {"mode": "hard", "editable": [[0, self._sizes.positions]]}}
            sample = sample_of(self._model, [sequence])
            return lambda: certificates.certify(sample, Constraints.from_config(mask), oracle)
        if self._sizes.positions >= LENGTH:
            return lambda: mutagenesis.scan(oracle, {"s": (sequence, 0)})
        # The part of what `scan` asks that takes seconds.
        edits = [(i, b) for i in range(self._sizes.positions) for b in "ACGT" if b != sequence[i]]
        mutants = [sequence[:place] + base + sequence[place + 1 :] for place, base in edits]
        return lambda: oracle.logits(mutants)

    def separately(self) -> float:
        """Give the seconds of one separate forward, tokenizing included."""
        oracle = self.oracle()
        sequences = generate(N_SEPARATE, self._rng)
        oracle.logits(sequences[:1])
        return seconds(lambda: [oracle.logits([s]) for s in sequences], self._device) / N_SEPARATE

    def measure(self) -> tuple[dict[str, Measured], float, float]:
        """Give the works' rates, that of the best square, and the seconds of a separate forward."""
        works = {"genetic attack": self.attack, "single edits": self.single_edits}
        spent, lengths = dict.fromkeys(works, 0.0), {name: [] for name in works}
        inside = dict.fromkeys(works, 0.0)
        squares = {size: np.zeros(2) for size in SQUARES}
        self.oracle().logits(generate(32, self._rng))  # caches filled, memory mapped
        alone = []
        for _ in range(ROUNDS):
            for name, prepare in works.items():
                work = prepare()
                self._counter.take()
                spent[name] += seconds(work, self._device)
                new, seconds_inside = self._counter.take()
                lengths[name].append(new)
                inside[name] += seconds_inside
            alone.append(self.separately())
            for size, total in squares.items():
                least = LEAST_SECONDS / ROUNDS
                total += multiply_for(size, least, self._device, DTYPES[self._precision])
        best = max(done / taken / 1e9 for done, taken in squares.values())
        measured = {}
        for name, parts in lengths.items():
            all_lengths = np.concatenate(parts)
            rate, n = len(all_lengths) / spent[name], len(all_lengths)
            gflops = all_operations(all_lengths) / spent[name] / 1e9
            measured[name] = Measured(gflops, rate, n, inside[name] / spent[name])
        return measured, best, min(alone)


def rows_of(bench: Bench, device: str, precision: str) -> list[table.Row]:
    """Measure and give both rows."""
    start = time.perf_counter()
    measured, best, alone = bench.measure()
    place = f"{'GPU' if device == 'cuda' else 'CPU'} {precision}"
    named = {
        "genetic attack": f"01 within a genetic attack, {place}",
        "single edits": f"06 {'certify k = 1' if precision == 'fp32' else 'mutagenesis'}, {place}",
    }
    rows = []
    for name, found in measured.items():
        remark = f"{found.n} forwards of 300 bp, {found.rate:.1f}/s"
        if device == "cpu":  # a GPU works on when a forward has returned
            remark += f"; {found.inside:.0%} of the time inside the forwards"
        if name == "single edits":
            remark += f"; separate forwards {1 / alone:.1f}/s: {found.rate * alone:.2f}×"
        rows.append(
            table.compared(
                named[name],
                found.gflops,
                "GFLOP/s",
                f"matrix product: {best:.4g} GFLOP/s",
                found.gflops / best,
                least=LEAST_SHARE[device],
                percent=True,
                remark=remark,
            )
        )
    print(f"{place}: {time.perf_counter() - start:.0f} s", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--precision", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--device", nargs="+", choices=LEAST_SHARE, default=None)
    parser.add_argument("--sequences", type=int, help="attacked in each round")
    parser.add_argument("--budget", type=int, help="queries of each attack")
    parser.add_argument("--positions", type=int, help="whose single edits are scored")
    table.add_option(parser)
    arguments = parser.parse_args()

    runtime.use(threads=len(os.sched_getaffinity(0)))
    model = make_model(np.random.default_rng(1))
    counter, rows = Counter(model), []
    devices = ["cpu", *["cuda"] * torch.cuda.is_available()]
    for device in arguments.device or devices:
        for precision in arguments.precision:
            given = {name: getattr(arguments, name) for name in Sizes._fields}
            sizes = SIZES[device, precision]._replace(**{k: v for k, v in given.items() if v})
            bench = Bench(model, counter, device, precision, sizes)
            rows += rows_of(bench, device, precision)
    table.merge(__file__, rows, arguments.table)


if __name__ == "__main__":
    main()
