"""The random numbers of a generator, one by one, and fast.

A search draws single numbers by the million, and each call of numpy costs more than what is done
with the number. Here the generator's words are taken in bulk and made into numbers the way
numpy makes them: the results of a search are those it would have with the generator itself.
"""

from collections.abc import Iterator, Sequence

import numpy as np

# Words taken from the generator at a time.
_AT_ONCE = 512
_HALF_MASK = 2**32 - 1
_SCALE = 2.0**-53
_MIDDLE = 2**63


class Draws:
    """Single draws, equal to those of a generator; nothing else may draw from it meanwhile.

    Parameters
    ----------
    rng : numpy.random.Generator
        One of 64-bit words that serves 32 bits by halves, the lower one first, as PCG64 does.

    Notes
    -----
    Bounded integers: Lemire (2019), ACM Trans. Model. Comput. Simul. 29, 3. Samples: Floyd, in
    Bentley & Floyd (1987), Commun. ACM 30, 754–757.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        state = rng.bit_generator.state
        left_over = [state["uinteger"]] if state["has_uint32"] else []
        words = _words(rng.bit_generator)
        self._word = words.__next__
        self._half = _halves(words, left_over).__next__

    def random(self) -> float:
        """Draw from [0, 1), as `rng.random()` does."""
        return (self._word() >> 11) * _SCALE

    def coins(self, n: int) -> list[bool]:
        """Toss n coins, as `rng.random(n) < 0.5` does."""
        word = self._word
        return [word() < _MIDDLE for _ in range(n)]

    def integers(self, n: int) -> int:
        """Draw from 0 to n − 1, 1 ≤ n < 2³², as `rng.integers(n)` does."""
        if n == 1:
            return 0
        product = self._half() * n
        if product & _HALF_MASK < n:
            # Seldom; without it, small numbers would be too frequent.
            least = 2**32 % n
            while product & _HALF_MASK < least:
                product = self._half() * n
        return product >> 32

    def permutation(self, n: int) -> list[int]:
        """Put 0 to n − 1 into random order, as `rng.permutation(n)` does."""
        order, half = list(range(n)), self._half
        for last in range(n - 1, 0, -1):
            # numpy shuffles by masked rejection, unlike its bounded integers.
            mask = (1 << last.bit_length()) - 1
            other = half() & mask
            while other > last:
                other = half() & mask
            order[last], order[other] = order[other], order[last]
        return order

    def sample(self, values: Sequence[int], size: int) -> list[int]:
        """Draw `size` different values.

        For up to 10,000 values as `rng.choice(values, size, replace=False, shuffle=False)` does.
        """
        chosen: dict[int, None] = {}
        for last in range(len(values) - size, len(values)):
            place = self.integers(last + 1)
            chosen[last if place in chosen else place] = None
        return [values[place] for place in chosen]


def _words(source: np.random.BitGenerator) -> Iterator[int]:
    while True:
        yield from source.random_raw(_AT_ONCE).tolist()


def _halves(words: Iterator[int], left_over: list[int]) -> Iterator[int]:
    yield from left_over
    for word in words:
        yield word & _HALF_MASK
        yield word >> 32
