"""The genetic attack of someone who knows the detector, where the best trade-off is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searching import edit_sets, flat
from test_hard_rules import check_hard_rules, rich_sequence, sections
from toy_models import (
    apply,
    attack,
    drive,
    linear_score,
    random_sequence,
    target,
)

from genosiege.detection import adaptive_genetic
from genosiege.detection.operating_points import cost
from genosiege.sequence.attacks.genetic import Options
from genosiege.sequence.constraints import Constraints

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = Options(population=20, generations=15, patience=15, max_edits=4, query_budget=400)


def calm(sequences):
    return np.zeros(len(sequences))


def evading(
    sequence, score, suspicion, penalty, options=SMALL, seed=0, rules=None, asked=None, budget=None
):
    steps = adaptive_genetic.search(
        target(sequence, score, rules), options, np.random.default_rng(seed), suspicion, penalty
    )
    # The oracle has charged the original before the search begins.
    return drive(steps, score, (budget or options.query_budget) - 1, asked)


def objective(strings, score, suspicion, penalty):
    """The contract's, by its words."""
    return [
        float(margin >= 0) + penalty * max(s, 0.0)
        for margin, s in zip(score(strings), suspicion(strings), strict=True)
    ]


def problem(seed, length=12, start=1.5):
    """A linear model, and a detector that is another linear model."""
    rng = np.random.default_rng(seed)
    sequence = random_sequence(rng, length)
    weights, watched = rng.normal(size=(2, length, 4))
    score = linear_score(weights, start - linear_score(weights)([sequence])[0])
    suspicion = linear_score(watched, 0.2 - linear_score(watched)([sequence])[0])
    return sequence, score, suspicion


# The search ---------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.3, 1.0, 3.0])
def test_the_best_trade_off_is_found_in_95_of_100_runs(penalty):
    options = Options(max_edits=3, query_budget=3000, generations=400, patience=60)
    hits = []
    for seed in range(20):
        sequence, score, suspicion = problem(seed, length=8)
        every = [sequence] + [
            apply(sequence, edits) for n in (1, 2, 3) for edits in edit_sets(sequence, n)
        ]
        best = min(objective(every, score, suspicion, penalty))
        found = evading(sequence, score, suspicion, penalty, options, seed)
        (mine,) = objective([apply(sequence, found.edits)], score, suspicion, penalty)
        assert mine >= best - 1e-9
        hits.append(mine <= best + 1e-9)
    assert np.mean(hits) >= 0.95


def test_one_trade_off_by_hand():
    # A C at 0 flips and is seen; the same margin is gone with Ts at 1 and 2, which nobody sees.
    weights = np.zeros((6, 4))
    weights[0, 1], weights[1, 3], weights[2, 3] = -1.0, -0.6, -0.6
    score = linear_score(weights, 0.9)

    def seen(sequences):
        return np.array([2.0 * (s[0] == "C") for s in sequences])

    found = evading("AAAAAA", score, seen, 0.1)
    assert found.edits == {1: "T", 2: "T"}
    assert (found.stop_reason, found.succeeded) == ("success", True)


@pytest.mark.parametrize(("penalty", "flips"), [(0.4, True), (0.6, False)])
def test_a_flip_is_kept_only_where_its_suspicion_is_worth_it(penalty, flips):
    def seen(sequences):
        return np.array([2.0 * ("C" in s) for s in sequences])

    # Only a C flips, and any C costs 2 λ.
    score = lambda sequences: np.array([0.5 - ("C" in s) for s in sequences])  # noqa: E731
    found = evading("A" * 10, score, seen, penalty)
    assert found.succeeded == flips
    assert ("C" in found.edits.values()) == flips


def test_the_unchanged_sequence_is_kept_where_everything_else_is_suspicious():
    def seen(sequences):
        return np.array([float(s != "A" * 10) for s in sequences])

    found = evading("A" * 10, lambda s: np.ones(len(s)), seen, 1.0)
    assert (found.edits, found.n_edits_before_pruning, found.succeeded) == ({}, 0, False)


