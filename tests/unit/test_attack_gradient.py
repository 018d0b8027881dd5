"""The gradient attack is exact on linear models, and pays for what it asks."""

import numpy as np
import pytest
import torch
from test_oracle import make_dnabert2
from toy_models import (
    BASES,
    Linear,
    Spy,
    apply,
    linear_score,
    linear_weights,
    random_sequence,
    substitutions,
    wrap,
)

from genosiege.errors import InputError
from genosiege.sequence import attacks, campaign, tables
from genosiege.sequence.attacks import Found, Target, gradient, greedy
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.oracle import Oracle, Search

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH = 30
SEQUENCE = random_sequence(np.random.default_rng(1), LENGTH)


def linear(seed, offset):
    """A linear model, and its margin of class 0 by numpy: `offset` for SEQUENCE."""
    weights = linear_weights(seed, LENGTH)
    weights[:, :, 1] = 0
    weights[:, :4, 0] -= weights[np.arange(LENGTH), [BASES.index(b) for b in SEQUENCE], 0][:, None]
    weights[0, :, 0] += offset
    return wrap(Linear(weights)), linear_score(weights[:, :4, 0])


def run(model, sequence, rules=None, batching="per_sequence", kind=gradient, **options):
    """Attack one sequence of class 0 through an oracle; give the search and what it found."""
    settings = kind.Options(**options)

    def steps():
        start = yield [sequence]
        target = Target("a", sequence, 0, start, (rules or Constraints()).bind(sequence))
        found: Found = yield from kind.search(target, settings, np.random.default_rng(0))
        return found

    oracle = Oracle(model, batching=batching, device=torch.device("cpu"))
    search = Search("a", 0, settings.query_budget, steps())
    ((search, found),) = oracle.run([search])
    return search, found


def lowest(score, weights_of, n_edits):
    """Lowest margin of a linear model within `n_edits` edits: the largest gains add up."""
    singles = [
        min(score([apply(SEQUENCE, {p: b})])[0] for b in BASES) - weights_of for p in range(LENGTH)
    ]
    return weights_of + np.sort(singles)[:n_edits].clip(max=0).sum()


@pytest.mark.parametrize("n_edits", [1, 2, 3, 6])
@pytest.mark.parametrize("verified", [1, 32])
def test_it_is_optimal_on_linear_models(n_edits, verified):
    for seed in range(3):
        model, score = linear(seed, 500.0)
        _, found = run(model, SEQUENCE, max_edits=n_edits, verified=verified, patience=2)
        assert score([apply(SEQUENCE, found.edits)])[0] == pytest.approx(
            lowest(score, 500.0, n_edits), abs=1e-3
        )
        assert len(found.edits) == found.n_edits_before_pruning == n_edits
        assert not found.succeeded and found.stop_reason in ("patience", "exhausted")


def test_it_flips_linear_models_with_as_few_edits_as_can_do():
    for seed in range(8):
        model, score = linear(seed, 5.0)
        needed = next(n for n in range(LENGTH) if lowest(score, 5.0, n) < 0)
        search, found = run(model, SEQUENCE, verified=1)
        assert found.succeeded and found.stop_reason == "success"
        assert len(found.edits) == needed > 1
        # One gradient and one forward a step; then pruning asks whether each edit is needed.
        assert search.n_gradients == needed
        assert search.n_queries_unique <= 1 + needed + needed


def test_one_gradient_and_a_few_forwards_are_a_step():
    model, _ = linear(0, 500.0)
    spy = Spy(model.classifier.encoder)
    search, _ = run(wrap(spy), SEQUENCE, max_edits=1, verified=7, patience=1)
    # A climb with a step of gain and one without, then another climb, in vain.
    assert search.n_gradients == 4
    assert len(set(spy.rows)) == search.n_queries_unique
    assert search.n_queries_unique == 1 + 4 * 7


@pytest.mark.parametrize("budget", [1, 2, 5, 40, 41, 77])
def test_a_spent_budget_ends_it_with_the_best_so_far(budget):
    model, _ = linear(3, 500.0)
    search, found = run(model, SEQUENCE, query_budget=budget, max_edits=4, verified=8, patience=9)
    assert search.n_queries_unique == budget
    assert found.stop_reason == "query_budget" and not found.succeeded
    assert len(found.edits) <= 4
    assert (found.edits == {}) == (budget == 1)


