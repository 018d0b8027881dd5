"""A configuration against its schema, with the defaults filled in."""

import copy
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry, Resource

from genosiege import configuration
from genosiege.errors import InputError

# The C parser where PyYAML has it: every job on a cluster reads the schemas anew.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def validate(config: dict[str, Any], path: Path) -> None:
    """Fill the schema's defaults into a configuration and check it.

    What Snakemake's own `validate` does, which parses a schema's file again for each reference to
    it: seconds, at the start of every call and every job.

    Parameters
    ----------
    config : dict
        Changed in place.
    path : Path
        The schema; the others of its folder may be referred to by their file names.

    Raises
    ------
    InputError
        With the most telling error, reworded.
    """
    error = best_match(_validator(path).iter_errors(config))
    if error is not None:
        raise InputError(configuration.reworded(error))


@cache
def _validator(path: Path) -> Any:
    schemas = {
        file.resolve().as_uri(): yaml.load(file.read_text(encoding="utf-8"), _LOADER)
        for file in path.parent.glob("*.schema.yaml")
    }
    for uri, schema in schemas.items():
        schema["$id"] = uri
    registry: Registry[Any] = Registry().with_resources(
        (uri, Resource.from_contents(schema)) for uri, schema in schemas.items()
    )
    validator = extend(
        Draft202012Validator,
        {"properties": _with_defaults, "pattern": _whole_pattern},
        # JSON Schema takes 2.0 for an integer; what counts with it does not.
        type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
    )
    return validator(schemas[path.resolve().as_uri()], registry=registry)


def check_keys(path: Path) -> None:
    """Refuse a YAML or JSON file in which a key stands twice: the last would win, unsaid.

    Raises
    ------
    InputError
        Naming the file and both lines.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), _LOADER)
    except yaml.YAMLError:
        return  # Snakemake, which reads it, says so.
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        if not isinstance(node, yaml.MappingNode):
            continue
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            line, name = key.start_mark.line + 1, (key.tag, str(key.value))
            if name in lines:
                raise InputError(
                    f"{path}, line {line}, {key.value!r}: this key stands in line {lines[name]} "
                    "already, and only one of the two would count; remove one."
                )
            lines[name] = line
            nodes.append(value)


def _is_integer(_: Any, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole_pattern(
    validator: Any, pattern: str, instance: Any, schema: Mapping[str, Any]
) -> Iterator[Any]:
    """Check a pattern; its `$` is the end, and not what stands before a last line end."""
    whole = re.sub(r"\$$", r"\\Z", pattern)
    if validator.is_type(instance, "string") and not re.search(whole, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _with_defaults(
    validator: Any, properties: Mapping[str, Any], instance: Any, schema: Mapping[str, Any]
) -> Iterator[Any]:
    """Check properties as JSON Schema has it, after those with a default are filled in."""
    # The type may be wrong, which another keyword says.
    if validator.is_type(instance, "object"):
        for name, subschema in properties.items():
            if "default" in subschema:
                # Each entry its own: what is filled into one must not show in the next.
                instance.setdefault(name, copy.deepcopy(subschema["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](
        validator, properties, instance, schema
    )
