"""The genetic attack on models whose best attack is known."""

from dataclasses import replace

import numpy as np
import pytest
from toy_models import (
    SMALL,
    answers,
    apply,
    attack,
    linear_score,
    random_sequence,
    substitutions,
    target,
)

from genosiege.errors import InputError
from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Target, genetic
from genosiege.sequence.attacks.genetic import Individual, Options
from genosiege.sequence.attacks.sparse import Operators
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.draws import Draws

# The optimum --------------------------------------------------------------------------


def best_edits(sequence, weights, n_edits):
    """The edit set that lowers a linear margin most: the best base of the best positions."""
    codes = ["ACGT".index(base) for base in sequence]
    gains = weights[np.arange(len(codes)), codes] - weights.min(axis=1)
    chosen = np.argsort(gains)[-n_edits:]
    assert gains[chosen].min() > 0.05  # worth more than an edit costs
    return {int(p): "ACGT"[weights[p].argmin()] for p in chosen}


def finds_the_optimum(seed):
    """Run on the default budget, cut short once the optimum was scored: the best is kept."""
    rng = np.random.default_rng(seed)
    weights, sequence = rng.normal(size=(100, 4)), random_sequence(rng, 100)
    # So far from the border that nothing flips: what is found is not pruned.
    score = linear_score(weights, offset=60.0)
    options = Options(max_edits=5, stop_at_success=False, patience=10_000)
    optimum = best_edits(sequence, weights, 5)
    wanted, left = apply(sequence, optimum), options.query_budget - 1
    steps = genetic.search(target(sequence, score), options, np.random.default_rng(seed))
    candidates = next(steps)
    try:
        while True:
            fits = candidates[:left]
            left = 0 if wanted in fits else left - len(fits)
            done = len(fits) < len(candidates)
            candidates = steps.send(answers(score(fits) if fits else np.zeros(0), done))
    except StopIteration as end:
        assert end.value.stop_reason in ("query_budget", "generations")
        assert not end.value.succeeded
        assert end.value.n_edits_before_pruning == len(end.value.edits)
        return end.value.edits == optimum


def test_the_optimum_of_a_linear_model_is_found_in_95_of_100_runs():
    assert sum(map(finds_the_optimum, range(100))) >= 95


def test_the_best_of_all_candidates_is_returned():
    rng = np.random.default_rng(0)
    score, sequence = linear_score(rng.normal(size=(50, 4)), 60.0), random_sequence(rng, 50)
    asked = []

    found = attack(sequence, score, asked=asked)

    proposed = [c for generation in asked for c in generation]
    values = -score(proposed) - 0.05 * np.array([len(substitutions(sequence, c)) for c in proposed])
    assert apply(sequence, found.edits) == proposed[values.argmax()]


# Why a search ends --------------------------------------------------------------------


def flat(candidates):
    return np.ones(len(candidates))


def improving():
    """A margin that falls a little with every question, and never flips."""
    asked = [0]

    def score(candidates):
        asked[0] += len(candidates)
        return 1e6 - asked[0] + np.arange(len(candidates))[::-1]

    return score


def test_success_ends_a_search():
    asked = []
    found = attack("A" * 30, lambda s: np.array([1.0 - ("C" in c) for c in s]) - 0.5, asked=asked)
    assert (found.stop_reason, found.succeeded) == ("success", True)
    assert list(found.edits.values()) == ["C"]


def test_a_search_can_go_on_after_success():
    options = replace(SMALL, stop_at_success=False)
    found = attack("A" * 30, lambda s: np.array([0.5 - ("C" in c) for c in s]), options)
    assert (found.stop_reason, found.succeeded) == ("generations", True)


def test_patience_ends_a_search_without_gain():
    asked = []
    options = replace(SMALL, max_edits=1, patience=3)
    found = attack("A" * 30, flat, options, asked=asked)
    assert (found.stop_reason, found.succeeded) == ("patience", False)
    assert len(asked) == 1 + 3  # the first generation is the only gain


def test_a_gain_starts_patience_again():
    assert attack("A" * 30, improving(), replace(SMALL, patience=1)).stop_reason == "generations"


@pytest.mark.parametrize("generations", [1, 5])
def test_a_search_has_as_many_generations_as_it_may(generations):
    asked = []
    options = replace(SMALL, generations=generations)
    assert attack("A" * 30, improving(), options, asked=asked).stop_reason == "generations"
    assert [len(generation) for generation in asked] == [12] * generations


@pytest.mark.parametrize(("budget", "n_generations"), [(1, 1), (12, 2), (30, 3)])
def test_the_query_budget_ends_a_search(budget, n_generations):
    asked = []
    found = attack("A" * 30, improving(), replace(SMALL, query_budget=budget), asked=asked)
    assert found.stop_reason == "query_budget"
    assert len(asked) == n_generations
    assert found.edits


def test_without_one_answer_nothing_is_found():
    steps = genetic.search(target("ACGT" * 5, flat), SMALL, np.random.default_rng(0))
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answers(np.zeros(0), exhausted=True))
    assert end.value.value == ({}, 0, "query_budget", False, "")


def test_a_small_space_is_searched_through():
    asked = []
    options = replace(SMALL, population=50, max_edits=2, generations=100, patience=100)
    found = attack("AC", flat, options, asked=asked)
    assert found.stop_reason == "exhausted"
    assert len({c for generation in asked for c in generation}) == 4 * 4 - 1


