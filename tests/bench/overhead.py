"""What a candidate of the genetic attack costs besides the model, on one core.

The attack runs as the workflow runs it: 300 bp, the constraints and options of
config/config.yaml, DNABERT-2's tokenizer where ../shared has it (else one trained here), the
oracle, its counts and its budget. The model is a sum of random token weights that no allowed edit
set flips, so that each search goes on to its budget; the time inside its forwards is taken out.

Run: `python tests/bench/overhead.py`; merges its row into results/bench/bench.json and writes
a profile of the same attack to results/bench/overhead.txt.
"""

import argparse
import os
import time
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import forwards
import numpy as np
import pandas as pd
import table
import torch
import yaml
from torch import nn

from genosiege import runtime
from genosiege.sequence import attacks, campaign
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.networks import Classifier, Encoder
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.tokenizer import BpeTokenizer

REPOSITORY = Path(__file__).resolve().parents[2]
PUBLISHED = REPOSITORY.parent / "shared" / "models" / "dnabert2_tokenizer" / "tokenizer.json"
LENGTH, TSS_INDEX = 300, 249
LIMIT = 20.0
PROFILE = "results/bench/overhead.txt"
OUT_OF_REACH = 40.0
"""Margin that no ten edits take away from a sum of small weights."""


class TokenWeights(Encoder):
    """Features that are sums of random weights of the tokens."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.width = 2
        weights = 0.3 * torch.randn(vocab_size, 2, generator=torch.Generator().manual_seed(0))
        self.weights = nn.Embedding.from_pretrained(weights)

    @property
    def embedding(self) -> nn.Module:
        return self.weights

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return (self.weights(input_ids) * attention_mask[..., None]).sum(dim=1)


class Shift(nn.Module):
    """Class 0 ahead of the other."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + torch.tensor([OUT_OF_REACH, 0.0])


class Measured(NamedTuple):
    """Seconds of the processor, those inside forwards, and candidates that were scored."""

    seconds: float
    in_forwards: float
    n: int

    @property
    def microseconds(self) -> float:
        """What a candidate costs besides the forwards."""
        return 1e6 * (self.seconds - self.in_forwards) / self.n


def make_tokenizer() -> BpeTokenizer:
    """Give DNABERT-2's tokenizer where it is at hand, or one as large."""
    if PUBLISHED.is_file():
        return BpeTokenizer.load(PUBLISHED)
    return BpeTokenizer.train(sequences(5000, 1), 4096)


def sequences(n: int, seed: int = 0) -> list[str]:
    """Draw sequences of uniform bases."""
    rng = np.random.default_rng(seed)
    rows = np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(4, size=(n, LENGTH))]
    return [row.tobytes().decode() for row in rows]


def unbeatable(tokenizer: BpeTokenizer) -> SequenceModel:
    """Make a model that costs next to nothing and that no allowed edit set flips."""
    classifier = Classifier(TokenWeights(tokenizer.vocab_size), Shift(), frozen=True).eval()
    return SequenceModel(tokenizer, classifier, 2, {}, None)


def attack(oracle: Oracle, model: SequenceModel, n: int, budget: int, **options: int) -> int:
    """Attack n sequences until the budget of each is spent; give the number of candidates."""
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    rules = Constraints.from_config(config["constraints"], TSS_INDEX)
    options = {"query_budget": budget, "patience": budget, **options}
    genetic = attacks.load(config["attacks"]["genetic"] | options)
    sample = pd.DataFrame({"sequence": sequences(n), "label": 0, "id": [f"s{i}" for i in range(n)]})
    rows = campaign.attack_sample(model, sample, genetic, rules, [0], oracle)
    return int(rows["n_queries_unique"].sum())


def measure(tokenizer: BpeTokenizer, n: int, budget: int) -> Measured:
    """Attack, and take the time inside forwards apart."""
    model = unbeatable(tokenizer)
    oracle = Oracle(model, batching="per_sequence", device=torch.device("cpu"))
    in_forwards = forwards.clock(oracle)
    start = time.process_time()
    n_candidates = attack(oracle, model, n, budget)
    return Measured(time.process_time() - start, in_forwards(), n_candidates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--budget", type=int, default=3000)
    parser.add_argument("--repeats", type=int, default=3)
    table.add_option(parser)
    arguments = parser.parse_args()

    runtime.use(threads=1)
    tokenizer, sizes = make_tokenizer(), (arguments.sequences, arguments.budget)
    runs = [measure(tokenizer, *sizes) for _ in range(arguments.repeats)]
    best = min(runs, key=lambda run: run.microseconds)
    table.profile(lambda: measure(tokenizer, *sizes), PROFILE)
    row = table.limited(
        "03 genetic attack without the model, one core",
        best.microseconds,
        "µs per candidate",
        LIMIT,
        remark=f"{best.n} candidates, best of {len(runs)}; forwards of "
        f"{1e6 * best.in_forwards / best.n:.1f} µs each taken out; selection, crossover, mutation "
        f"and scores are Python, one candidate at a time: {PROFILE}",
    )
    table.merge(__file__, [row], arguments.table)


if __name__ == "__main__":
    main()
