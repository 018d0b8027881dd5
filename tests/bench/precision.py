"""What bf16 does to the results of an attack: success rates and edits beside those of fp32.

The genetic attack as configured by default, and with fewer edits, on the sequences that a model
is right about, once with the search in fp32 and once in bf16, under the same random streams.
Every adversary is scored again in fp32, as the workflow does, so a flip is a flip of the exact
model in both. The models: a fine-tuned genomic language model of GUE's tf_0, where ../shared has
it, and the DNABERT-2 that `make demo` trains, where the demo is complete.

Run: `python tests/bench/precision.py`; merges its rows into results/bench/bench.json.
"""

import argparse
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd
import table
import yaml
from genetic_attack import MODEL, REPOSITORY, ROWS, SPEC

from genosiege import runtime
from genosiege.comparisons import mcnemar
from genosiege.sequence import attacks, campaign, encoders, rescoring
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.oracle import Oracle

DEMO = REPOSITORY / "results" / "demo"
TASK, ENCODER = "planted_promoters", "dnabert2_small"


class Attacked(NamedTuple):
    """A model, and what of its task is attacked."""

    name: str
    model: SequenceModel
    rows: pd.DataFrame
    tss_index: int | None


def fine_tuned(n: int) -> Iterator[Attacked]:
    """Give the model of tf_0 with test rows."""
    if MODEL.is_dir() and ROWS.is_file():
        rows = pd.read_csv(ROWS)
        rows = rows.sample(min(n, len(rows)), random_state=0).reset_index(drop=True)
        rows = rows.assign(sequence=rows["sequence"].str.upper(), id=[f"t{i}" for i in rows.index])
        yield Attacked("tf_0", encoders.build(SPEC, [str(MODEL)], 2), rows, None)


def of_the_demo(n: int) -> Iterator[Attacked]:
    """Give the demo's DNABERT-2 with test rows."""
    folder = DEMO / "sequence" / TASK / ENCODER
    weights = folder / "seed0" / "baseline" / "model.safetensors"
    if weights.is_file():
        config = json.loads((DEMO / "config.json").read_text())
        entry = config["encoders"][ENCODER]
        spec = {name: entry[name] for name in ("kind", "architecture", "frozen")}
        files = ("encoder.safetensors", "encoder.json", "tokenizer.json")
        model = encoders.load(str(weights), spec, [str(folder / file) for file in files])
        rows = pd.read_parquet(DEMO / "data" / TASK / "test.parquet")
        rows = rows.sample(min(n, len(rows)), random_state=0).reset_index(drop=True)
        yield Attacked("the demo's DNABERT-2", model, rows, config["tasks"][TASK]["tss_index"])


def attack(one: Attacked, precision: str, max_edits: int) -> rescoring.Rescored:
    """Attack in a precision, and score again in fp32."""
    config: dict[str, Any] = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    rules = Constraints.from_config(config["constraints"], one.tss_index)
    genetic = attacks.load(config["attacks"]["genetic"] | {"max_edits": max_edits})
    oracle = Oracle(one.model, precision=precision)
    found = campaign.attack_sample(one.model, one.rows, genetic, rules, [0], oracle)
    return rescoring.rescore(one.model, found, rules, max_edits, oracle.batch_size)


def row_of(one: Attacked, max_edits: int) -> table.Row:
    """Compare both precisions."""
    exact, rounded = (attack(one, precision, max_edits) for precision in ("fp32", "bf16"))
    right = exact.rows["correct_before"].to_numpy()
    flips = [found.rows["success_flip"].to_numpy()[right] for found in (rounded, exact)]
    change = mcnemar(*flips)
    edits = [found.rows.loc[found.rows["success_flip"], "n_edits"] for found in (rounded, exact)]
    queries = [found.rows.loc[right, "n_queries_unique"].mean() for found in (rounded, exact)]
    low, high = (100 * end for end in change.interval)
    undone = [found.search_flips_lost for found in (rounded, exact)]
    return table.compared(
        f"13 bf16 in the search, {one.name}, ≤ {max_edits} edits",
        100 * change.difference,
        "points of success",
        f"fp32: {flips[1].mean():.1%} of {len(flips[1])}",
        None,
        remark=f"95 % interval {low:+.1f} to {high:+.1f}; flips {flips[0].sum()} and "
        f"{flips[1].sum()} (bf16 and fp32), mean edits {edits[0].mean():.2f} and "
        f"{edits[1].mean():.2f}, queries {queries[0]:.0f} and {queries[1]:.0f}, flips of the "
        f"search that scoring again undid {undone[0]} and {undone[1]}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=300)
    parser.add_argument("--max-edits", type=int, nargs="+", default=[3, 10])
    table.add_option(parser)
    arguments = parser.parse_args()

    runtime.use(threads=len(os.sched_getaffinity(0)))
    models = [*fine_tuned(arguments.sequences), *of_the_demo(arguments.sequences)]
    rows = [row_of(one, max_edits) for one in models for max_edits in arguments.max_edits]
    if not rows:
        why = "neither ../shared nor a finished demo has a trained model"
        rows = [table.missing("13 bf16 in the search", "points of success", "", why)]
    table.merge(__file__, rows, arguments.table)


if __name__ == "__main__":
    main()
