"""The greedy attack is exact for one edit, and for any number on linear models."""

import numpy as np
import pytest
from searching import flat, mutants, pairwise, rugged, run
from toy_models import apply, linear_score, random_sequence, substitutions

from genosiege.errors import InputError
from genosiege.sequence.attacks.greedy import Options
from genosiege.sequence.constraints import Constraints

SEQUENCE = random_sequence(np.random.default_rng(1), 30)


def greedy(sequence, score, rules=None, asked=None, **options):
    return run({"kind": "greedy", **options}, sequence, score, rules, asked=asked)


def best_linear_margin(sequence, weights, score, n_edits):
    """Lowest margin within `n_edits` edits of a linear model: the largest gains add up."""
    codes = ["ACGT".index(base) for base in sequence]
    gains = weights[np.arange(len(codes)), codes] - weights.min(axis=1)
    return score([sequence])[0] - np.sort(gains)[::-1][:n_edits].sum()


# One edit -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("beam", [1, 3])
def test_one_edit_is_exact_on_any_model(seed, beam):
    score, asked = rugged(seed, 4.0), []
    found = greedy(SEQUENCE, score, asked=asked, max_edits=1, beam=beam)
    singles = mutants(SEQUENCE, 1)
    assert sorted(flat(asked)) == sorted(singles)
    assert len(singles) == 3 * len(SEQUENCE)
    assert apply(SEQUENCE, found.edits) == min(singles, key=lambda s: score([s])[0])
    assert not found.succeeded and found.stop_reason == "exhausted"


def test_one_edit_flips_if_any_does():
    for seed in range(40):
        score = rugged(seed, 2.4)
        if score([SEQUENCE])[0] < 0:
            continue
        found = greedy(SEQUENCE, score, max_edits=1)
        assert found.succeeded == bool((score(mutants(SEQUENCE, 1)) < 0).any())


def test_n_is_left_alone():
    asked = []
    greedy("ANCNG", lambda s: np.ones(len(s)), asked=asked, max_edits=1)
    assert len(flat(asked)) == 9
    assert all(candidate[1] == candidate[3] == "N" for candidate in flat(asked))


# More edits ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_edits", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("beam", [1, 2])
def test_it_is_optimal_on_linear_models(n_edits, beam):
    for seed in range(4):
        weights = np.random.default_rng(seed).normal(size=(30, 4))
        score = linear_score(weights, 500.0)
        found = greedy(SEQUENCE, score, max_edits=n_edits, beam=beam)
        best = best_linear_margin(SEQUENCE, weights, score, n_edits)
        assert score([apply(SEQUENCE, found.edits)])[0] == pytest.approx(best)
        assert len(found.edits) == found.n_edits_before_pruning == n_edits


@pytest.mark.parametrize("beam", [1, 3])
def test_it_flips_linear_models_with_as_few_edits_as_can_do(beam):
    for seed in range(8):
        weights = np.random.default_rng(seed).normal(size=(30, 4))
        score = linear_score(weights, 9.0 - linear_score(weights)([SEQUENCE])[0])
        needed = next(n for n in range(31) if best_linear_margin(SEQUENCE, weights, score, n) < 0)
        found = greedy(SEQUENCE, score, beam=beam)
        assert found.succeeded and found.stop_reason == "success"
        assert len(found.edits) == needed > 1
        assert not greedy(SEQUENCE, score, beam=beam, max_edits=needed - 1).succeeded


def test_a_step_scores_all_single_edits_of_the_best_set():
    score, asked = rugged(0, 9.0), []
    greedy(SEQUENCE, score, asked=asked, max_edits=3)
    assert [len(step) for step in asked] == [90, 87, 84]
    parent = SEQUENCE
    for step in asked:
        edited = set(substitutions(SEQUENCE, parent))
        children = [m for m in mutants(parent, 1) if not edited & set(substitutions(parent, m))]
        assert sorted(step) == sorted(children)
        parent = min(step, key=lambda s: score([s])[0])


def test_it_goes_on_where_no_single_edit_helps():
    # Either edit alone raises the margin, both together flip: only then is there a way down.
    margins = {"AAAA": 1.0, "CAAA": 2.0, "CCAA": -1.0}
    found = greedy("AAAA", lambda s: np.array([margins.get(x, 3.0) for x in s]))
    assert found.edits == {0: "C", 1: "C"}


def test_the_best_candidate_of_all_steps_is_returned():
    margins = {"CAAA": 0.5}
    found = greedy("AAAA", lambda s: np.array([margins.get(x, 3.0) for x in s]), max_edits=3)
    assert found == ({0: "C"}, 1, "exhausted", False, "")


def test_a_flip_is_pruned():
    # The first step prefers G at 0, which the flip does not need; pairs with it come next.
    margins = {"GAA": 0.1, "GCA": 0.05, "GCC": -1.0, "ACC": -0.5}
    found = greedy("AAA", lambda s: np.array([margins.get(x, 1.0) for x in s]))
    assert found == ({1: "C", 2: "C"}, 3, "success", True, "complete")


# The beam -----------------------------------------------------------------------------


def compare(sequence, score, beam, **options):
    """Hold a wider beam against width 1; give what it gained in flips and in edits."""
    narrow = greedy(sequence, score, **options)
    wide = greedy(sequence, score, beam=beam, **options)
    ends = [score([apply(sequence, found.edits)])[0] for found in (wide, narrow)]
    assert (ends[0] < 0) == wide.succeeded == (wide.stop_reason == "success")
    assert wide.succeeded >= narrow.succeeded
    if not wide.succeeded:
        assert ends[0] <= ends[1]
    if not narrow.succeeded:
        return int(wide.succeeded), 0
    assert len(wide.edits) <= len(narrow.edits)
    return 0, len(narrow.edits) - len(wide.edits)


