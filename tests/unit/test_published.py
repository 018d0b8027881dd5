"""The published search against its description."""

from dataclasses import replace

import numpy as np
import pytest
from toy_models import answers, apply, drive, linear_score, random_sequence, substitutions, target

from genosiege.errors import InputError
from genosiege.sequence.answers import Answers
from genosiege.sequence.attacks import Target, published
from genosiege.sequence.attacks.published import Individual, Options
from genosiege.sequence.constraints import Constraints, is_transition

SMALL = Options(population=14, generations=10, patience=10)


def genome(sequence):
    return np.frombuffer(sequence.encode(), dtype=np.uint8)


def method(sequence, options=SMALL, rules=None, start=(0.8, 0.2), seed=0):
    first = Answers(np.log(np.array([start], np.float32)), 0, False)
    goal = Target("test:0", sequence, 0, first, (rules or Constraints()).bind(sequence))
    return published._Method(goal, options, np.random.default_rng(seed))


def attack(sequence, score, options=SMALL, seed=0, rules=None, asked=None):
    goal = target(sequence, score, rules)
    steps = published.search(goal, options, np.random.default_rng(seed))
    return drive(steps, score, options.query_budget, asked)


# Plausibility and fitness -------------------------------------------------------------


@pytest.mark.parametrize(
    ("original", "mutant", "expected"),
    [
        # Nothing counted in the original; one transition; GC kept within 5 points of 100.
        ("C" * 100, "C" * 99 + "T", (1 + 1 + 1) / 3),
        # One transversion scores .3.
        ("C" * 100, "C" * 99 + "A", (1 + 1 + 0.3) / 3),
        # Six of 100 leave the GC limit, five do not.
        ("C" * 100, "C" * 95 + "T" * 5, 1.0),
        ("C" * 100, "C" * 94 + "T" * 6, (0 + 1 + 1) / 3),
        # TATA 1 → 0 and AT 1 → 0 of what it holds; the edit is a transition, GC within limits.
        ("C" * 96 + "TATA", "C" * 96 + "TACA", (1 + 0 + 1) / 3),
        # CAAT stays, AT stays, GC 1 → 0.
        ("CAAT" + "C" * 94 + "GC", "CAAT" + "C" * 94 + "AC", (1 + 2 / 3 + 1) / 3),
        # Motifs weigh as often as they occur: AT 4 of 4, TATA 1 of 1 and GC 0 of 1 are 5 of 6.
        ("AT" * 4 + "C" * 90 + "GC", "AT" * 4 + "C" * 90 + "AC", (1 + 5 / 6 + 1) / 3),
        # TTTT counted without overlap: 2 → 1.
        ("T" * 8 + "C" * 92, "T" * 7 + "C" + "C" * 92, (1 + 0.5 + 1) / 3),
        # A count that grows is worth no more than one kept.
        ("AT" + "C" * 98, "AT" + "C" * 96 + "AT", (1 + 1 + (0.3 + 1) / 2) / 3),
    ],
)
def test_plausibility_is_the_mean_of_three_scores(original, mutant, expected):
    assert method(original)._plausibility(Individual(genome(mutant))) == pytest.approx(expected)


def test_fitness_is_the_published_formula():
    original = "C" * 100
    population = [Individual(genome(s)) for s in ("C" * 98 + "TA", original)]
    found = Answers(np.log(np.array([[0.3, 0.7], [0.1, 0.9]], np.float32)), 0, False)

    method(original)._score(population, found)

    # Confidence is the larger softmax output: .8 before, .7 after.
    plausibility = (1 + 1 + 0.65) / 3
    expected = 2 * (0.8 - 0.7) - 0.05 * 2 - 0.1 * (1 - plausibility)
    assert population[0].fitness.values[0] == pytest.approx(expected, abs=1e-6)
    assert population[0].flips
    assert population[0].drop == pytest.approx(0.1, abs=1e-6)
    # Unedited: worse than anything else, whatever the model says.
    assert population[1].fitness.values == (-1.0,)


# Operators ----------------------------------------------------------------------------


def test_first_individuals_are_light_medium_or_heavy():
    original = random_sequence(np.random.default_rng(0), 100)
    drawn = method(original)
    sizes = [len(substitutions(original, drawn._individual().sequence)) for _ in range(3000)]
    assert set(sizes) == set(range(9))
    # 1–3, 2–5 or 4–8 sites, each of which is left as it was with probability .3 / 4.
    assert np.mean(sizes) == pytest.approx((2 + 3.5 + 6) / 3 * (1 - 0.3 / 4), abs=0.12)


