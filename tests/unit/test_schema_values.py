"""What the schema takes for a value: no number with a point for a whole one, no name with more."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genosiege import schema
from genosiege.errors import InputError

SCHEMA = Path(__file__).parents[2] / "workflow/schemas/config.schema.yaml"


def message(config: dict[str, Any]) -> str:
    """Give what is said of a configuration; "" where all is well."""
    try:
        schema.validate(copy.deepcopy(config), SCHEMA)
    except InputError as error:
        return str(error)
    return ""


def places(config: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Walk to every whole number of a configuration."""
    if isinstance(config, dict | list):
        items = config.items() if isinstance(config, dict) else enumerate(config)
        for key, value in items:
            yield from places(value, *path, key)
    elif type(config) is int:
        yield path


def at(config: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        config = config[key]
    return config


def with_value(config: dict[str, Any], path: tuple[str | int, ...], value: object) -> Any:
    changed = copy.deepcopy(config)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def test_a_whole_number_with_a_point_is_refused_wherever_half_of_one_is():
    config: dict[str, Any] = {
        "run": {"tasks": ["simulated"], "encoders": ["cnn"]},
        "tasks": {"simulated": {"source": {"kind": "simulate"}, "tss_index": 5}},
        "encoders": {"cnn": {"kind": "cnn"}},
        "attacks": {"genetic": {"kind": "genetic"}},
        "datasets": {"bulk": {"format": "csv", "matrix": {"kind": "simulate", "assay": "bulk"}}},
        "models": {"vit": {"kind": "vit"}},
    }
    schema.validate(config, SCHEMA)
    whole = list(places(config))
    assert len(whole) > 80

    numbers = []
    for path in whole:
        value = at(config, path)
        said = message(with_value(config, path, float(value)))
        halved = message(with_value(config, path, value + 0.5))
        # Of a number that need not be whole, neither is refused for what it is.
        assert ("a whole number" in said) == ("a whole number" in halved), path
        if said:
            assert f"(write {value}, without point)" in said, path
        else:
            numbers.append(path[-1])
    assert len(numbers) < len(whole) / 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"sampling": {"attack_samples": 2.0}},
            "config, sampling/attack_samples, 2.0: this has to be a whole number or null; correct "
            "it (write 2, without point).",
        ),
        (
            {"run": {"seeds": [0, 1.0]}},
            "config, run/seeds[1], 1.0: this has to be a whole number; correct it (write 1, "
            "without point).",
        ),
        (
            {"constraints": {"stop_codons": {"table": True}}},
            "config, constraints/stop_codons/table, true: this has to be a whole number; correct "
            "it (YAML reads a bare yes, no, on or off so; if a text is meant, write ",
        ),
        (
            {"run": {"name": "main\n"}},
            r'config, run/name, "main\n": a name has letters, digits, hyphens and underscores '
            "only; correct it.",
        ),
        (
            {"tasks": {"mine\n": {"source": {"kind": "simulate"}}}},
            "letters, digits, hyphens and underscores only",
        ),
        (
            {"sampling": None},
            "config, sampling: nothing stands here; fill it in or leave the key out.",
        ),
    ],
)
def test_what_is_refused_is_named_with_the_cure(change, said):
    config = {"run": {"tasks": ["a"]}}
    config = {**config, **change, "run": {**config["run"], **change.get("run", {})}}

    assert said in message(config)