@pytest.mark.parametrize("start", [1.5, 100.0])
def test_without_penalty_it_proposes_what_the_genetic_attack_proposes(start):
    def never(sequences):
        raise AssertionError("the plain attack knows no detector")

    for seed in range(4):
        sequence, score, _ = problem(seed, 30, start)
        plain, mine = [], []
        first = attack(sequence, score, SMALL, seed, asked=plain)
        found = evading(sequence, score, never, 0.0, seed=seed, asked=mine, budget=10**6)
        assert found.succeeded == first.succeeded
        assert found.stop_reason == first.stop_reason
        # Pruning may start from another flip of the same generation.
        n_generations = sum(len(generation) == SMALL.population for generation in plain)
        assert mine[:n_generations] == plain[:n_generations]


@pytest.mark.parametrize("level", [-1.0, 0.0])
def test_a_blind_detector_changes_nothing(level):
    for seed in range(10):
        sequence, score, _ = problem(seed, 30)
        blind = evading(sequence, score, lambda s: np.full(len(s), level), 1.0, seed=seed)
        assert blind == evading(sequence, score, calm, 0.0, seed=seed)


def test_a_detector_that_suspects_all_alike_costs_no_success():
    for seed in range(10):
        sequence, score, _ = problem(seed, 30)
        blind = evading(sequence, score, lambda s: np.full(len(s), 3.0), 2.0, seed=seed)
        assert blind.succeeded == evading(sequence, score, calm, 0.0, seed=seed).succeeded


def test_a_larger_penalty_asks_the_same_and_keeps_what_is_less_suspicious():
    for seed in range(5):
        sequence, score, suspicion = problem(seed, 30)
        generations, kept = [], []
        for penalty in (0.1, 1.0, 10.0):
            asked = []
            found = evading(sequence, score, suspicion, penalty, seed=seed, asked=asked)
            generations.append(asked[0])
            kept.append(max(0.0, suspicion([apply(sequence, found.edits)])[0]))
        assert generations[0] == generations[1] == generations[2]
        assert kept == sorted(kept, reverse=True)


def test_the_search_is_led_to_what_is_not_suspicious():
    weights = np.zeros((60, 4))
    weights[:, 1], weights[:, 3] = -1.0, -0.9  # a C does more than a T, but is seen
    score = linear_score(weights, 6.5)

    def seen(sequences):
        return np.array([0.5 + 0.5 * s.count("C") for s in sequences])

    for seed in range(5):
        found = evading("A" * 60, score, seen, 0.1, Options(query_budget=1000), seed)
        assert found.succeeded
        assert list(found.edits.values()) == ["T"] * 8


def test_a_suspicion_that_peaks_at_the_border_does_not_keep_the_search_before_it():
    """As that of a detector of small margins does, at any penalty."""
    flips = 0
    for seed in range(10):
        sequence, score, _ = problem(seed, 40, start=3.0)

        def suspicion(sequences, score=score):
            return 1.2 - 0.4 * np.abs(score(sequences))

        found = evading(sequence, score, suspicion, 2.0, seed=seed)
        flips += found.succeeded
    assert flips >= 9


