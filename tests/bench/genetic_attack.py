"""Seconds per attacked sequence of the genetic attack, beside the published search in plain form.

Both attack the same sequences that the model is right about, with one CPU thread each, and once
more with a GPU where there is one: a fine-tuned genomic language model of GUE's tf_0 and test rows
of that task where ../shared has them; else a model of its size with random weights, and random
sequences of 101 bp. The rival is `published_search.py`, population 100, patience 20, up to 200
generations; it begins no further sequence after `--seconds`. Ours is the attack as configured by
default, in fp32, which `precision: auto` takes for so small a model, from the check whether
the model is right about a sequence to the table, `--repeats` times with other attack seeds. Both
take turns, a sequence at a time. Flips are judged as in each search.

Run: `python tests/bench/genetic_attack.py`; merges its row into results/bench/bench.json and
writes a profile of ours to results/bench/genetic_attack.txt.
"""

import argparse
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import forwards
import numpy as np
import pandas as pd
import table
import torch
import transformers
import yaml
from published_search import PublishedSearch, Score

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
REPEATS = {"cpu": 5, "cuda": 512}
"""Attack seeds of ours: on a GPU so many searches run at once, and few would not fill it."""
PROFILE = "results/bench/genetic_attack.txt"


class Side:
    """Seconds on the clock and of the processor, flips and sequences of one of both."""

    def __init__(self) -> None:
        self.seconds = self.worked = 0.0
        self.n_flips = self.n = 0

    def do(self, attack: Callable[[pd.DataFrame], int], one: pd.DataFrame) -> None:
        """Attack one sequence."""
        start, start_of_work = time.perf_counter(), time.process_time()
        self.n_flips += attack(one)
        self.seconds += time.perf_counter() - start
        self.worked += time.process_time() - start_of_work
        self.n += 1


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


def score_of(folder: Path, device: torch.device) -> Score:
    """Give what tokenizes and scores one sequence, as the rival does it."""
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32
    )
    model.eval().to(device)

    @torch.no_grad()
    def score(sequence: str) -> np.ndarray:
        inputs = tokenizer(sequence, return_tensors="pt", return_token_type_ids=False)
        return torch.softmax(model(**inputs.to(device)).logits[0], dim=-1).cpu().numpy()

    return score


def attack_with(
    model: SequenceModel, seeds: Sequence[int], device: torch.device
) -> tuple[Callable[[pd.DataFrame], int], Callable[[], float]]:
    """Give our attack, from a sample to its flips, and what tells its seconds in forwards."""
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    rules = Constraints.from_config(config["constraints"])
    genetic = attacks.load(config["attacks"]["genetic"])
    oracle = Oracle(model, batching="auto", device=device)

    def attack(sample: pd.DataFrame) -> int:
        rows = campaign.attack_sample(model, sample, genetic, rules, seeds, oracle)
        return int(rows["flipped_in_search"].sum())

    return attack, forwards.clock(oracle)


def in_turns(
    sample: pd.DataFrame, rival: PublishedSearch, attack: Callable[[pd.DataFrame], int], most: float
) -> tuple[Side, Side]:
    """Let both attack one sequence after the other, until the rival has spent its time."""
    published, ours = Side(), Side()
    for place in range(len(sample)):
        one = sample[place : place + 1]
        published.do(
            lambda row: rival.attack(row["sequence"].item(), row["label"].item()).flips, one
        )
        ours.do(attack, one)
        print(f"{place + 1} of {len(sample)}: {published.seconds:.1f} and {ours.seconds:.2f} s")
        if published.seconds > most:
            break
    return published, ours


def row_of(folder: Path, device: str, n: int, most: float, repeats: int | None) -> table.Row:
    """Measure both on a device."""
    place, n_seeds = torch.device(device), repeats or REPEATS[device]
    model = encoders.build(SPEC, [str(folder)], 2)
    sample = sample_of(model, n, place)
    score = score_of(folder, place)
    attack, in_forwards = attack_with(model, range(n_seeds), place)
    # Both warm before they are timed.
    score(sample["sequence"].iloc[0])
    attack(sample[:1])
    before = in_forwards()
    random.seed(0)
    rival, ours = in_turns(sample, PublishedSearch(score), attack, most)
    each, each_of_ours = rival.seconds / rival.n, ours.seconds / (n_seeds * ours.n)
    flips = f"{ours.n_flips}/{n_seeds * ours.n}"
    remark = (
        f"flips {flips} ({ours.n} sequences), rival's {rival.n_flips}/{rival.n}; "
        f"{'tf_0' if folder == MODEL else 'random weights'}"
    )
    if device == "cpu":
        share = (in_forwards() - before) / ours.worked
        table.profile(lambda: attack(sample[: ours.n]), PROFILE)
        remark += f"; {share:.0%} of the time inside the model's own forwards: {PROFILE}"
    row = table.compared(
        f"02 genetic attack, {'one thread' if device == 'cpu' else 'GPU'}",
        each_of_ours,
        "s per sequence",
        f"published search, one forward per candidate: {each:.3g} s",
        each / each_of_ours,
        least=LEAST_RATIO[device],
        remark=remark,
    )
    if ours.n_flips < n_seeds * rival.n_flips:
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
