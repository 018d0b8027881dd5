"""The page of all keys is what the schema says, whole."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml
from test_schema import schema_keys, schemas

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import settings


def test_the_page_is_the_schemas(repository):
    committed = (repository / "config/reference.md").read_text()

    assert committed == settings.page(), "the schema changed: call make docs"


def test_the_page_has_every_key(repository):
    page = settings.page()
    keys = set().union(*map(schema_keys, schemas(repository)))

    missing = {
        key for key in keys if f"`{key}`" not in page and f".{key}`" not in page
    }  # fmt: skip
    assert missing == set()


def test_every_line_says_what_a_key_means_and_may_be():
    lines = [line for line in settings.page().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]

    assert len(lines) > 250
    assert not [row for row in cells if len(row) != 4 or not row[1] or not row[2]]


@pytest.fixture
def changed(tmp_path, repository):
    """Copy the schemas, with another default and another limit for the size of a batch."""
    shutil.copytree(repository / "workflow/schemas", tmp_path / "schemas")
    path = tmp_path / "schemas/config.schema.yaml"
    schema = yaml.safe_load(path.read_text())
    entry = schema["properties"]["compute"]["properties"]["batch_size"]
    entry |= {"default": 77, "maximum": 99}
    path.write_text(yaml.safe_dump(schema))
    return tmp_path / "schemas"


def test_a_changed_default_or_limit_changes_the_page(changed):
    page = settings.page(changed)

    assert "| `batch_size` | Sequences in one forward. | whole number ≥ 1, ≤ 99 | `77` |" in page