@given(
    seed=st.integers(0, 10**6),
    penalty=st.sampled_from([0.1, 0.5, 1.0, 4.0]),
    budget=st.integers(2, 300),
    length=st.integers(4, 40),
)
@settings(max_examples=40, deadline=None)
def test_the_best_candidate_answered_is_kept_and_pruned(seed, penalty, budget, length):
    sequence, score, suspicion = problem(seed, length)
    asked = []
    options = replace(SMALL, query_budget=budget)

    found = evading(sequence, score, suspicion, penalty, options, seed, asked=asked)

    adversary = apply(sequence, found.edits)
    unique = list(dict.fromkeys([sequence, *flat(asked)]))
    answered = unique[:budget]
    assert adversary in answered
    (kept,) = objective([adversary], score, suspicion, penalty)
    assert kept <= min(objective(answered, score, suspicion, penalty)) + 1e-12
    assert found.succeeded == (score([adversary])[0] < 0)
    assert found.n_edits_before_pruning >= len(found.edits)
    several = found.succeeded and found.n_edits_before_pruning > 1
    if found.succeeded:
        original = max(0.0, suspicion([sequence])[0])
        assert max(0.0, suspicion([adversary])[0]) <= 1 / penalty + original + 1e-9
        # Room for the pruning was kept back, but for a flip at the end of the budget.
        if len(unique) < budget:
            fewer = [
                apply(sequence, {p: b for p, b in found.edits.items() if p != gone})
                for gone in found.edits
            ]
            assert len(fewer) == 1 or min(objective(fewer, score, suspicion, penalty)) > kept
            assert found.pruned != "cut"
    assert found.pruned in (("complete", "cut") if several else ("",))


def test_edits_that_neither_flip_nor_hide_are_pruned():
    weights = np.zeros((30, 4))
    weights[3, 1] = -2.0
    score = linear_score(weights, 1.0)

    def seen(sequences):  # never at peace: the search goes on to the end
        return np.array([0.5 + 0.1 * s.count("G") for s in sequences])

    found = evading("A" * 30, score, seen, 1.0)
    assert found.edits == {3: "C"}
    assert found.n_edits_before_pruning >= 1
    assert found.stop_reason != "success"


def test_queries_are_kept_back_for_pruning():
    sequence, score, _ = problem(3, 30, start=0.1)
    asked = []
    options = replace(SMALL, generations=10_000, patience=10_000)
    found = evading(sequence, score, lambda s: 0.5 + 0 * score(s), 1.0, options, 0, asked=asked)
    assert found.stop_reason == "query_budget"
    searched = [one for one in asked if len(one) > SMALL.max_edits]
    most = SMALL.max_edits * (SMALL.max_edits + 1) // 2 - 1
    assert sum(map(len, searched)) == SMALL.query_budget - 1 - most


@pytest.mark.parametrize("rules", [Constraints(edit_mask="hard", editable=((0, 0),))])
def test_where_nothing_may_be_edited_nothing_is_asked(rules):
    asked = []
    sequence, score, suspicion = problem(0)
    found = evading(sequence, score, suspicion, 1.0, rules=rules, asked=asked)
    assert found == ({}, 0, "exhausted", False, "")
    assert asked == []


def test_without_one_answer_the_unchanged_sequence_is_kept():
    sequence, score, suspicion = problem(0)
    found = evading(sequence, score, suspicion, 1.0, replace(SMALL, query_budget=1))
    assert found == ({}, 0, "query_budget", False, "")


@given(
    section=sections,
    seed=st.integers(0, 2**32),
    length=st.integers(8, 90),
    max_edits=st.integers(1, 12),
    penalty=st.sampled_from([0.0, 1.0]),
)
@settings(max_examples=25, deadline=None)
def test_no_candidate_breaks_a_hard_rule(section, seed, length, max_edits, penalty):
    rng = np.random.default_rng(seed)
    tss_index = int(rng.integers(length))
    sequence = rich_sequence(rng, length, tss_index)
    weights = rng.normal(size=(length, 4))
    score = linear_score(weights, 2.0 - linear_score(weights)([sequence])[0])
    suspicion = linear_score(rng.normal(size=(length, 4)))
    options = Options(population=10, generations=6, max_edits=max_edits)
    asked = []

    rules = Constraints.from_config(section, tss_index)
    found = evading(sequence, score, suspicion, penalty, options, seed, rules, asked)

    for candidate in set(flat(asked)):
        check_hard_rules(sequence, candidate, section, tss_index, max_edits)
    assert not found.edits or apply(sequence, found.edits) in flat(asked)


def test_objectives_by_hand():
    found = cost(np.array([True, True, False, False]), np.array([-1.0, 0.5, -1.0, 0.5]), 2.0)
    np.testing.assert_allclose(found, [0.0, 1.0, 1.0, 2.0])
