"""What the simulations of expression give, and the checks that they share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError


@dataclass(frozen=True, eq=False)
class Simulated:
    """Simulated samples.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        Unique names.
    labels : ndarray of int64, shape (n,)
        1 for tumour or infected, 0 for normal or healthy.
    donors, sites, studies : ndarray of str, shape (n,)
        Groups; "" where the design has none.
    values : ndarray of float64 or int64, shape (n, p)
        Logarithms of FPKM, or counts.
    informative : ndarray of bool, shape (p,)
        The genes that the disease changes.
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    donors: NDArray[np.str_]
    sites: NDArray[np.str_]
    studies: NDArray[np.str_]
    values: NDArray[Any]
    informative: NDArray[np.bool_]

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes, GENE0001 and so on."""
        return tuple(f"GENE{number:04d}" for number in range(1, self.values.shape[1] + 1))


def require_integers(settings: object, **least: int) -> None:
    """Refuse parameters that are no integers of at least so much."""
    for name, bound in least.items():
        value = getattr(settings, name)
        if type(value) is not int or value < bound:
            raise _refusal(name, value, f"an integer of at least {bound}")


def require_numbers(settings: object, **bounds: tuple[float, float]) -> None:
    """Refuse parameters that are no numbers between these bounds, both included."""
    for name, (low, high) in bounds.items():
        value = getattr(settings, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and low <= value <= high):
            raise _refusal(name, value, f"a number from {low:g} to {high:g}")


def require_booleans(settings: object, *names: str) -> None:
    """Refuse parameters that are neither true nor false."""
    for name in names:
        if type(getattr(settings, name)) is not bool:
            raise _refusal(name, getattr(settings, name), "true or false")


def names(prefix: str, numbers: NDArray[np.int64], digits: int) -> NDArray[np.str_]:
    """Write numbers, counted from 0, as names counted from 1: S0001 and so on."""
    return np.array([f"{prefix}{number + 1:0{digits}d}" for number in numbers], dtype=np.str_)


def _refusal(name: str, value: object, what: str) -> InputError:
    return InputError(f"source simulate, {name} {value!r}: this must be {what}.")
