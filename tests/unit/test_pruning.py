"""Pruning: a success stays one, and no edit is left that could go."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
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

    kept = pruned(sequence, score, edits, rules, budget if limited else 10**9)

    assert kept.items() <= edits.items()
    assert score([apply(sequence, kept)])[0] < 0
    assert rules.bind(sequence).allows(kept)
    if not limited and len(kept) > 1:
        for dropped in kept:
            fewer = {p: b for p, b in kept.items() if p != dropped}
            if rules.bind(sequence).allows(fewer):
                assert score([apply(sequence, fewer)])[0] >= 0


def test_pruning_drops_what_a_linear_model_needs_least():
    weights = np.zeros((6, 4))
    weights[:5, 1] = [-1, -2, -4, -8, -0.5]  # what a C takes off the margin
    edits = dict.fromkeys(range(5), "C")
    assert pruned("A" * 6, linear_score(weights, 11.0), edits) == {2: "C", 3: "C"}


def test_pruning_never_breaks_a_hard_rule():
    # Either edit alone would flip, but changes the GC content.
    rules = Constraints(gc_shift="hard", gc_limit=0.0)
    edits = {0: "G", 1: "A"}
    assert pruned("ACCC", lambda s: np.full(len(s), -1.0), edits, rules) == edits


def test_a_found_flip_is_minimal():
    rng = np.random.default_rng(5)
    weights, sequence = rng.normal(size=(80, 4)), random_sequence(rng, 80)
    score = linear_score(weights, 5 - linear_score(weights)([sequence])[0])
    found = attack(sequence, score, Options())
    assert found.succeeded and found.stop_reason == "success"
    assert len(found.edits) < found.n_edits_before_pruning <= 10
    for dropped in found.edits:
        fewer = {p: b for p, b in found.edits.items() if p != dropped}
        assert score([apply(sequence, fewer)])[0] >= 0