def test_first_edits_are_transitions_with_probability_seven_tenths_and_a_quarter_of_the_rest():
    original = "ACGT" * 25
    drawn = method(original)
    edits = [
        is_transition(original[p], base)
        for _ in range(1500)
        for p, base in substitutions(original, drawn._individual().sequence).items()
    ]
    assert np.mean(edits) == pytest.approx((0.7 + 0.3 / 4) / (0.7 + 0.3 * 3 / 4), abs=0.02)


def test_crossover_swaps_the_tails_at_one_point():
    one, other = "A" * 30, "C" * 30
    drawn = method(one)
    points = set()
    for _ in range(500):
        first, second = (g.tobytes().decode() for g in drawn._mate(genome(one), genome(other)))
        point = first.index("C")
        assert first == "A" * point + "C" * (30 - point)
        assert second == "C" * point + "A" * (30 - point)
        points.add(point)
    assert points == set(range(1, 30))


def test_mutations_are_scattered_contiguous_or_of_double_size(monkeypatch):
    original = "A" * 200
    drawn = method(original)
    monkeypatch.setattr(drawn, "_any_base", lambda: ord("C"))  # every site shows
    sizes, contiguous = [], 0
    for _ in range(3000):
        changed = sorted(
            substitutions(original, drawn._mutate(genome(original)).tobytes().decode())
        )
        sizes.append(len(changed))
        contiguous += len(changed) >= 3 and changed[-1] - changed[0] == len(changed) - 1
    assert set(sizes) == {*range(1, 9), 10, 12, 14, 16}
    # A third are contiguous, three quarters of those have at least three sites.
    assert contiguous / 3000 == pytest.approx(1 / 4, abs=0.03)
    # Above 8 sites are half of the double ones.
    assert np.mean(np.array(sizes) > 8) == pytest.approx(1 / 6, abs=0.03)


def test_a_mutation_draws_all_four_bases_alike():
    drawn = method("ACGT")
    bases = [chr(drawn._any_base()) for _ in range(4000)]
    for base in "ACGT":
        assert bases.count(base) / 4000 == pytest.approx(0.25, abs=0.03)


def test_who_is_left_alone_is_not_asked_about_again():
    options = replace(SMALL, crossover=0.0, mutation=0.5, generations=30, patience=30)
    asked = []
    attack("ACGT" * 15, lambda s: np.ones(len(s)), options, asked=asked)
    later = [len(generation) for generation in asked[1:]]
    assert len(asked[0]) == SMALL.population
    assert np.mean(later) == pytest.approx(0.5 * SMALL.population, abs=2.5)


def test_the_result_is_the_best_of_the_last_generation():
    """Nothing carries the best individual over: a search can end below what it had seen."""
    weights = np.random.default_rng(0).normal(size=(60, 4))
    sequence = random_sequence(np.random.default_rng(1), 60)
    score = linear_score(weights, 40 - linear_score(weights)([sequence])[0])
    options = replace(SMALL, generations=12, patience=12, mutation=0.9)
    ends_below = []
    for seed in range(10):
        asked = []
        found = attack(sequence, score, options, seed=seed, asked=asked)
        seen = min(float(score(generation).min()) for generation in asked)
        ends_below.append(score([apply(sequence, found.edits)])[0] > seen + 1e-9)
    assert any(ends_below)


def test_edits_stay_where_they_are_allowed():
    rules = Constraints(edit_mask="hard", editable=((5, 12), (20, 30)))
    original = "ACGTN" * 10
    asked = []
    attack(original, lambda s: np.ones(len(s)), rules=rules, asked=asked)
    for candidate in {c for generation in asked for c in generation}:
        for position in substitutions(original, candidate):
            assert 5 <= position < 12 or 20 <= position < 30
            assert original[position] != "N"


@pytest.mark.parametrize("original", ["N" * 10, "A", "AC", "NNA"])
def test_very_short_sequences_are_searched(original):
    found = attack(original, lambda s: np.ones(len(s)), replace(SMALL, generations=3))
    assert found.stop_reason == ("generations" if set(original) - {"N"} else "exhausted")
    assert len(found.edits) <= len(original)


