"""Sequences per second through the oracle, as a share of what the machine's cores can multiply.

Full-size DNABERT-2 with random weights and our head reads random 300 bp sequences. Beside it,
in the same run, dense squares are multiplied in the same precision (best of 1024, 2048, 4096,
each for at least 3 s). Both take turns, so that other work on the machine weighs on both alike.

Operations of one sequence of t tokens, a multiplication and an addition counting as two, with
L layers, width h, inner width m:

    L · (2 t (3 h² + h² + 2 h m + m h) + 4 t² h)

that is Wqkv, the attention's output, gated_layers and wo; then queries × keys and weights ×
values. Padding, norms, GELU, softmax, embeddings, head, tokenizing: time, but no operations.

Run: `python tests/bench/oracle_throughput.py`; writes results/bench/oracle_throughput.json, and
merges its rows into results/bench/bench.json.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import table
import torch

from genosiege import files, runtime
from genosiege.sequence.dnabert2 import Architecture, DnaBert2
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.networks import Classifier, Pooled, make_head
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.tokenizer import BpeTokenizer

REPOSITORY = Path(__file__).resolve().parents[2]
PUBLISHED = REPOSITORY.parent / "shared" / "models" / "dnabert2_tokenizer" / "tokenizer.json"
DNABERT2 = Architecture(
    vocab_size=4096,
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    intermediate_size=3072,
)
LENGTH = 300
SQUARES = (1024, 2048, 4096)
ROUNDS = 4
SECONDS_PER_SQUARE_AND_ROUND = 0.8
LEAST_SHARE = {"cpu": 0.7, "cuda": 0.5}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Measurement:
    """One line of the table; rates in GFLOP/s."""

    device: str
    precision: str
    threads: int
    batch_size: int
    sequences: int
    tokens_per_sequence: float
    sequences_per_second: float
    oracle_gflops: float
    matrix_product_gflops: float
    matrix_product_size: int
    share: float


def operations(architecture: Architecture, n_tokens: int) -> int:
    """Count the operations of one unpadded sequence; formula above."""
    width, inner = architecture.hidden_size, architecture.intermediate_size
    linear = 2 * n_tokens * (4 * width**2 + 3 * width * inner)
    attention = 4 * n_tokens**2 * width
    return architecture.num_hidden_layers * (linear + attention)


def generate(n: int, rng: np.random.Generator) -> list[str]:
    """Draw sequences of uniform bases."""
    rows = np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(4, size=(n, LENGTH))]
    return [row.tobytes().decode() for row in rows]


def make_model(rng: np.random.Generator) -> SequenceModel:
    """Make the full-size model; DNABERT-2's own tokenizer where it is at hand."""
    if PUBLISHED.is_file():
        tokenizer = BpeTokenizer.load(PUBLISHED)
    else:
        tokenizer = BpeTokenizer.train(generate(5000, rng), DNABERT2.vocab_size)
    encoder = DnaBert2.fresh(DNABERT2, torch.Generator().manual_seed(0))
    head = make_head(DNABERT2.hidden_size, 2)
    classifier = Classifier(Pooled(encoder, DNABERT2.hidden_size, "cls"), head, frozen=True)
    return SequenceModel(tokenizer, classifier.eval(), 2, {"kind": "dnabert2"}, None)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time one call, to the end of what it started on the device."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def multiply_for(size: int, least: float, device: torch.device, dtype: torch.dtype) -> tuple:
    """Multiply squares for at least `least` seconds: operations done, seconds taken."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = torch.empty_like(left)

    def one() -> None:
        torch.mm(left, right, out=product)

    once = seconds(one, device), seconds(one, device)
    repeats = max(1, int(0.1 / once[1]))
    done, taken = 0, 0.0
    while taken < least:
        taken += seconds(lambda: [one() for _ in range(repeats)], device)
        done += repeats * 2 * size**3
    return done, taken


def measure(
    model: SequenceModel, precision: str, device: torch.device, n: int, batch_size: int
) -> Measurement:
    """Let squares and oracle take turns, and compare their rates over all rounds."""
    oracle = Oracle(
        model, precision=precision, batching="auto", batch_size=batch_size, device=device
    )
    rng = np.random.default_rng(0)
    oracle.logits(generate(2 * batch_size, rng))  # caches filled, memory mapped
    squares = {size: np.zeros(2) for size in SQUARES}
    scored, lengths = 0.0, []
    for _ in range(ROUNDS):
        sequences = generate(n, rng)
        lengths += model.tokenizer.encode(sequences).lengths.tolist()
        scored += seconds(lambda given=sequences: oracle.logits(given), device)
        for size, total in squares.items():
            total += multiply_for(size, SECONDS_PER_SQUARE_AND_ROUND, device, DTYPES[precision])
    rates = {size: done / taken / 1e9 for size, (done, taken) in squares.items()}
    best = max(rates, key=rates.__getitem__)
    rate = sum(operations(DNABERT2, t) for t in lengths) / scored / 1e9
    return Measurement(
        device=_name(device),
        precision=precision,
        threads=torch.get_num_threads(),
        batch_size=batch_size,
        sequences=len(lengths),
        tokens_per_sequence=round(float(np.mean(lengths)), 1),
        sequences_per_second=round(len(lengths) / scored, 2),
        oracle_gflops=round(rate, 1),
        matrix_product_gflops=round(rates[best], 1),
        matrix_product_size=best,
        share=round(rate / rates[best], 3),
    )


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()})"


def row_of(one: Measurement) -> table.Row:
    """Give the row of a measurement."""
    kind = "cpu" if one.device.startswith("CPU") else "cuda"
    return table.compared(
        f"01 oracle alone, {'CPU' if kind == 'cpu' else 'GPU'} {one.precision}",
        one.oracle_gflops,
        "GFLOP/s",
        f"matrix product: {one.matrix_product_gflops:.4g} GFLOP/s",
        one.share,
        least=LEAST_SHARE[kind],
        percent=True,
        remark=f"{one.sequences} sequences of {LENGTH} bp, {one.sequences_per_second}/s",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results/bench/oracle_throughput.json")
    parser.add_argument("--precision", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--sequences", type=int, help="per round; default some seconds' worth")
    table.add_option(parser)
    arguments = parser.parse_args()

    runtime.use(threads=len(os.sched_getaffinity(0)))
    model = make_model(np.random.default_rng(1))
    devices = [(torch.device("cpu"), 64)]
    if torch.cuda.is_available():
        devices.append((torch.device("cuda"), 4096))
    measured = [
        measure(model, precision, device, arguments.sequences or n, arguments.batch_size)
        for device, n in devices
        for precision in arguments.precision
    ]
    files.write_json([asdict(one) for one in measured], arguments.output)
    print(
        f"{'device':<24}{'precision':<11}{'sequences/s':>12}{'GFLOP/s':>10}{'matrices':>10}  share"
    )
    for one in measured:
        print(
            f"{one.device:<24}{one.precision:<11}{one.sequences_per_second:>12}"
            f"{one.oracle_gflops:>10}{one.matrix_product_gflops:>10}  {one.share:.1%}"
        )
    print(f"Written: {arguments.output}")
    table.merge(__file__, [row_of(one) for one in measured], arguments.table)


if __name__ == "__main__":
    main()
