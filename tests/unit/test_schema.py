"""The schema is complete: every key described, in the README, and no other let through."""

from pathlib import Path
from typing import Any

import yaml
from Bio.Data import CodonTable


def schema_keys(schema: Any) -> set[str]:
    """Collect the keys that a schema lets a user write."""
    keys: set[str] = set()
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            keys |= set(properties)
        keys = keys.union(*map(schema_keys, schema.values()))
    elif isinstance(schema, list):
        keys = keys.union(*map(schema_keys, schema))
    return keys


def schemas(repository: Path) -> list[dict[str, Any]]:
    files = sorted((repository / "workflow/schemas").glob("*.schema.yaml"))
    return [yaml.safe_load(file.read_text()) for file in files]


def test_config_readme_names_every_key(repository):
    pages = ("config/README.md", "config/expression.md", "config/detection.md")
    text = "".join((repository / page).read_text() for page in pages)
    keys = set().union(*map(schema_keys, schemas(repository)))

    assert len(keys) > 80
    assert not {key for key in keys if f"`{key}`" not in text}


SCHEMAS = Path(__file__).parents[2] / "workflow/schemas"


def is_described(value: dict[str, Any]) -> bool:
    """Tell whether a key has a description, its own or that of the definition it refers to."""
    if "description" in value:
        return True
    file, _, place = value.get("$ref", "").partition("#/$defs/")
    # Keys that two sections share are described once, in the file of definitions.
    here = SCHEMAS / (file or "defence.schema.yaml")
    definitions = yaml.safe_load(here.read_text())["$defs"]
    return "description" in definitions.get(place, {})


def undescribed(schema: Any, place: str = "") -> list[str]:
    """List the keys of a schema that have no description."""
    if isinstance(schema, list):
        return [hit for number, item in enumerate(schema) for hit in undescribed(item, place)]
    if not isinstance(schema, dict):
        return []
    hits = []
    # A condition and its `else` are no keys of their own; an empty `kind` has its description
    # where it is chosen.
    for key, inner in schema.items():
        if key in ("if", "else"):
            continue
        if key == "properties":
            hits += [
                f"{place}/{name}"
                for name, value in inner.items()
                if value != {} and not is_described(value)
            ]
        hits += undescribed(inner, f"{place}/{key}")
    return hits


def test_every_key_of_the_schema_is_described(repository):
    missing = [hit for schema in schemas(repository) for hit in undescribed(schema)]

    assert missing == []


def open_sections(schema: Any, place: str = "") -> list[str]:
    """List the sections of a schema that let unknown keys through."""
    if isinstance(schema, list):
        return [hit for item in schema for hit in open_sections(item, place)]
    if not isinstance(schema, dict):
        return []
    hits = [
        hit
        for key, inner in schema.items()
        if key not in ("if", "else")
        for hit in open_sections(inner, f"{place}/{key}")
    ]
    is_section = isinstance(schema.get("properties"), dict) and "allOf" not in schema
    if is_section and schema.get("additionalProperties") is not False:
        hits.append(place)
    return hits


def test_no_section_lets_an_unknown_key_through(repository):
    found = [hit for schema in schemas(repository) for hit in open_sections(schema)]

    assert found == []


def test_the_genetic_codes_are_those_of_ncbi(repository):
    text = (repository / "workflow/schemas/config.schema.yaml").read_text()
    rules = yaml.safe_load(text)["properties"]["constraints"]["properties"]
    table = rules["stop_codons"]["properties"]["table"]

    assert table["enum"] == sorted(CodonTable.unambiguous_dna_by_id)
