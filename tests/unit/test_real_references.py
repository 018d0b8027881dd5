"""Searches without chance, or with enough of it, against what was measured on a real model.

The published Mixtral for GUE tf_0 as it is, all its 749 correctly classified test sequences, at
most 5 edits, no constraints. The certificate and the genetic attack have tests of their own.
"""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from toy_models import substitutions

from genosiege import runtime
from genosiege.data import gue
from genosiege.sequence import attacks, campaign, encoders
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.oracle import Oracle

pytestmark = pytest.mark.real

N_CORRECT = 749
N_ONE_EDIT_FLIPS = 346


class Setting(NamedTuple):
    model: SequenceModel
    sample: pd.DataFrame


@pytest.fixture(scope="module")
def setting(shared: Path) -> Setting:
    """The model, and the test split it is attacked on."""
    runtime.use(threads=1)
    folder = str(shared / "models/mistral_dna_tf0")
    spec = {"kind": "hf", "source": {"kind": "path", "path": folder}, "train": "none"}
    sample = gue.read(shared / "data/gue/tf_0/test.csv").table
    sample.insert(0, "id", [f"test:{row}" for row in range(len(sample))])
    return Setting(encoders.build(spec, [folder], n_classes=2), sample)


def attack(setting: Setting, **entry) -> pd.DataFrame:
    """Give the rows of all sequences that were attacked, with their number of edits."""
    oracle = Oracle(setting.model, precision="fp32", batching="per_sequence")
    rows = campaign.attack_sample(
        setting.model, setting.sample, attacks.load(entry), Constraints(), [0], oracle
    )
    attacked = rows[~rows["skipped"]]
    pairs = zip(attacked["original"], attacked["adversarial"], strict=True)
    attacked = attacked.assign(n_edits=[len(substitutions(*pair)) for pair in pairs])
    queries = attacked["n_queries_unique"]
    print(
        f"{entry['kind']}: {attacked['flipped_in_search'].sum()} of {len(attacked)} flipped, "
        f"queries {queries.median():.0f} (median), {queries.mean():.0f} (mean)"
    )
    assert len(attacked) == N_CORRECT
    assert (attacked["n_edits"] <= entry["max_edits"]).all()
    assert (queries <= entry.get("query_budget", 10_000)).all()
    return attacked


def test_greedy_flips_what_exact_in_silico_mutagenesis_flips(setting):
    attacked = attack(setting, kind="greedy", max_edits=5)
    flips = attacked[attacked["flipped_in_search"]]

    assert len(flips) == pytest.approx(727, abs=2)
    # Its first step is exact: whoever one edit flips is flipped by one edit.
    assert (flips["n_edits"] == 1).sum() == N_ONE_EDIT_FLIPS
    # The original and three substitutions of each base.
    one_step = 1 + 3 * flips["original"].str.len()
    assert (flips["n_queries_unique"] == one_step)[flips["n_edits"] == 1].all()


def test_random_edits_flip_as_many_as_best_of_300_did(setting):
    attacked = attack(setting, kind="random", max_edits=5, query_budget=300)

    # 625 were measured; a binomial count of that size is off by 20 at most, nearly always.
    assert 603 <= attacked["flipped_in_search"].sum() <= 643
    failed = attacked[~attacked["flipped_in_search"]]
    assert (failed["n_edits"] == 5).all()
    assert (failed["n_queries_unique"] == 300).all()
