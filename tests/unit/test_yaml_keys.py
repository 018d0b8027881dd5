"""A key that stands twice in a file of settings is refused with both lines."""

from pathlib import Path

import pytest

from genosiege import schema
from genosiege.errors import InputError


def refused(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(InputError) as error:
        schema.check_keys(path)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "line", "key", "first"),
    [
        ("run:\n  name: a\nsampling: {}\nrun:\n  name: b\n", 4, "run", 1),
        ("attacks:\n  genetic:\n    patience: 3\n    patience: 5\n", 4, "patience", 3),
        ("attacks: {genetic: {patience: 3, patience: 3}}\n", 1, "patience", 1),
        ("a:\n- b: 1\n  c: 2\n- b: 1\n  b: 2\n", 5, "b", 4),
        ('{"run": {},\n "run": {}}', 2, "run", 1),
        ("\ufeffrun: {}\nrun: {}\n", 2, "run", 1),
    ],
)
def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path, text, line, key, first):
    path = tmp_path / "mine.yaml"

    assert refused(path, text) == (
        f"{path}, line {line}, '{key}': this key stands in line {first} already, and only one of "
        "the two would count; remove one."
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "a: {x: 1}\nb: {x: 1}\n",
        "- 1\n- 1\n",
        'a: {1: x, "1": y}\n',  # a number and a text are two keys
        "a: [unclosed\n",  # Snakemake, which reads it, says so
    ],
)
def test_a_key_that_stands_once_in_each_section_passes(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    schema.check_keys(path)


def test_the_projects_own_settings_pass(repository):
    for path in sorted((repository / "config").rglob("*.yaml")):
        schema.check_keys(path)