@pytest.mark.parametrize("beam", [2, 4])
@pytest.mark.parametrize("model", ["pairwise", "rugged"])
def test_a_wider_beam_is_never_worse_whatever_the_budget(model, beam):
    gains = np.zeros(2, dtype=int)
    for seed in range(25):
        sequence = random_sequence(np.random.default_rng(seed), 14)
        scores = {"rugged": rugged(seed, 2.5), "pairwise": pairwise(seed, 14, 29.0, sequence)}
        for budget in (60, 150, 10_000):
            gains += compare(sequence, scores[model], beam, max_edits=5, query_budget=budget)
    assert gains.any()  # else nothing was tested


def test_a_beam_of_everything_finds_the_fewest_edits():
    for seed in range(12):
        sequence = random_sequence(np.random.default_rng(seed), 6)
        score = pairwise(seed, 6, 9.0, sequence)
        flips = [n for n in range(1, 4) if (score(mutants(sequence, n)) < 0).any()]
        found = greedy(sequence, score, beam=1_000, max_edits=3)
        assert found.succeeded == bool(flips)
        if flips:
            assert len(found.edits) == min(flips)
        else:
            best = min(score(mutants(sequence, n)).min() for n in range(1, 4))
            assert score([apply(sequence, found.edits)])[0] == pytest.approx(best)


def test_the_beam_carries_on_the_best_sets():
    score, asked = rugged(3, 9.0), []
    greedy(SEQUENCE, score, asked=asked, max_edits=2, beam=3)
    first = sorted(asked[0], key=lambda s: score([s])[0])[:3]
    second = {
        child
        for parent in first
        for child in mutants(parent, 1)
        if len(substitutions(SEQUENCE, child)) == 2
    }
    assert set(flat(asked[1:])) == second


def test_a_wider_beam_asks_only_for_what_has_fewer_edits_than_the_flip_of_width_one():
    n_edits = set()
    for seed in range(12):
        weights = np.random.default_rng(seed).normal(size=(30, 4))
        score = linear_score(weights, 6.0 - linear_score(weights)([SEQUENCE])[0])
        narrow, wide = [], []
        found = greedy(SEQUENCE, score, asked=narrow)
        assert greedy(SEQUENCE, score, asked=wide, beam=3) == found
        assert wide[: len(narrow)] == narrow
        further = [len(substitutions(SEQUENCE, c)) for c in flat(wide[len(narrow) :])]
        # Of single edits nothing is new, and with fewer than three edits nothing can be gained.
        assert set(further) == set(range(2, len(found.edits)))
        n_edits.add(len(found.edits))
    assert {2, 3} <= n_edits


def test_no_candidate_is_asked_about_twice():
    for beam in (1, 2, 5):
        asked = []
        greedy(SEQUENCE, rugged(beam, 9.0), asked=asked, max_edits=4, beam=beam)
        assert len(set(flat(asked))) == len(flat(asked))


# Rules, budget, options ---------------------------------------------------------------


@pytest.mark.parametrize("beam", [1, 3])
def test_hard_rules_are_kept_and_all_they_leave_is_asked(beam):
    rules = Constraints(
        gc_shift="hard", gc_limit=1 / 30, transitions="hard", edit_mask="hard", editable=((4, 20),)
    )
    asked = []
    bound = rules.bind(SEQUENCE)
    greedy(SEQUENCE, rugged(2, 9.0), rules, asked, max_edits=4, beam=beam)
    assert all(bound.allows(substitutions(SEQUENCE, candidate)) for candidate in flat(asked))
    allowed = {m for m in mutants(SEQUENCE, 1) if bound.allows(substitutions(SEQUENCE, m))}
    assert len(asked[0]) == 16  # one transition per position in the mask
    assert set(asked[0]) <= allowed


@pytest.mark.parametrize("sequence", ["", "NNN"])
def test_where_nothing_may_be_edited_nothing_is_asked(sequence):
    asked = []
    found = greedy(sequence, lambda s: np.ones(len(s)), asked=asked, beam=2)
    assert asked == []
    assert found == ({}, 0, "exhausted", False, "")


def test_a_short_sequence_ends_once_every_position_is_edited():
    found = greedy("AC", lambda s: np.ones(len(s)), max_edits=10)
    assert found.stop_reason == "exhausted"
    assert len(found.edits) == 1  # the first of equals


@pytest.mark.parametrize("budget", [1, 45, 90, 91, 150])
@pytest.mark.parametrize("beam", [1, 3])
def test_the_best_within_the_budget_is_returned(budget, beam):
    score, asked = rugged(5, 9.0), []
    found = greedy(SEQUENCE, score, asked=asked, beam=beam, query_budget=budget)
    answered = flat(asked)[:budget]
    assert apply(SEQUENCE, found.edits) == min(answered, key=lambda s: score([s])[0])
    assert found.stop_reason == "query_budget"


def test_a_flip_among_the_last_answers_counts():
    def score(candidates):
        return np.where([c == apply(SEQUENCE, {9: "ACGT"["ACGT".index(SEQUENCE[9]) - 1]})
                         for c in candidates], -1.0, 1.0)  # fmt: skip

    assert greedy(SEQUENCE, score, query_budget=30).stop_reason == "success"
    assert greedy(SEQUENCE, score, query_budget=27).stop_reason == "query_budget"


@pytest.mark.parametrize("option", ["beam", "max_edits", "query_budget"])
def test_an_option_out_of_range_is_refused_by_name(option):
    with pytest.raises(InputError, match=f"greedy, {option} 0"):
        Options(**{option: 0})
