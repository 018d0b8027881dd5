"""What a clean evaluation of a hardening round costs on cached features.

Full-size DNABERT-2 with random weights, frozen, reads random 300 bp sequences once: the cache.
Its head is trained on them, hardened for one round, and the round evaluated twice: on the
cached features, from the file to the metrics, and with the full model, from the strings to
the metrics. Both must predict the same class of every sequence, logits apart by rounding only,
and the first should cost under 2 % of the second. Loading the model, the same for both, is left
out.

The row of the table has the training too. That one encodes the adversaries of a round, however
large the split is, so it is held against encoding a test split of 5,920 sequences (prom_300_all),
from what one sequence takes here; evaluated are as many cached features.

The cache holds batches of another size than the full model reads, so that the two are no copies.

Run: `python tests/bench/round_evaluation.py`; writes results/bench/round_evaluation.json, merges
its row into results/bench/bench.json, and ends with status 1 where a prediction differs.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import table
import torch
from oracle_throughput import generate, make_model

from genosiege import files, runtime
from genosiege.sequence import classifier, hardening, metrics, prediction, splits
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.examples import Example
from genosiege.sequence.hardening import Hardening
from genosiege.sequence.oracle import CLOSE, Oracle

N_HARDENED = 16
N_TEST = 5920
LARGEST_SHARE = 0.02
REPEATS = 5


@dataclass(frozen=True)
class Comparison:
    """One evaluation, done twice; times in seconds."""

    device: str
    threads: int
    sequences: int
    largest_logit_difference: float
    predictions_that_differ: int
    predictions_of_class_1: int
    accuracy: float
    seconds_cached: float
    seconds_full_model: float
    share: float
    seconds_hardening: float
    seconds_cached_test_split: float

    @property
    def holds(self) -> bool:
        """Whether predictions agree."""
        return self.predictions_that_differ == 0 and self.largest_logit_difference <= CLOSE

    def row(self) -> table.Row:
        """Hold training and evaluation of a round against encoding the test split again."""
        round_ = self.seconds_hardening + self.seconds_cached_test_split
        again = self.seconds_full_model * N_TEST / self.sequences
        return table.compared(
            "05 hardening round, training and clean evaluation",
            round_,
            "s",
            f"encoding {N_TEST} sequences again: {again:.4g} s",
            round_ / again,
            most=LARGEST_SHARE,
            percent=True,
            remark=f"{self.device}; {N_HARDENED} adversaries; training {self.seconds_hardening} s, "
            f"evaluation {self.seconds_cached_test_split} s; rival from {self.sequences} sequences",
        )


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """Give a result and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def train_head(model: SequenceModel, split: splits.Split, rng: np.random.Generator) -> None:
    """Fit the head to labels, so that its predictions are of both classes.

    An untrained encoder gives nearly the same features for all sequences: the head's first
    layer is made to look at what differs.
    """
    first = model.classifier.head[1]
    with torch.no_grad():
        first.weight /= float(split.features.std(axis=0).mean())
        first.bias -= first.weight @ torch.from_numpy(split.features.mean(axis=0))
    data = (split.features, split.labels)
    options = classifier.Training(epochs=20, batch_size=16, learning_rate=0.01, patience=20)
    classifier.train_head(model.classifier.head, data, data, options, rng)


def harden(model: SequenceModel, sequences: list[str], rng: np.random.Generator) -> np.ndarray:
    """Train one round on sequences that are not in the cache."""
    examples = [
        Example(f"train:{i}", text, i % 2, "adversary", 1, 3) for i, text in enumerate(sequences)
    ]
    options = Hardening("adversarial_only", examples_per_round=len(examples), learning_rate=0.001)
    return np.array(hardening.harden(model, examples, [], options, rng, runtime.device()).losses)


def evaluate(model: SequenceModel, table_path: Path, cache: Path) -> np.ndarray:
    """Evaluate on cached features, from the files to the metrics."""
    test = splits.read_split(table_path, cache)
    logits = prediction.head_logits(model, test.features)
    metrics.classification_metrics(logits, test.labels)
    return logits


def write_split(
    sequences: list[str], labels: np.ndarray, features: np.ndarray, folder: Path
) -> tuple[Path, Path]:
    """Write a split and its cached features."""
    rows, cache = folder / f"{len(sequences)}.parquet", folder / f"{len(sequences)}.safetensors"
    files.write_parquet(pd.DataFrame({"sequence": sequences, "label": labels}), rows)
    files.write_tensors({"features": features}, cache)
    return rows, cache


def median_seconds(work: Callable[[], np.ndarray]) -> float:
    """Repeat what is short: a single run would measure the disk's mood."""
    return float(np.median([timed(work)[1] for _ in range(REPEATS)]))


def compare(n: int, folder: Path) -> Comparison:
    """Evaluate one round on cached features and with the full model."""
    rng = np.random.default_rng(1)
    model, device = make_model(rng), runtime.device()
    sequences, labels = generate(n, rng), rng.integers(2, size=n)
    encoded = prediction.encode(model, model.tokenizer.encode(sequences), 24, device)
    made = write_split(sequences, labels, encoded, folder)
    train_head(model, splits.read_split(*made), rng)
    _, seconds_hardening = timed(lambda: harden(model, generate(N_HARDENED, rng), rng))

    def with_model() -> np.ndarray:
        test = splits.read_split(made[0])
        oracle = Oracle(model, precision="fp32", batching="lockstep", batch_size=64)
        logits = oracle.logits(test.sequences)
        metrics.classification_metrics(logits, test.labels)
        return logits

    cached = evaluate(model, *made)
    seconds_cached = median_seconds(lambda: evaluate(model, *made))
    again = np.arange(N_TEST) % n
    large = write_split([sequences[i] for i in again], labels[again], encoded[again], folder)
    logits, seconds_full = timed(with_model)
    return Comparison(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        threads=torch.get_num_threads(),
        sequences=n,
        largest_logit_difference=float(np.abs(cached - logits).max()),
        predictions_that_differ=int((cached.argmax(axis=1) != logits.argmax(axis=1)).sum()),
        predictions_of_class_1=int(logits.argmax(axis=1).sum()),
        accuracy=float((logits.argmax(axis=1) == labels).mean()),
        seconds_cached=round(seconds_cached, 4),
        seconds_full_model=round(seconds_full, 3),
        share=round(seconds_cached / seconds_full, 5),
        seconds_hardening=round(seconds_hardening, 3),
        seconds_cached_test_split=round(median_seconds(lambda: evaluate(model, *large)), 3),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results/bench/round_evaluation.json")
    parser.add_argument("--sequences", type=int, default=96)
    table.add_option(parser)
    arguments = parser.parse_args()

    runtime.use(threads=len(os.sched_getaffinity(0)))
    with TemporaryDirectory() as folder:
        found = compare(arguments.sequences, Path(folder))
    files.write_json(asdict(found), arguments.output)
    print(
        f"{found.sequences} sequences, {found.device}, {found.threads} threads; one round of "
        f"hardening took {found.seconds_hardening} s\n"
        f"predictions that differ: {found.predictions_that_differ}, largest difference of a "
        f"logit {found.largest_logit_difference:.1e} (limit {CLOSE:.0e})\n"
        f"evaluation on cached features {found.seconds_cached} s, with the full model "
        f"{found.seconds_full_model} s: {found.share:.2%} (limit {LARGEST_SHARE:.0%})\n"
        f"Written: {arguments.output}"
    )
    table.merge(__file__, [found.row()], arguments.table)
    if not found.holds:
        sys.exit("Error: the cached evaluation is not the full model's.")


if __name__ == "__main__":
    main()