@pytest.mark.parametrize(
    "rules", [Constraints(), Constraints(edit_mask="hard", editable=((0, 0),))]
)
def test_where_nothing_may_be_edited_the_search_is_exhausted_at_once(rules):
    sequence = "ACGT" if rules.editable else "NNNN"
    asked = []
    assert attack(sequence, flat, rules=rules, asked=asked) == ({}, 0, "exhausted", False, "")
    assert asked == []


# Streams ------------------------------------------------------------------------------


def test_the_seed_decides_the_search():
    rng = np.random.default_rng(1)
    score, sequence = linear_score(rng.normal(size=(60, 4)), 60.0), random_sequence(rng, 60)
    runs = []
    for seed in (3, 3, 4):
        asked = []
        np.random.seed(len(runs))  # noqa: NPY002 - the global generator must not matter
        runs.append((attack(sequence, score, seed=seed, asked=asked), asked))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


# Fitness ------------------------------------------------------------------------------


def scored(options, edits, logits):
    """Fitness of an edit set of AAAA, start logits ln(.7, .2, .1), true class 0."""
    start = Answers(np.log(np.array([[0.7, 0.2, 0.1]], np.float32)), 0, False)
    rules = Constraints(transitions="soft").bind("AAAA")
    individual = Individual(edits)
    found = Answers(np.log(np.array([logits], np.float32)), 0, False)
    genetic._score(Target("test:0", "AAAA", 0, start, rules), options, [individual], found)
    return individual.fitness.values


# One transition and one transversion: plausibility (1 + .3) / 2.
EDITS = {0: "G", 2: "C"}


@pytest.mark.parametrize(
    ("objective", "confidence", "logits", "flips", "gain"),
    [
        ("margin", "true_class", [0.3, 0.2, 0.5], 1, np.log(0.7 / 0.2) - np.log(0.3 / 0.5)),
        ("margin", "true_class", [0.5, 0.3, 0.2], 0, np.log(0.7 / 0.2) - np.log(0.5 / 0.3)),
        ("weighted", "true_class", [0.3, 0.2, 0.5], 1, 2 * (0.7 - 0.3)),
        ("weighted", "max_softmax", [0.3, 0.2, 0.5], 1, 2 * (0.7 - 0.5)),
        ("weighted", "max_softmax", [0.4, 0.3, 0.3], 0, 2 * (0.7 - 0.4)),
    ],
)
def test_fitness_is_gain_less_edits_less_implausibility(objective, confidence, logits, flips, gain):
    options = Options(objective=objective, confidence=confidence)
    expected = gain - 0.05 * 2 - 0.1 * (1 - 0.65)
    assert scored(options, EDITS, logits) == (flips, pytest.approx(expected, abs=1e-6))


def test_weights_are_configurable_one_by_one():
    options = Options(objective="weighted", weights={"drop": 3.0, "bio": 1.0})
    value = scored(options, EDITS, [0.3, 0.2, 0.5])[1]
    assert value == pytest.approx(3 * 0.4 - 0.05 * 2 - 1.0 * 0.35, abs=1e-6)


def test_a_flip_is_better_than_any_value_without_one():
    flips, other = Individual({0: "C"}), Individual({1: "C"})
    flips.fitness.values, other.fitness.values = (1.0, -9.0), (0.0, 9.0)
    assert flips.fitness > other.fitness


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("objective", "confidence"),
        ("confidence", "largest"),
        ("population", 0),
        ("patience", 0),
        ("query_budget", 0),
        ("query_budget", -5),
        ("mutation", 1.5),
        ("crossover", -0.1),
        ("weights", {"speed": 1.0}),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(option, value):
    with pytest.raises(InputError, match=option):
        Options(**{option: value})


def test_the_fittest_of_a_tournament_becomes_a_parent():
    parents = [Individual({i: "C"}) for i in range(10)]
    for i, parent in enumerate(parents):
        parent.fitness.values = (0.0, float(i))
    draws = Draws(np.random.default_rng(0))
    drawn = [genetic._select(parents, 3, draws).fitness.values[1] for _ in range(3000)]
    # The largest of three draws with replacement is i with chance ((i+1)³ - i³) / 10³.
    shares = [drawn.count(float(i)) / 3000 for i in range(10)]
    np.testing.assert_allclose(
        shares, [(3 * i * i + 3 * i + 1) / 1000 for i in range(10)], atol=0.03
    )


# Operators ----------------------------------------------------------------------------


def test_mating_keeps_what_both_parents_have():
    operators = Operators(Constraints().bind("A" * 50), 4, Draws(np.random.default_rng(0)))
    one, other = {1: "C", 2: "G", 3: "T", 4: "C"}, {1: "C", 2: "T", 9: "G"}
    children = [operators.mate(one, other) for _ in range(300)]
    for child in children:
        assert child[1] == "C"
        assert len(child) <= 4
        assert all(one.get(p) == b or other.get(p) == b for p, b in child.items())
    assert {child.get(2) for child in children} == {"G", "T", None}


def test_mutation_is_one_step():
    operators = Operators(Constraints().bind("A" * 50), 4, Draws(np.random.default_rng(0)))
    edits = {1: "C", 2: "G", 3: "T"}
    kinds = set()
    for _ in range(500):
        changed = operators.mutate(edits)
        gone, new = edits.items() - changed.items(), changed.items() - edits.items()
        assert len(gone) <= 1 and len(new) <= 1
        kinds.add((len(gone), len(new), bool({p for p, _ in gone} & {p for p, _ in new})))
    # Drop, add, move to another position, change at the same one (or the same edit again).
    assert kinds >= {(1, 0, False), (0, 1, False), (1, 1, False), (1, 1, True)}
