"""Write config/reference.md: every key of the configuration, from the schemas themselves.

`make docs` calls it; tests/unit/test_settings_page.py compares.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = ROOT / "workflow/schemas"
PAGE = ROOT / "config/reference.md"

HEAD = """# Every key

Made from `workflow/schemas` by `make docs`; [README.md](README.md), [expression.md](expression.md)
and [detection.md](detection.md) explain how the keys work together. *Name* stands for a name of
yours in a catalogue, a dot for a key within a section. A key without a default has to be given
where it is *required*, and may be left out elsewhere.
"""

BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "not empty",
}
TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "object": "section",
}


class Key(NamedTuple):
    """One line of the page."""

    name: str
    meaning: str
    allowed: str
    default: str


class Schemas:
    """The files of the schema, and what their references stand for."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.name: yaml.safe_load(path.read_text()) for path in folder.glob("*.schema.yaml")
        }

    def resolved(self, node: Mapping[str, Any], file: str) -> tuple[dict[str, Any], str]:
        """Follow a reference; what stands beside it goes before what it stands for."""
        here = dict(node)
        while reference := here.pop("$ref", None):
            name, _, place = reference.partition("#/")
            file = name or file
            target: Any = self._files[file]
            for part in place.split("/"):
                target = target[part]
            here = {**target, **here}
        return here, file

    def sections(self) -> Iterator[tuple[str, list[Key]]]:
        """Give each section of the configuration with its keys; of a catalogue, by kind."""
        top = self._files["config.schema.yaml"]
        for name, node in top["properties"].items():
            section, file = self.resolved(node, "config.schema.yaml")
            entries = section.get("additionalProperties")
            if isinstance(entries, dict):
                entry, file = self.resolved(entries, file)
                yield f"`{name}`: *name*", [*self._keys(entry, file, "", conditions=False)]
                yield from self._kinds(name, entry, file)
            else:
                yield f"`{name}`", [*self._keys(section, file, "")]

    def _kinds(
        self, catalogue: str, entry: Mapping[str, Any], file: str
    ) -> Iterator[tuple[str, list[Key]]]:
        """Give the sections of a catalogue's kinds of entry."""
        for condition, then, place in self._choices(entry, file):
            heading = f"`{catalogue}`: *name*, where `{condition}`"
            yield heading, [*self._keys(then, place, "")]

    def _choices(
        self, section: Mapping[str, Any], file: str
    ) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Give what a section holds under each of its conditions."""
        for choice in section.get("allOf", []):
            for key, value in choice.get("if", {}).get("properties", {}).items():
                if "const" in value and "then" in choice:
                    yield f"{key}: {_plain(value['const'])}", *self.resolved(choice["then"], file)

    def _keys(
        self, section: Mapping[str, Any], file: str, before: str, conditions: bool = True
    ) -> Iterator[Key]:
        required = section.get("required", [])
        for name, node in section.get("properties", {}).items():
            if not node:
                continue
            entry, place = self.resolved(node, file)
            default = "required" if name in required else ""
            if "default" in entry and entry["default"] != {}:
                default = f"`{_plain(entry['default'])}`"
            meaning = " ".join(entry.get("description", "").split())
            yield Key(f"`{before}{name}`", meaning, _allowed(entry, self, place), default)
            # What holds where the value is a section and not null is a section all the same.
            for option in (entry, *entry.get("anyOf", []), entry.get("then", {})):
                yield from self._keys(*self.resolved(option, place), f"{before}{name}.")
        if conditions:
            for condition, then, place in self._choices(section, file):
                for key in self._keys(then, place, before):
                    yield key._replace(meaning=f"Where `{condition}`: {key.meaning}")


def _allowed(entry: Mapping[str, Any], schemas: Schemas, file: str) -> str:
    """Say in words what a value may be."""
    for several in ("anyOf", "oneOf"):
        if several in entry:
            found = (schemas.resolved(option, file) for option in entry[several])
            return ", or ".join(
                dict.fromkeys(_allowed(option, schemas, at) for option, at in found)
            )
    if "enum" in entry:
        # A bare `off` is false to YAML, which is taken for it: no choice of its own.
        values = [_plain(value) for value in entry["enum"] if value is not False]
        if all(isinstance(value, int) for value in entry["enum"]) and len(values) > 8:
            return f"one of {', '.join(values)}"
        return ", ".join(f"`{value}`" for value in values)
    if "const" in entry:
        return f"`{_plain(entry['const'])}`"
    kinds = entry.get("type", "")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    bounds = ", ".join(
        text.format(_plain(entry[key])) for key, text in BOUNDS.items() if key in entry
    )
    words = []
    for kind in kinds:
        if kind == "array":
            items, place = schemas.resolved(entry.get("items", {}), file)
            words.append(f"list: {_allowed(items, schemas, place) or 'anything'}")
        elif kind in ("integer", "number", "string") and bounds:
            words.append(f"{TYPES[kind]} {bounds}" if kind != "string" else "text")
        elif kind:
            words.append(TYPES[kind])
    return ", or ".join(words)


def _plain(value: Any) -> str:
    """Write a value as YAML does, on one line."""
    if value == "off":
        return "off"
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").removesuffix("...").strip()


def page(folder: Path = SCHEMAS) -> str:
    """Give the text of the page."""
    parts = [HEAD]
    for heading, keys in Schemas(folder).sections():
        if not keys:
            continue
        lines = ["| key | meaning | allowed | default |", "|---|---|---|---|"]
        lines += [
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in key)} |" for key in keys
        ]
        parts.append(f"## {heading}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
