"""Tokenizing mutants beside reading each whole string again with the fast tokenizer, one core.

Two kinds: all point mutants of sequences of 300 bp, and what a genetic attack asks about, in
its own batches (see `overhead.py`). The rival is the `tokenizers` library, called on the
same batches. Both take turns, best of several, and must give the same ids. What is remembered of
earlier batches is forgotten before each turn.

Run: `python tests/bench/tokenisation.py`; merges its rows into results/bench/bench.json, and ends
with status 1 where ids differ.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import overhead
import table
import torch

from genosiege import runtime
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.retokenizer import Retokenizer
from genosiege.sequence.tokenizer import BpeTokenizer, Tokens

Batch = tuple[list[str], list[str | None]]
"""Sequences, and the original of each."""


def point_mutants(n: int) -> list[Batch]:
    """Give all point mutants of n sequences, a batch for each."""
    batches: list[Batch] = []
    for text in overhead.sequences(n, 2):
        mutants = [
            text[:place] + base + text[place + 1 :]
            for place, old in enumerate(text)
            for base in "ACGT"
            if base != old
        ]
        batches.append((mutants, [text] * len(mutants)))
    return batches


def candidates(tokenizer: BpeTokenizer, n: int, budget: int) -> list[Batch]:
    """Give what the oracle tokenizes in a genetic attack on n sequences."""
    batches: list[Batch] = []
    model = overhead.unbeatable(tokenizer)
    oracle = Oracle(model, device=torch.device("cpu"))
    encode = oracle._encode

    def recorded(texts: Sequence[str], originals: Sequence[str | None]) -> Tokens:
        batches.append((list(texts), list(originals)))
        return encode(texts, originals)

    oracle._encode = recorded
    overhead.attack(oracle, model, n, budget)
    return batches


def turns(tokenizer: BpeTokenizer, batches: list[Batch], repeats: int) -> tuple[float, float]:
    """Give the best seconds of ours and of the library."""
    best = [float("inf")] * 2
    for _ in range(repeats):
        ours = Retokenizer(tokenizer)
        start = time.process_time()
        found = [ours.encode(*batch) for batch in batches]
        middle = time.process_time()
        expected = [tokenizer.encode(texts) for texts, _ in batches]
        end = time.process_time()
        best = [min(best[0], middle - start), min(best[1], end - middle)]
    for one, other in zip(found, expected, strict=True):
        if one.ids.tolist() != other.ids.tolist() or one.offsets.tolist() != other.offsets.tolist():
            sys.exit("Error: mutants are tokenized otherwise than whole strings.")
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--budget", type=int, default=3000)
    parser.add_argument("--repeats", type=int, default=5)
    table.add_option(parser)
    arguments = parser.parse_args()

    runtime.use(threads=1)
    tokenizer, rows = overhead.make_tokenizer(), []
    kinds = (
        ("point mutants", point_mutants(arguments.sequences), 3),
        (
            "genetic candidates",
            candidates(tokenizer, arguments.sequences, arguments.budget),
            1,
        ),
    )
    for name, batches, least in kinds:
        n = sum(len(texts) for texts, _ in batches)
        ours, library = turns(tokenizer, batches, arguments.repeats)
        rows.append(
            table.compared(
                f"04 tokenizing {name}, one core",
                1e6 * ours / n,
                "µs per string",
                f"whole strings, fast tokenizer: {1e6 * library / n:.1f} µs",
                library / ours,
                least=least,
                remark=f"{n} strings of 300 bp, best of {arguments.repeats}, same ids",
            )
        )
    table.merge(__file__, rows, arguments.table)


if __name__ == "__main__":
    main()
