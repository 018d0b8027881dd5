"""The genetic attack's front of margin, edits and violations, on models whose answer is known."""

import random
from dataclasses import replace

import numpy as np
import pytest
from searching import flat, mutants, pairwise, rugged
from toy_models import (
    answers,
    apply,
    attack,
    drive,
    linear_score,
    random_sequence,
    substitutions,
    target,
)

from genosiege.sequence import attacks
from genosiege.sequence.attacks import genetic, pareto
from genosiege.sequence.attacks.genetic import Options
from genosiege.sequence.constraints import Constraints

PARETO = Options(objective="pareto", population=30, generations=60, max_edits=4)


def fewest(sequence, score, most):
    """Size of the smallest edit set that flips, by brute force; None where none does."""
    for size in range(1, most + 1):
        if (score(mutants(sequence, size)) < 0).any():
            return size
    return None


def one_where(test):
    """Margins of 1, but of -1 where the test holds."""
    return lambda candidates: np.array([-1.0 if test(s) else 1.0 for s in candidates])


# The fewest edits ---------------------------------------------------------------------


def linear(seed, length, start, sequence):
    weights = np.random.default_rng(seed).normal(size=(length, 4))
    return linear_score(weights, start - linear_score(weights)([sequence])[0])


@pytest.mark.parametrize(("make", "starts"), [(linear, (2, 4, 6, 9)), (pairwise, (8, 11, 13, 19))])
def test_the_fewest_edits_that_flip_are_found(make, starts):
    """Of single edits all, of more nearly all; brute force knows."""
    found, truth = [], []
    options = replace(PARETO, max_edits=3)
    for seed in range(20):
        sequence = random_sequence(np.random.default_rng(seed), 9)
        score = make(seed, 9, starts[seed % 4], sequence)
        truth.append(fewest(sequence, score, 3))
        best = attack(sequence, score, options, seed)
        assert best.succeeded == bool(score([apply(sequence, best.edits)])[0] < 0)
        found.append(len(best.edits) if best.succeeded else None)

    assert set(truth) == {1, 2, 3, None}
    assert [n == 1 for n in found] == [n == 1 for n in truth]
    assert sum(f == t for f, t in zip(found, truth, strict=True)) >= 19


def test_a_flip_does_not_end_the_search_before_fewer_edits_were_tried():
    """Any three edits flip; of single edits one alone does, which nothing leads to."""
    sequence = "A" * 60

    def flips(candidate):
        edits = substitutions(sequence, candidate)
        return len(edits) >= 3 or edits == {41: "G"}

    for seed in range(5):
        found = attack(sequence, one_where(flips), replace(PARETO, population=50), seed)
        assert found.edits == {41: "G"}
        assert found.stop_reason == "success"


def test_after_a_flip_only_smaller_edit_sets_are_proposed():
    sequence, asked = "A" * 20, []
    score = one_where(lambda s: s.count("A") <= 18)
    found = attack(sequence, score, PARETO, asked=asked)
    assert max(len(substitutions(sequence, s)) for s in asked[0]) == 4
    later = {len(substitutions(sequence, s)) for s in flat(asked[1:])}
    assert later == {1}
    # All single edits: then there is nothing left to try.
    assert (len(found.edits), found.stop_reason) == (2, "exhausted")
    assert {s for s in flat(asked) if s.count("A") == 19} == set(mutants(sequence, 1))


def test_of_equal_flips_the_more_plausible_wins_and_then_the_lower_margin():
    """Every edit flips; C, a transversion, lowers the margin more than G, the transition."""
    rules, sequence = Constraints(transitions="soft"), "A" * 30

    def score(candidates):
        return np.array([-1 - 10 * c.count("C") - 0.1 * c.find("G") for c in candidates])

    for seed in range(5):
        asked = []
        found = attack(sequence, score, replace(PARETO, patience=1), seed, rules, asked)
        transitions = [s for s in flat(asked) if s.count("A") == 29 and "G" in s]
        assert apply(sequence, found.edits) == max(transitions, key=lambda s: s.index("G"))


def test_a_single_flip_that_is_not_fully_plausible_can_be_bettered():
    rules, sequence = Constraints(transitions="soft"), "A" * 30
    score = one_where(lambda s: "C" in s or s[17] == "G")
    found = attack(sequence, score, PARETO, rules=rules)
    assert (found.edits, found.stop_reason) == ({17: "G"}, "success")

    only_transversions = one_where(lambda s: "C" in s)
    found = attack(sequence, only_transversions, PARETO, rules=rules)
    assert list(found.edits.values()) == ["C"]
    assert found.stop_reason in ("patience", "exhausted")


