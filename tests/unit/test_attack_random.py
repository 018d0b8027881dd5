"""The random attack draws every allowed edit set alike, and none twice."""

import numpy as np
import pytest
from scipy.stats import chisquare
from searching import edit_sets, flat, mutants, rugged, run
from toy_models import apply, linear_score, random_sequence, substitutions

from genosiege.errors import InputError
from genosiege.sequence.attacks.random import Options
from genosiege.sequence.constraints import Constraints, is_transition

SEQUENCE = random_sequence(np.random.default_rng(1), 60)


def never(candidates):
    return np.ones(len(candidates))


def proposals(sequence, max_edits, budget, rules=None, seed=0, score=never):
    asked = []
    entry = {"kind": "random", "max_edits": max_edits, "query_budget": budget}
    return run(entry, sequence, score, rules, seed, asked), asked


def test_every_candidate_is_new_and_has_exactly_the_allowed_number_of_edits():
    found, asked = proposals(SEQUENCE, 5, 2_000)
    candidates = flat(asked)[:2_000]
    assert len(set(candidates)) == 2_000
    assert {len(substitutions(SEQUENCE, candidate)) for candidate in candidates} == {5}
    assert found.stop_reason == "query_budget"
    assert not found.succeeded


def test_positions_and_bases_are_uniform():
    _, asked = proposals(SEQUENCE, 4, 6_000)
    edits = [e for c in flat(asked) for e in substitutions(SEQUENCE, c).items()]
    positions = np.bincount([p for p, _ in edits], minlength=60)
    assert chisquare(positions).pvalue > 0.001
    ranks = ["ACGT".replace(SEQUENCE[p], "").index(base) for p, base in edits]
    assert chisquare(np.bincount(ranks)).pvalue > 0.001


def test_soft_rules_do_not_bend_the_draws():
    rules = Constraints(transitions="soft", transition_weight=0.7, gc_shift="soft")
    _, asked = proposals(SEQUENCE, 4, 3_000, rules)
    edits = [e for c in flat(asked) for e in substitutions(SEQUENCE, c).items()]
    share = np.mean([is_transition(SEQUENCE[p], base) for p, base in edits])
    assert share == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("most_listed", [0, 5_000])
def test_sets_that_keep_a_hard_rule_stay_equally_likely(monkeypatch, most_listed):
    monkeypatch.setattr("genosiege.sequence.attacks.random._MOST_LISTED", most_listed)
    monkeypatch.setattr("genosiege.sequence.attacks.blind._PROPOSAL", 1)
    sequence = "ACGTAACC"
    rules = Constraints(gc_shift="hard", gc_limit=0.0)
    bound = rules.bind(sequence)
    allowed = [apply(sequence, e) for e in edit_sets(sequence, 2) if bound.allows(e)]
    assert 0 < len(allowed) < len(mutants(sequence, 2))
    n = 15 * len(allowed)
    first = [flat(proposals(sequence, 2, 1, rules, seed)[1])[0] for seed in range(n)]
    counts = [first.count(candidate) for candidate in allowed]
    assert sum(counts) == n
    assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("most_listed", [0, 5_000])
@pytest.mark.parametrize(("sequence", "max_edits", "size"), [("ACGT", 2, 2), ("AC", 9, 2)])
def test_a_small_space_is_searched_through(monkeypatch, most_listed, sequence, max_edits, size):
    monkeypatch.setattr("genosiege.sequence.attacks.random._MOST_LISTED", most_listed)
    found, asked = proposals(sequence, max_edits, 10_000)
    assert sorted(flat(asked)) == sorted(mutants(sequence, size))
    assert found.stop_reason == "exhausted"


@pytest.mark.parametrize("sequence", ["", "NNNN"])
def test_where_nothing_may_be_edited_nothing_is_asked(sequence):
    found, asked = proposals(sequence, 3, 100)
    assert asked == []
    assert found == ({}, 0, "exhausted", False, "")


@pytest.mark.parametrize("most_listed", [0, 5_000])
def test_where_no_set_is_allowed_smaller_ones_are_tried(monkeypatch, most_listed):
    monkeypatch.setattr("genosiege.sequence.attacks.random._MOST_LISTED", most_listed)
    # Transitions change the GC content, so only even sets can keep it: pairs of three.
    rules = Constraints(gc_shift="hard", gc_limit=0.0, transitions="hard")
    found, asked = proposals("AACC", 3, 100, rules)
    assert set(flat(asked)) == {"GATC", "GACT", "AGTC", "AGCT"}
    assert len(flat(asked)) == 4
    assert found.stop_reason == "exhausted"


def test_a_rule_that_forbids_everything_ends_the_search():
    rules = Constraints(gc_shift="hard", gc_limit=0.0, transitions="hard")
    found, asked = proposals("A" * 400, 5, 10_000, rules)
    assert asked == []
    assert found.stop_reason == "exhausted"


def test_hard_transitions_are_all_there_is():
    rules = Constraints(transitions="hard")
    _, asked = proposals(SEQUENCE, 5, 500, rules)
    edits = [e for c in flat(asked) for e in substitutions(SEQUENCE, c).items()]
    assert all(is_transition(SEQUENCE[p], base) for p, base in edits)


def test_the_best_candidate_within_the_budget_is_returned():
    score = linear_score(np.random.default_rng(3).normal(size=(60, 4)), 200.0)
    for budget in (1, 49, 50, 51, 120):
        found, asked = proposals(SEQUENCE, 3, budget, score=score)
        answered = flat(asked)[:budget]
        assert apply(SEQUENCE, found.edits) == answered[score(answered).argmin()]
        assert found.stop_reason == "query_budget"


def test_a_larger_budget_asks_the_same_and_then_more():
    small, large = flat(proposals(SEQUENCE, 4, 70)[1]), flat(proposals(SEQUENCE, 4, 400)[1])
    assert large[: len(small)] == small


def test_it_stops_at_the_first_flip_and_prunes_it():
    weights = np.random.default_rng(4).normal(size=(60, 4))
    score = linear_score(weights, 10 - linear_score(weights)([SEQUENCE])[0])
    found, asked = proposals(SEQUENCE, 6, 10_000, score=score)
    flips = [bool((score(proposal) < 0).any()) for proposal in asked]
    first = flips.index(True)
    assert first > 0
    # What follows the proposal with the flip is pruning.
    lowest = asked[first][score(asked[first]).argmin()]
    assert all(
        substitutions(SEQUENCE, c).items() < substitutions(SEQUENCE, lowest).items()
        for c in flat(asked[first + 1 :])
    )
    assert found.succeeded and found.stop_reason == "success"
    assert found.n_edits_before_pruning == 6 > len(found.edits)
    for dropped in found.edits:
        fewer = {p: b for p, b in found.edits.items() if p != dropped}
        assert score([apply(SEQUENCE, fewer)])[0] >= 0


def test_the_generator_decides_the_search():
    score = rugged(0, 3.0)
    runs = [proposals(SEQUENCE, 3, 300, seed=seed, score=score) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.parametrize("option", ["max_edits", "query_budget"])
def test_an_option_out_of_range_is_refused_by_name(option):
    with pytest.raises(InputError, match=f"random, {option} 0"):
        Options(**{option: 0})