# The search ---------------------------------------------------------------------------


def confident(drop, at_most=99):
    """p of class 0 is .95, less `drop` where there are 1 to `at_most` edits of AAAA…"""

    def score(candidates):
        n_edits = np.array([len(c) - c.count("A") for c in candidates])
        p = 0.95 - drop * ((n_edits > 0) & (n_edits <= at_most))
        return np.log(p / (1 - p))

    return score


@pytest.mark.parametrize(
    ("variant", "drop", "reason"),
    [
        ("text", 0.21, "success"),
        ("text", 0.19, "generations"),
        ("code", 0.21, "generations"),
        ("code", 0.60, "generations"),
    ],
)
def test_only_the_text_stops_at_its_success(variant, drop, reason):
    options = Options(variant=variant, population=30, generations=4)
    assert attack("A" * 100, confident(drop), options).stop_reason == reason


def test_the_texts_success_takes_a_drop_few_edits_and_plausibility():
    original = "C" * 100
    drawn = method(original)

    def success(mutant, drop):
        individual = Individual(genome(mutant))
        individual.drop = drop
        return drawn.text_success(individual)

    assert success("C" * 95 + "T" * 5, 0.2)
    assert not success("C" * 95 + "T" * 5, 0.199)
    assert not success("C" * 94 + "T" * 6, 0.5)
    assert success("C" * 99 + "T", 0.2)
    assert not success("C" * 99 + "A", 0.2)  # plausibility 2.3 / 3
    assert not success(original, 0.5)


def test_patience_and_budget_end_it():
    def flat(candidates):
        return np.ones(len(candidates))

    asked = []
    options = replace(SMALL, patience=2, generations=100)
    assert attack("A" * 50, flat, options, asked=asked).stop_reason == "patience"
    assert 3 <= len(asked) < 100
    options = replace(SMALL, query_budget=20)
    assert attack("A" * 50, flat, options).stop_reason == "query_budget"


def test_no_number_of_edits_caps_the_search():
    def greedy(candidates):  # each edit is worth its cost, up to the border of the classes
        return np.array([4.0 - 0.3 * (len(c) - c.count("A")) for c in candidates])

    options = replace(SMALL, max_edits=2, generations=40, patience=40)
    asked = []
    found = attack("A" * 60, greedy, options, asked=asked)
    largest = max(60 - c.count("A") for generation in asked for c in generation)
    assert largest > 10
    assert len(found.edits) > 2


def test_a_flip_is_pruned_and_a_failure_is_not():
    rng = np.random.default_rng(0)
    weights, sequence = rng.normal(size=(60, 4)), random_sequence(rng, 60)
    score = linear_score(weights, 3 - linear_score(weights)([sequence])[0])
    # The method's confidence is lowest at the border, so only some seeds end beyond it.
    runs = [attack(sequence, score, seed=seed) for seed in range(30)]

    assert {found.succeeded for found in runs} == {True, False}
    for found in runs:
        flips = score([apply(sequence, found.edits)])[0] < 0
        assert flips == found.succeeded
        assert 0 < len(found.edits) <= found.n_edits_before_pruning
        if not found.succeeded:
            assert len(found.edits) == found.n_edits_before_pruning
        elif len(found.edits) > 1:
            for dropped in found.edits:
                fewer = {p: b for p, b in found.edits.items() if p != dropped}
                assert score([apply(sequence, fewer)])[0] >= 0


def test_the_seed_decides_the_search():
    score = linear_score(np.random.default_rng(0).normal(size=(60, 4)), 50.0)
    runs = []
    for seed in (1, 1, 2):
        asked = []
        runs.append((attack("ACGT" * 15, score, seed=seed, asked=asked), asked))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_without_one_answer_nothing_is_found():
    steps = published.search(
        target("ACGT" * 5, lambda s: np.ones(len(s))), SMALL, np.random.default_rng(0)
    )
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answers(np.zeros(0), exhausted=True))
    assert end.value.value == ({}, 0, "query_budget", False, "")


@pytest.mark.parametrize(
    ("option", "value"), [("variant", "both"), ("population", 0), ("query_budget", 0)]
)
def test_an_option_out_of_range_is_refused_by_name(option, value):
    with pytest.raises(InputError, match=option):
        Options(**{option: value})
