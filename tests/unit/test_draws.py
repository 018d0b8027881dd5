"""Draws against the generator that they stand in for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genosiege.sequence.draws import Draws

SIZES = st.integers(1, 2**32 - 1) | st.integers(1, 40) | st.integers(3 * 2**30, 2**32 - 1)
CALLS = st.lists(
    st.tuples(st.just("random"), st.just(0))
    | st.tuples(st.just("integers"), SIZES)
    | st.tuples(st.sampled_from(["coins", "permutation"]), st.integers(0, 70))
    | st.tuples(st.just("sample"), st.integers(0, 30)),
    max_size=60,
)


def by_numpy(rng, kind, n):
    if kind == "random":
        return rng.random()
    if kind == "integers":
        return rng.integers(n)
    if kind == "coins":
        return (rng.random(n) < 0.5).tolist()
    if kind == "permutation":
        return rng.permutation(n).tolist()
    return rng.choice(range(0, 99, 3), n, replace=False, shuffle=False).tolist()


def by_draws(draws, kind, n):
    if kind == "sample":
        return draws.sample(range(0, 99, 3), n)
    return draws.random() if kind == "random" else getattr(draws, kind)(n)


@given(st.integers(0, 2**32), st.integers(0, 3), CALLS)
def test_draws_are_those_of_the_generator(seed, n_before, calls):
    rng, source = np.random.default_rng(seed), np.random.default_rng(seed)
    # An odd number leaves half a word over.
    assert rng.integers(7, size=n_before).tolist() == source.integers(7, size=n_before).tolist()
    draws = Draws(source)
    for kind, n in calls:
        assert by_draws(draws, kind, n) == by_numpy(rng, kind, n)


def test_draws_go_on_past_what_is_taken_from_the_generator_at_a_time():
    rng, draws = np.random.default_rng(1), Draws(np.random.default_rng(1))
    assert draws.permutation(5000) == rng.permutation(5000).tolist()
    assert [draws.random() for _ in range(3000)] == rng.random(3000).tolist()