def test_a_flip_is_pruned():
    """What the search may leave unpruned: it ends with its first generation."""
    sequence = "A" * 200
    score = one_where(lambda s: "C" in s[:190])
    sizes = []
    for seed in range(10):
        options = replace(PARETO, population=4, generations=1)
        found = attack(sequence, score, options, seed)
        if found.succeeded:
            assert len(found.edits) == 1
            sizes.append(found.n_edits_before_pruning)
    assert max(sizes) > 1


# Without a flip -----------------------------------------------------------------------


def test_without_a_flip_the_lowest_margin_is_returned():
    rng = np.random.default_rng(0)
    score, sequence = linear_score(rng.normal(size=(40, 4)), 60.0), random_sequence(rng, 40)
    asked = []
    found = attack(sequence, score, PARETO, asked=asked)
    proposed = flat(asked)
    assert not found.succeeded
    assert apply(sequence, found.edits) == proposed[score(proposed).argmin()]
    assert found.n_edits_before_pruning == len(found.edits)


def test_the_front_holds_the_best_of_every_number_of_edits():
    """On a linear model the best set of n edits is known, and found for each n in one run."""
    rng = np.random.default_rng(3)
    weights, sequence = rng.normal(size=(30, 4)), random_sequence(rng, 30)
    score, asked = linear_score(weights, 60.0), []
    options = replace(PARETO, population=50, generations=100, patience=100)
    attack(sequence, score, options, asked=asked)
    proposed = flat(asked)
    sizes = np.array([len(substitutions(sequence, s)) for s in proposed])
    margins = score(proposed)
    own = weights[np.arange(30), ["ACGT".index(b) for b in sequence]]
    gains = np.sort(own - weights.min(axis=1))[::-1]
    for n in range(1, 5):
        best = score([sequence])[0] - gains[:n].sum()
        assert margins[sizes == n].min() == pytest.approx(best)


# Why a search ends --------------------------------------------------------------------


def ones(candidates):
    return np.ones(len(candidates))


def test_patience_ends_a_search_without_gain():
    asked = []
    found = attack("A" * 30, ones, replace(PARETO, patience=3), asked=asked)
    assert (found.stop_reason, found.succeeded) == ("patience", False)
    assert len(asked) == 1 + 3


def test_patience_ends_a_search_that_cannot_better_its_flip():
    asked = []
    score = one_where(lambda s: s.count("A") <= 98)
    found = attack("A" * 100, score, replace(PARETO, patience=2), asked=asked)
    assert (found.stop_reason, found.succeeded, len(found.edits)) == ("patience", True, 2)
    assert len(asked) <= 1 + 2 + 1 + len(found.edits)


def test_a_lower_margin_starts_patience_again():
    score = rugged(0, mean=100.0)
    one, four = (
        attack("ACGT" * 10, score, replace(PARETO, patience=patience)) for patience in (1, 4)
    )
    assert score([apply("ACGT" * 10, four.edits)]) < score([apply("ACGT" * 10, one.edits)])


@pytest.mark.parametrize("generations", [1, 5])
def test_a_search_has_as_many_generations_as_it_may(generations):
    asked = []
    options = replace(PARETO, generations=generations, patience=50)
    assert attack("A" * 30, ones, options, asked=asked).stop_reason == "generations"
    assert [len(generation) for generation in asked] == [30] * generations


@pytest.mark.parametrize(("budget", "n_generations"), [(1, 1), (30, 2), (70, 3)])
def test_the_query_budget_ends_a_search(budget, n_generations):
    asked = []
    options = replace(PARETO, query_budget=budget)
    found = attack("A" * 30, rugged(1, mean=100.0), options, asked=asked)
    assert found.stop_reason == "query_budget"
    assert len(asked) == n_generations
    assert found.edits


def test_the_budget_can_end_a_search_after_a_flip():
    score = one_where(lambda s: s.count("A") <= 58)
    found = attack("A" * 60, score, replace(PARETO, query_budget=40))
    assert (found.stop_reason, found.succeeded) == ("query_budget", True)


def test_without_one_answer_nothing_is_found():
    steps = genetic.search(target("ACGT" * 5, ones), PARETO, np.random.default_rng(0))
    assert drive(steps, ones, budget=0) == ({}, 0, "query_budget", False, "")


def test_a_small_space_is_searched_through():
    asked = []
    options = replace(PARETO, max_edits=2, generations=100, patience=100)
    found = attack("AC", ones, options, asked=asked)
    assert found.stop_reason == "exhausted"
    assert set(flat(asked)) == {a + b for a in "ACGT" for b in "ACGT"} - {"AC"}


@pytest.mark.parametrize("sequence", ["NNNN", ""])
def test_where_nothing_may_be_edited_the_search_is_exhausted_at_once(sequence):
    asked = []
    assert attack(sequence, ones, PARETO, asked=asked) == ({}, 0, "exhausted", False, "")
    assert asked == []


# What is proposed ---------------------------------------------------------------------


