"""Natural mutants: as many edits as the adversary has, the rules kept, the documented law."""

import logging

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, chisquare
from toy_models import random_sequence, substitutions

from genosiege.detection import mutants
from genosiege.sequence.constraints import Constraints

TRANSITIONS = {"AG", "GA", "CT", "TC"}
RULES = Constraints(gc_shift="hard", gc_limit=0.05, edit_mask="hard", editable=((5, 70),))


def adversaries(n=10, length=80, n_edits=None, n_share=0.1, attack="genetic"):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "attack": attack,
            "attack_seed": 0,
            "id": [f"test:{i}" for i in range(n)],
            "label": np.arange(n) % 2,
            "original": [random_sequence(rng, length, n_share) for _ in range(n)],
            "n_edits": np.arange(n) % 10 + 1 if n_edits is None else n_edits,
            "adversarial": "not looked at",
        }
    )


def test_mutants_have_as_many_edits_and_keep_the_hard_rules():
    rows = adversaries()
    found = mutants.draw(rows, RULES, 5, seed=0)
    assert len(found) == 50
    assert found["copy"].tolist() == [1, 2, 3, 4, 5] * 10
    expected = rows.loc[rows.index.repeat(5)].reset_index(drop=True)
    kept = ["attack", "attack_seed", "id", "label", "original", "n_edits"]
    pd.testing.assert_frame_equal(found[kept], expected[kept])
    for row in found.itertuples():
        changed = substitutions(row.original, row.mutant)
        assert len(changed) == row.n_edits
        assert all(5 <= position < 70 and row.original[position] in "ACGT" for position in changed)
        assert set(changed.values()) <= set("ACGT")
        shift = sum(map(row.mutant.count, "GC")) - sum(map(row.original.count, "GC"))
        assert abs(shift) <= 0.05 * 80


def test_the_hard_rules_matter():
    free = mutants.draw(adversaries(), Constraints(), 5, seed=0)
    positions = [p for r in free.itertuples() for p in substitutions(r.original, r.mutant)]
    assert min(positions) < 5 and max(positions) >= 70


def test_changes_follow_the_documented_law():
    found = mutants.draw(adversaries(200, n_edits=5), Constraints(), 5, seed=1)
    edits = [
        (position, row.original[position] + base)
        for row in found.itertuples()
        for position, base in substitutions(row.original, row.mutant).items()
    ]
    kinds = [kind for _, kind in edits]
    n_transitions = sum(kind in TRANSITIONS for kind in kinds)
    assert len(kinds) == 5000
    assert binomtest(n_transitions, len(kinds), 0.67).pvalue > 0.001
    for old in "ACGT":
        others = [f"{old}{new}" for new in "ACGT" if new != old and old + new not in TRANSITIONS]
        assert chisquare([kinds.count(kind) for kind in others]).pvalue > 0.001
    # A tenth of each sequence is N: what may be edited is as often at every place.
    possible = np.zeros(80)
    for row in found.itertuples():
        free = np.array([letter != "N" for letter in row.original])
        possible += 5 * free / free.sum()
    counts = np.bincount([position for position, _ in edits], minlength=80)
    assert chisquare(counts, possible).pvalue > 0.001


def test_attack_seed_attack_id_and_seed_decide_a_mutant_and_nothing_else():
    rows = adversaries()
    found = mutants.draw(rows, RULES, 3, seed=0)
    pd.testing.assert_frame_equal(mutants.draw(rows, RULES, 3, seed=0), found)
    backwards = mutants.draw(rows.iloc[::-1], RULES, 3, seed=0)
    key = ["id", "copy"]
    pd.testing.assert_frame_equal(
        backwards.sort_values(key, ignore_index=True), found.sort_values(key, ignore_index=True)
    )
    fewer = mutants.draw(rows, RULES, 2, seed=0)
    assert fewer["mutant"].tolist() == found[found["copy"] < 3]["mutant"].tolist()
    for other in (
        mutants.draw(rows, RULES, 3, seed=1),
        mutants.draw(rows.assign(attack_seed=1), RULES, 3, seed=0),
        mutants.draw(rows.assign(attack="greedy"), RULES, 3, seed=0),
        mutants.draw(rows.assign(id="other:" + rows["id"]), RULES, 3, seed=0),
    ):
        assert (other["mutant"] != found["mutant"]).mean() > 0.8


def test_copies_differ():
    found = mutants.draw(adversaries(n_edits=8), RULES, 5, seed=0)
    assert (found.groupby("id")["mutant"].nunique() == 5).all()


@pytest.mark.parametrize(
    ("rules", "original"),
    [
        (Constraints(), "NNNNNANN"),  # one place for two edits
        (Constraints(transitions="hard", gc_shift="hard", gc_limit=0.0), "ANA"),  # GNG only
    ],
)
def test_a_sequence_without_a_mutant_gives_none_and_the_log_says_so(rules, original, caplog):
    rows = adversaries(2, n_edits=2)
    rows.loc[0, "original"] = original
    with caplog.at_level(logging.INFO):
        found = mutants.draw(rows, rules, 4, seed=0)
    assert found["id"].unique().tolist() == ["test:1"]
    assert "1 of 2 adversaries" in caplog.text


def test_no_adversary_gives_an_empty_table_of_the_same_columns():
    found = mutants.draw(adversaries(0), RULES, 5, seed=0)
    assert found.empty and list(found) == list(mutants.COLUMNS)
    assert found.dtypes.equals(mutants.draw(adversaries(1), RULES, 1, seed=0).dtypes)
