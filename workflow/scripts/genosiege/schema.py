"""A configuration against its schema, with the defaults filled in."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
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
    schemas = {
        file.resolve().as_uri(): yaml.load(file.read_text(encoding="utf-8"), _LOADER)
        for file in path.parent.glob("*.schema.yaml")
    }
    for uri, schema in schemas.items():
        schema["$id"] = uri
    registry: Registry[Any] = Registry().with_resources(
        (uri, Resource.from_contents(schema)) for uri, schema in schemas.items()
    )
    validator = extend(Draft202012Validator, {"properties": _with_defaults})
    errors = validator(schemas[path.resolve().as_uri()], registry=registry).iter_errors(config)
    error = best_match(errors)
    if error is not None:
        raise InputError(configuration.reworded(error))


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