def test_the_first_generation_holds_edit_sets_of_every_size():
    asked = []
    attack("ACGT" * 10, ones, replace(PARETO, population=40, generations=1), asked=asked)
    sizes = [len(substitutions("ACGT" * 10, s)) for s in asked[0]]
    assert np.bincount(sizes).tolist() == [0, 10, 10, 10, 10]


def obeys(original, candidate):
    """The rules of the test below, said otherwise."""
    edits = substitutions(original, candidate)
    shift = sum(map(candidate.count, "GC")) - sum(map(original.count, "GC"))
    changes = {original[p] + base for p, base in edits.items()}
    inside = all(5 <= p < 35 for p in edits)
    return (
        inside and 1 <= len(edits) <= 4 and changes <= {"AG", "GA", "CT", "TC"} and abs(shift) <= 1
    )


def test_no_candidate_breaks_a_hard_rule_or_comes_twice():
    rules = Constraints(
        gc_shift="hard", gc_limit=1 / 40, transitions="hard",
        edit_mask="hard", editable=((5, 35),), motifs="soft",
    )  # fmt: skip
    for seed in range(6):
        rng = np.random.default_rng(seed)
        sequence = random_sequence(rng, 40, 0.1)
        score = linear_score(rng.normal(size=(40, 4)))
        score = linear_score(rng.normal(size=(40, 4)), 3.0 - score([sequence])[0])
        asked = []
        found = attack(sequence, score, PARETO, seed, rules, asked)
        assert all(obeys(sequence, candidate) for candidate in flat(asked))
        assert obeys(sequence, apply(sequence, found.edits))
        # Pruning, which comes last, may ask again about what the search has asked.
        n_pruning = found.n_edits_before_pruning if found.succeeded else 0
        searched = flat(asked[:-n_pruning] if n_pruning else asked)
        assert len(searched) == len(set(searched))


# The front ----------------------------------------------------------------------------


def scored(values):
    individual = pareto.Individual(
        {int(abs(v) * 1e6) % 10**6 + i: "C" for i, v in enumerate(values)}
    )
    individual.fitness.values = values
    return individual


def dominates(one, other):
    return all(np.array(one) <= other) and any(np.array(one) < other)


def test_dominance_is_no_worse_in_any_objective_and_better_in_one():
    rng = np.random.default_rng(0)
    values = [tuple(map(float, row)) for row in rng.integers(0, 3, (60, 3))]
    for one in values:
        for other in values:
            assert scored(one).fitness.dominates(scored(other).fitness) == dominates(one, other)


def test_the_tournament_prefers_what_dominates_and_then_what_stands_alone():
    low, high, aside = scored((0.0, 1.0, 0.0)), scored((1.0, 1.0, 0.0)), scored((2.0, 0.5, 0.0))
    for individual, distance in ((low, 0.1), (high, 9.0), (aside, 0.5)):
        individual.fitness.crowding_dist = distance
    assert pareto._is_better(low, high)
    assert not pareto._is_better(high, low)
    assert pareto._is_better(aside, low)
    assert not pareto._is_better(low, aside)


# Streams ------------------------------------------------------------------------------


def searched(seed):
    rng = np.random.default_rng(1)
    score, sequence = linear_score(rng.normal(size=(60, 4)), 60.0), random_sequence(rng, 60)
    asked = []
    return attack(sequence, score, PARETO, seed, asked=asked), asked


def test_the_seed_decides_the_search_and_no_global_generator_does():
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 - the global generator must not matter
    before, numpy_before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first = searched(3)
    assert random.getstate() == before
    assert np.random.get_state()[1].tolist() == numpy_before  # noqa: NPY002
    random.seed(6)
    np.random.seed(6)  # noqa: NPY002
    assert searched(3) == first
    assert searched(4) != first


def test_two_searches_side_by_side_do_not_meet():
    rng = np.random.default_rng(2)
    sequence, score = random_sequence(rng, 50), rugged(2, mean=4.0)
    options = replace(PARETO, generations=8)

    def start(seed):
        return genetic.search(target(sequence, score), options, np.random.default_rng(seed))

    alone = []
    for seed in (0, 1):
        asked = []
        drive(start(seed), score, asked=asked)
        alone.append(asked)
    together, waiting = [[], []], [start(0), start(1)]
    proposals = [next(steps) for steps in waiting]
    for _ in range(5):
        for i, steps in enumerate(waiting):
            together[i].append(list(proposals[i]))
            proposals[i] = steps.send(answers(score(proposals[i])))
    assert [asked[:5] for asked in alone] == together


def test_the_catalogue_offers_it():
    loaded = attacks.load({"kind": "genetic", "objective": "pareto", "max_edits": 3})
    sequence = "A" * 30
    steps = loaded.start(target(sequence, ones), np.random.default_rng(0))
    assert {len(substitutions(sequence, s)) for s in next(steps)} == {1, 2, 3}