def test_where_nothing_may_be_edited_it_ends_empty_handed():
    model, _ = linear(0, 5.0)
    rules = Constraints(edit_mask="hard", editable=((100, 110),))
    _, found = run(model, SEQUENCE, rules)
    assert found == Found({}, 0, "exhausted", False)


def test_a_small_space_is_searched_through():
    model, score = linear(4, 500.0)
    rules = Constraints(edit_mask="hard", editable=((3, 5),))
    _, found = run(model, SEQUENCE, rules, max_edits=2)
    best = min(
        score([apply(SEQUENCE, {3: a, 4: b})])[0] for a in BASES for b in BASES
    )  # fmt: skip
    assert score([apply(SEQUENCE, found.edits)])[0] == pytest.approx(best, abs=1e-3)
    assert found.stop_reason == "exhausted"


def test_hard_rules_hold_for_every_candidate():
    model, _ = linear(5, 500.0)
    spy = Spy(model.classifier.encoder)
    sequence = SEQUENCE[:10] + "NNN" + SEQUENCE[13:]
    rules = Constraints(
        gc_shift="hard", gc_limit=0.05, transitions="hard", edit_mask="hard", editable=((4, 25),)
    )
    run(wrap(spy), sequence, rules, max_edits=4, verified=10)
    candidates = set(spy.rows) - {sequence}
    assert len(candidates) > 20
    for candidate in candidates:
        edits = substitutions(sequence, candidate)
        assert 1 <= len(edits) <= 4
        assert all(4 <= p < 25 and sequence[p] != "N" for p in edits)
        assert rules.bind(sequence).allows(edits)


def test_no_candidate_is_scored_twice():
    model, _ = linear(6, 500.0)
    found, _ = run(model, SEQUENCE, max_edits=3, verified=10)
    # All that is asked again are the sets at which a gradient is taken.
    assert found.n_queries == found.n_queries_unique + found.n_gradients


@pytest.mark.parametrize("batching", ["per_sequence", "lockstep"])
def test_the_attack_row_counts_the_gradients(tmp_path, batching):
    model = make_dnabert2(tmp_path)
    rng = np.random.default_rng(3)
    texts = [random_sequence(rng, 60) for _ in range(4)]
    oracle = Oracle(model, batching=batching, device=torch.device("cpu"))
    labels = oracle.logits(texts).argmax(axis=1)
    sample = tables.typed(
        [
            {"id": f"test:{i}", "sequence": text, "label": int(label)}
            for i, (text, label) in enumerate(zip(texts, labels, strict=True))
        ],
        tables.SAMPLE_COLUMNS,
    )
    attack = attacks.load({"kind": "gradient", "max_edits": 3, "verified": 8, "patience": 2})
    rows = campaign.attack_sample(model, sample, attack, Constraints(), [0], oracle)
    again = campaign.attack_sample(model, sample, attack, Constraints(), [1], oracle)

    assert (rows["n_gradients"] > 0).all()
    assert not rows["skipped"].any()
    # Nothing in it is random.
    columns = ["adversarial", "n_queries_unique", "n_gradients", "stop_reason"]
    assert rows[columns].equals(again[columns])


def test_out_of_range_options_are_refused():
    with pytest.raises(InputError, match="verified 0"):
        gradient.Options(verified=0)


# Against the black-box attack --------------------------------------------------------


class Curved(Linear):
    """A smooth margin that is not linear: the sum of squares of linear scores."""

    def forward(self, input_ids, attention_mask):
        scores = super().forward(input_ids, attention_mask)
        margin = 3.0 - 0.3 * (scores**2).sum(dim=1)
        return torch.stack([margin, torch.zeros_like(margin)], dim=1)


def test_on_curved_models_it_flips_what_greedy_flips_with_fewer_queries():
    flips, queries = {gradient: 0, greedy: 0}, {gradient: [], greedy: []}
    for seed in range(12):
        weights = np.random.default_rng(seed).normal(size=(LENGTH, 5, 3))
        present = ["ACGTN".index(base) for base in SEQUENCE]
        # The scores of the original are small, so its margin is positive.
        weights -= weights[np.arange(LENGTH), present].mean(axis=0) - 0.01
        model = wrap(Curved(weights * 0.3), 2)
        for kind in flips:
            search, found = run(model, SEQUENCE, kind=kind, max_edits=4)
            flips[kind] += found.succeeded
            queries[kind].append(search.n_queries_unique)
    assert flips[gradient] >= flips[greedy] > 0
    assert np.median(queries[gradient]) < np.median(queries[greedy])
