"""Seconds per attacked sequence of the genetic attack, beside the published search in plain form.

Both attack the same sequences that the model is right about, with one CPU thread each, and once
more with a GPU where there is one: a fine-tuned genomic language model of GUE's tf_0 and test rows
of that task where ../shared has them; else a model of its size with random weights, and random
sequences of 101 bp. The rival is `published_search.py`, population 100, patience 20, up to 200
generations; it begins no further sequence after `--seconds`. Ours is the attack as configured by
default, in fp32, which `precision: auto` takes for so small a model, from the check which sequences
the model is right about to the table; it attacks the same sequences `--repeats` times, with other
attack seeds. Flips are judged as in each search.

Run: `python tests/bench/genetic_attack.py`; merges its row into results/bench/bench.json and
writes a profile of ours to results/bench/genetic_attack.txt.
"""

import argparse
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import forwards
import numpy as np
import pandas as pd
import table
import torch
import transformers
import yaml
from published_search import PublishedSearch

from genosiege import runtime
from genosiege.sequence import attacks, campaign, encoders
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.tokenizer import BpeTokenizer

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
MODEL, ROWS = SHARED / "models" / "mistral_dna_tf0", SHARED / "data" / "gue" / "tf_0" / "test.csv"
LENGTH = 101
SPEC = {"kind": "hf", "train": "none"}
LEAST_RATIO = {"cpu": 150, "cuda": 500}
REPEATS = {"cpu": 5, "cuda": 32}
"""Attack seeds of ours: on a GPU all searches are at work at once, and few would not fill it."""
PROFILE = "results/bench/genetic_attack.txt"


class Measured(NamedTuple):
    """Seconds per sequence, flips and attacked sequences, and the share of time in forwards."""

    seconds: float
    n_flips: int
    n: int
    in_forwards: float | None = None

    @property
    def rate(self) -> float:
        """Share of flips."""
        return self.n_flips / self.n


def stand_in(folder: Path) -> None:
    """Write a checkpoint of the same kind and size with random weights."""
    rng = np.random.default_rng(0)
    BpeTokenizer.train(random_sequences(2000, rng), 4096).save(folder / "tokenizer.json")
    config = transformers.MixtralConfig(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=8,
        num_local_experts=8,
        num_experts_per_tok=1,
        max_position_embeddings=256,
        pad_token_id=3,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    transformers.MixtralForSequenceClassification(config).save_pretrained(folder)


def random_sequences(n: int, rng: np.random.Generator) -> list[str]:
    """Draw sequences of uniform bases."""
    return ["".join(rng.choice(list("ACGT"), LENGTH)) for _ in range(n)]


@contextmanager
def checkpoint() -> Iterator[Path]:
    """Give the folder of the model."""
    if MODEL.is_dir():
        yield MODEL
        return
    with TemporaryDirectory() as folder:
        stand_in(Path(folder))
        yield Path(folder)


def sample_of(model: SequenceModel, n: int, device: torch.device) -> pd.DataFrame:
    """Choose n sequences that the model is right about; it is right about random ones."""
    oracle = Oracle(model, device=device)
    if MODEL.is_dir() and ROWS.is_file():
        rows = pd.read_csv(ROWS).sample(frac=1, random_state=0)
        rows["sequence"] = rows["sequence"].str.upper()
        right = oracle.logits(list(rows["sequence"])).argmax(axis=1) == rows["label"]
        rows = rows[right].head(n)
    else:
        sequences = random_sequences(n, np.random.default_rng(1))
        labels = oracle.logits(sequences).argmax(axis=1)
        rows = pd.DataFrame({"sequence": sequences, "label": labels})
    return rows.assign(id=[f"test:{i}" for i in range(len(rows))]).reset_index(drop=True)


def measure_rival(
    folder: Path, sample: pd.DataFrame, seconds: float, device: torch.device
) -> Measured:
    """Attack in the published way, one sequence after another, until the time is over."""
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32
    )
    model.eval().to(device)

    @torch.no_grad()
    def score(sequence: str) -> np.ndarray:
        inputs = tokenizer(sequence, return_tensors="pt", return_token_type_ids=False)
        return torch.softmax(model(**inputs.to(device)).logits[0], dim=-1).cpu().numpy()

    score(sample["sequence"].iloc[0])  # warm
    random.seed(0)
    search, outcomes = PublishedSearch(score), []
    start = time.perf_counter()
    for sequence, label in zip(sample["sequence"], sample["label"], strict=True):
        outcomes.append(search.attack(sequence, int(label)))
        spent = time.perf_counter() - start
        print(f"rival: {len(outcomes)} of {len(sample)}, {spent / len(outcomes):.2f} s each")
        if spent > seconds:
            break
    return Measured(spent / len(outcomes), sum(o.flips for o in outcomes), len(outcomes))


def measure_ours(
    model: SequenceModel, sample: pd.DataFrame, repeats: int, device: torch.device
) -> Measured:
    """Attack as the workflow does, with as many attack seeds as repeats."""
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    rules = Constraints.from_config(config["constraints"])
    attack = attacks.load(config["attacks"]["genetic"])
    oracle = Oracle(model, batching="auto", device=device)
    campaign.attack_sample(model, sample[:1], attack, rules, [99], oracle)  # warm
    in_forwards = forwards.clock(oracle)
    start, start_of_work = time.perf_counter(), time.process_time()
    rows = campaign.attack_sample(model, sample, attack, rules, range(repeats), oracle)
    spent, worked = time.perf_counter() - start, time.process_time() - start_of_work
    flips = int(rows["flipped_in_search"].sum())
    return Measured(spent / len(rows), flips, len(rows), in_forwards() / worked)


def row_of(folder: Path, device: str, n: int, seconds: float, repeats: int | None) -> table.Row:
    """Measure both on a device."""
    place = torch.device(device)
    model = encoders.build(SPEC, [str(folder)], 2)
    sample = sample_of(model, n, place)
    rival = measure_rival(folder, sample, seconds, place)
    attacked, seeds = sample[: rival.n], repeats or REPEATS[device]
    ours = measure_ours(model, attacked, seeds, place)
    remark = (
        f"flips {ours.n_flips}/{ours.n} ({rival.n} sequences), rival's {rival.n_flips}/{rival.n}; "
        f"{'tf_0' if folder == MODEL else 'random weights'}"
    )
    if device == "cpu":
        table.profile(lambda: measure_ours(model, attacked, seeds, place), PROFILE)
        remark += f"; {ours.in_forwards:.0%} of the time inside the model's own forwards: {PROFILE}"
    row = table.compared(
        f"02 genetic attack, {'one thread' if device == 'cpu' else 'GPU'}",
        ours.seconds,
        "s per sequence",
        f"published search, one forward per candidate: {rival.seconds:.3g} s",
        rival.seconds / ours.seconds,
        least=LEAST_RATIO[device],
        remark=remark,
    )
    if ours.rate < rival.rate:
        return replace(row, met=False, remark=f"FEWER FLIPS: {row.remark}")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=16, help="most that the rival attacks")
    parser.add_argument("--seconds", type=float, default=80.0, help="after which it begins no more")
    parser.add_argument("--repeats", type=int, help="attack seeds of ours")
    table.add_option(parser)
    arguments = parser.parse_args()

    runtime.use(threads=1)
    sizes = (arguments.sequences, arguments.seconds, arguments.repeats)
    with checkpoint() as folder:
        devices = ["cpu", *["cuda"] * torch.cuda.is_available()]
        rows = [row_of(folder, device, *sizes) for device in devices]
    table.merge(__file__, rows, arguments.table)


if __name__ == "__main__":
    main()
