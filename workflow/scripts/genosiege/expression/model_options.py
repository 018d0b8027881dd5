"""How the options of a model are taken from its entry in the configuration and checked."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from genosiege.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ALL = "all"
"""Asks for as many features as there are."""

Options = TypeVar("Options", bound="DataclassInstance")


def take(options: type[Options], given: Mapping[str, Any] | None, section: str) -> Options:
    """Make a dataclass of options from what is given; the rest keeps its default.

    Parameters
    ----------
    options : type
        The dataclass; lists become tuples.
    given : mapping or None
        As in the configuration.
    section : str
        Where it stands, for the error.

    Raises
    ------
    InputError
        If there is an option that the dataclass does not know, or a value is out of range.
    """
    given = given or {}
    unknown = set(given) - {field.name for field in fields(options)}
    if unknown:
        raise InputError(f"{section}, {min(unknown)}: there is no such option; remove it.")
    return options(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def check_count(section: str, name: str, value: object, least: int = 1) -> None:
    """Refuse what is no whole number, or one below `least`."""
    if type(value) is not int or value < least:
        raise InputError(f"{section}, {name} {value!r}: give a whole number ≥ {least}.")


def check_counts(section: str, name: str, values: object, length: int | None = None) -> None:
    """Refuse what is no list of whole numbers from 1 on, of this length if one is given."""
    numbers = values if isinstance(values, tuple) else ()
    wrong = any(type(value) is not int or value < 1 for value in numbers)
    if wrong or not numbers or (length is not None and len(numbers) != length):
        shown = list(numbers) if numbers else values
        many = "" if length is None else f" {length}"
        raise InputError(f"{section}, {name} {shown!r}: give a list of{many} positive integers.")


def check_share(section: str, name: str, value: object) -> None:
    """Refuse what is no number in (0, 1]."""
    if not (_is_number(value) and 0 < value <= 1):
        raise InputError(f"{section}, {name} {value!r}: give a number above 0, at most 1.")


def check_number(section: str, name: str, value: object, above: bool) -> None:
    """Refuse what is no number > 0 (`above`) or ≥ 0."""
    if not (_is_number(value) and (value > 0 if above else value >= 0)):
        raise InputError(f"{section}, {name} {value!r}: give a number {'>' if above else '≥'} 0.")


def check_dropout(section: str, value: object) -> None:
    """Refuse a share of dropout that is no number in [0, 1)."""
    if not (_is_number(value) and 0 <= value < 1):
        raise InputError(f"{section}, dropout {value!r}: give a share ≥ 0, < 1.")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)
