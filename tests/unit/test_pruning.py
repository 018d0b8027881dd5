"""Pruning: a success stays one, and no edit is left that could go; where one may be, it is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searching import run
from toy_models import apply, attack, drive, linear_score, random_sequence, target

from genosiege.sequence.attacks.genetic import Options
from genosiege.sequence.attacks.pruning import prune
from genosiege.sequence.attacks.sparse import Operators
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.draws import Draws


def rugged(seed):
    """A score that has no structure but its seed's."""

    def score(candidates):
        return np.array(
            [np.random.default_rng([seed, *c.encode()]).normal() - 0.5 for c in candidates]
        )

    return score


def pruned(sequence, score, edits, rules=None, budget=10**9):
    goal = target(sequence, score, rules)

    def steps():
        return (yield from prune(goal, edits))

    return drive(steps(), score, budget)


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(0, 40), st.booleans())
@settings(max_examples=80, deadline=None)
def test_pruning_keeps_success_and_leaves_no_edit_that_can_go(seed, n_edits, budget, limited):
    score = rugged(seed)
    sequence = random_sequence(np.random.default_rng(seed), 20)
    rules = Constraints(gc_shift="hard", gc_limit=0.06)
    draws = Draws(np.random.default_rng(seed))
    edits = Operators(rules.bind(sequence), 20, draws).draw(n_edits)
    if not edits or score([apply(sequence, edits)])[0] >= 0:
        return

    kept, state = pruned(sequence, score, edits, rules, budget if limited else 10**9)

    assert kept.items() <= edits.items()
    assert score([apply(sequence, kept)])[0] < 0
    assert rules.bind(sequence).allows(kept)
    assert state in (("complete", "cut") if len(edits) > 1 else ("",))
    if not limited:
        assert state != "cut"
    if state == "complete":
        assert droppable(sequence, score, kept, rules) == []
    if state == "cut":
        assert len(kept) > 1


def droppable(sequence, score, kept, rules=None):
    """Edits without which a set of several still flips and breaks no hard rule."""
    bound = (rules or Constraints()).bind(sequence)
    fewer = {gone: {p: b for p, b in kept.items() if p != gone} for gone in kept}
    return [
        gone
        for gone, edits in fewer.items()
        if edits and bound.allows(edits) and score([apply(sequence, edits)])[0] < 0
    ]


SEARCHES = {
    "genetic": {"population": 12},
    "pareto": {"kind": "genetic", "objective": "pareto", "population": 12},
    "greedy": {},
    "natural": {"draws": 10**6, "rate": 0.3},
    "random": {},
    "published": {"population": 12},
    "variants": {},
}


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_says_whether_its_pruning_came_to_its_end(name, tmp_path):
    """At budgets so small that some end amid pruning: `complete` is checked by brute force."""
    entry = {"kind": name, "max_edits": 6} | SEARCHES[name]
    if name == "published":
        del entry["max_edits"]
    sequence = random_sequence(np.random.default_rng(0), 30)
    if name == "variants":
        lines = [
            f"test:0\t{p}\t{base}\t{new}"
            for p, base in enumerate(sequence)
            for new in "ACGT".replace(base, "")
        ]
        entry["path"] = str(tmp_path / "variants.tsv")
        (tmp_path / "variants.tsv").write_text("\n".join(["id\tposition\tref\talt", *lines]))
    states = []
    for seed in range(6):
        weights = np.random.default_rng(seed).normal(size=(30, 4))
        # Those that go step by step overshoot only where they take several.
        start = 9.0 if name in ("greedy", "variants") else 4.0
        score = linear_score(weights, start - linear_score(weights)([sequence])[0])
        asked = []
        whole = run({**entry, "query_budget": 20_000}, sequence, score, seed=seed, asked=asked)
        # The pruning is the end of a search: budgets of a few queries less end amid it.
        n_asked = len({candidate for proposal in asked for candidate in proposal})
        budgets = {*range(max(1, n_asked - 9), n_asked), *range(30, n_asked, 1 + n_asked // 12)}
        for budget in (20_000, *budgets):
            found = run({**entry, "query_budget": budget}, sequence, score, seed=seed)
            states.append(found.pruned)
            if not found.succeeded or found.n_edits_before_pruning == 1:
                assert found.pruned == ""
            elif found.pruned == "complete":
                assert droppable(sequence, score, found.edits) == []
            else:
                assert found.pruned == "cut"
                assert len(found.edits) > 1
                assert budget < n_asked
        assert not whole.succeeded or whole.pruned != "cut"
    assert "complete" in states
    assert "cut" in states


def test_a_budget_that_ends_amid_pruning_leaves_what_could_go():
    # Of the three edits the first can go, and no other.
    def score(candidates):
        return np.array([-1.0 if c in ("CCCA", "ACCA") else 1.0 for c in candidates])

    edits = dict.fromkeys(range(3), "C")

    assert pruned("AAAA", score, edits) == ({1: "C", 2: "C"}, "complete")
    assert pruned("AAAA", score, edits, budget=0) == (edits, "cut")


def test_pruning_drops_what_a_linear_model_needs_least():
    weights = np.zeros((6, 4))
    weights[:5, 1] = [-1, -2, -4, -8, -0.5]  # what a C takes off the margin
    edits = dict.fromkeys(range(5), "C")
    assert pruned("A" * 6, linear_score(weights, 11.0), edits) == ({2: "C", 3: "C"}, "complete")


def test_pruning_never_breaks_a_hard_rule():
    # Either edit alone would flip, but changes the GC content.
    rules = Constraints(gc_shift="hard", gc_limit=0.0)
    edits = {0: "G", 1: "A"}
    assert pruned("ACCC", lambda s: np.full(len(s), -1.0), edits, rules) == (edits, "complete")


def test_a_found_flip_is_minimal():
    rng = np.random.default_rng(5)
    weights, sequence = rng.normal(size=(80, 4)), random_sequence(rng, 80)
    score = linear_score(weights, 5 - linear_score(weights)([sequence])[0])
    found = attack(sequence, score, Options())
    assert found.succeeded and found.stop_reason == "success"
    assert len(found.edits) < found.n_edits_before_pruning <= 10
    assert found.pruned == "complete"
    assert droppable(sequence, score, found.edits) == []
