"""The natural attack draws mutants with the law that it documents."""

import numpy as np
import pytest
from scipy.stats import binom, chisquare
from searching import flat, rugged, run
from toy_models import apply, linear_score, random_sequence, substitutions

from genosiege.errors import InputError
from genosiege.sequence.attacks.natural import Options, _shares_of_sizes
from genosiege.sequence.constraints import Constraints, is_transition

SEQUENCE = random_sequence(np.random.default_rng(1), 80)


def never(candidates):
    return np.ones(len(candidates))


def proposals(sequence=SEQUENCE, score=never, rules=None, seed=0, **options):
    asked = []
    found = run({"kind": "natural", **options}, sequence, score, rules, seed, asked)
    return found, asked


def edits_of(asked, sequence=SEQUENCE):
    return [edit for c in flat(asked) for edit in substitutions(sequence, c).items()]


@pytest.mark.parametrize(("rate", "max_edits"), [(0.001, 10), (0.02, 4), (0.2, 10), (0.9, 80)])
def test_the_number_of_changes_is_binomial_within_its_range(rate, max_edits):
    expected = binom.pmf(np.arange(1, max_edits + 1), 80, rate)
    shares = _shares_of_sizes(80, rate, max_edits)
    assert shares == pytest.approx(expected / expected.sum(), abs=1e-9)


def test_the_number_of_changes_is_known_at_any_rate():
    shares = _shares_of_sizes(3_000, 0.99, 5)
    assert shares.sum() == pytest.approx(1)
    assert shares[4] > 0.99


def test_drawn_numbers_of_changes_follow_it():
    _, asked = proposals(rate=0.02, max_edits=4, draws=5_000)
    sizes = [len(substitutions(SEQUENCE, candidate)) for candidate in flat(asked)]
    expected = binom.pmf(np.arange(1, 5), 80, 0.02)
    observed = np.bincount(sizes, minlength=5)
    assert observed[0] == 0 and len(observed) == 5
    assert chisquare(observed[1:], 5_000 * expected / expected.sum()).pvalue > 0.001


def test_positions_are_uniform():
    _, asked = proposals(rate=0.03, draws=5_000)
    counts = np.bincount([p for p, _ in edits_of(asked)], minlength=80)
    assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("share", [0.0, 0.4, 0.67, 1.0])
def test_transitions_have_their_share_and_both_transversions_the_same(share):
    _, asked = proposals(transition_share=share, rate=0.02, draws=4_000)
    kinds = np.zeros(3)
    for position, base in edits_of(asked):
        old = SEQUENCE[position]
        others = [b for b in "ACGT" if b != old and not is_transition(old, b)]
        kinds[0 if is_transition(old, base) else 1 + others.index(base)] += 1
    expected = np.array([share, (1 - share) / 2, (1 - share) / 2])
    possible = expected > 0
    assert not kinds[~possible].any()
    if possible.sum() > 1:
        assert chisquare(kinds[possible], kinds.sum() * expected[possible]).pvalue > 0.001


def test_all_draws_are_used_and_repeats_count_among_them():
    found, asked = proposals("ACGTA", draws=173)
    assert len(flat(asked)) == 173
    assert len(set(flat(asked))) <= 15 + 90
    assert found.stop_reason == "exhausted"


def test_repeats_cost_no_unique_query():
    # 15 single edits and hardly ever two: the budget is never spent.
    found, _ = proposals("ACGTA", draws=2_000, rate=1e-9, query_budget=15)
    assert found.stop_reason == "exhausted"
    found, _ = proposals("ACGTA", draws=2_000, rate=1e-9, query_budget=14)
    assert found.stop_reason == "query_budget"


def test_hard_rules_are_kept_by_drawing_again():
    rules = Constraints(gc_shift="hard", gc_limit=0.0, edit_mask="hard", editable=((10, 40),))
    found, asked = proposals(rules=rules, rate=0.05, draws=500)
    bound = rules.bind(SEQUENCE)
    assert len(flat(asked)) == 500
    for candidate in flat(asked):
        edits = substitutions(SEQUENCE, candidate)
        assert bound.allows(edits)
        assert all(10 <= p < 40 for p in edits)
    assert not found.succeeded


@pytest.mark.parametrize("sequence", ["", "NNN"])
def test_where_nothing_may_be_edited_nothing_is_asked(sequence):
    found, asked = proposals(sequence)
    assert asked == []
    assert found == ({}, 0, "exhausted", False, "")


def test_rules_that_refuse_every_mutant_end_the_search():
    found, asked = proposals(rules=Constraints(transitions="hard"), transition_share=0.0)
    assert asked == []
    assert found.stop_reason == "exhausted"


def test_the_best_mutant_is_returned():
    score = linear_score(np.random.default_rng(3).normal(size=(80, 4)), 300.0)
    found, asked = proposals(score=score, rate=0.01, draws=220)
    assert apply(SEQUENCE, found.edits) == min(flat(asked), key=lambda c: score([c])[0])


def test_it_stops_at_the_first_flip_and_prunes_it():
    weights = np.random.default_rng(4).normal(size=(80, 4))
    score = linear_score(weights, 10 - linear_score(weights)([SEQUENCE])[0])
    found, asked = proposals(score=score, rate=0.05, draws=5_000)
    flips = [bool((score(proposal) < 0).any()) for proposal in asked]
    first = flips.index(True)
    assert first > 0
    lowest = substitutions(SEQUENCE, asked[first][score(asked[first]).argmin()])
    later = [substitutions(SEQUENCE, c) for c in flat(asked[first + 1 :])]
    assert all(edits.items() < lowest.items() for edits in later)
    assert found.succeeded and found.stop_reason == "success"
    assert len(found.edits) < found.n_edits_before_pruning == len(lowest)
    assert score([apply(SEQUENCE, found.edits)])[0] < 0


def test_a_larger_budget_asks_the_same_and_then_more():
    small = flat(proposals(query_budget=70)[1])
    large = flat(proposals(query_budget=200)[1])
    assert large[: len(small)] == small


def test_the_generator_decides_the_search():
    runs = [proposals(score=rugged(0, 3.0), draws=200, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.parametrize(
    ("option", "value"),
    [("rate", 0.0), ("rate", 1.0), ("transition_share", 1.1), ("draws", 0), ("max_edits", 0)],
)
def test_an_option_out_of_range_is_refused_by_name(option, value):
    with pytest.raises(InputError, match=f"natural, {option} {value}"):
        Options(**{option: value})
