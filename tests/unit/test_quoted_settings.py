"""Words that YAML reads as booleans, dates or numbers: told to be quoted, or read as the text."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from refusals import refusal

from genosiege import configuration, schema

SCHEMA = Path(__file__).parents[2] / "workflow/schemas/config.schema.yaml"


def checked(text: str, folder: Path) -> dict[str, Any]:
    """Validate and check as the workflow does, what is written in YAML."""
    asked = {"tasks": ["mine"], "encoders": ["cnn"], "attacks": []}
    config: dict[str, Any] = {"run": asked, "encoders": {"cnn": {"kind": "cnn"}}}
    config |= yaml.safe_load(text)
    config.setdefault("tasks", {"mine": {"source": {"kind": "simulate"}}})
    schema.validate(config, SCHEMA)
    configuration.normalise(config)
    configuration.check(config, folder)
    return config


DATASET = "datasets: {mine: {format: csv, matrix: {kind: path, path: x.csv}, %s}}"
TASK = "tasks: {mine: {source: {kind: simulate}, %s}}"
QUOTES = "write it in quotes"
REFUSED = {
    "label of samples": (DATASET % "label: {positive: [yes], negative: [no]}",
                         ["datasets/mine/label/", "[0], ", 'reads a bare yes, no', QUOTES]),
    "its column": (DATASET % "label: {column: on}", ["label/column, true", QUOTES]),
    "a column": (DATASET % "id: yes", ["datasets/mine/id, true", QUOTES]),
    "a column to drop": (DATASET % "drop: [off]", ["drop[0], false", QUOTES]),
    "a date": (DATASET % "drop: [2020-01-31]", ['drop[0], "2020-01-31"', "as a date", QUOTES]),
    "label of sequences": (TASK % "labels: {yes: 1, no: 0}", ["tasks/mine/labels, true", QUOTES]),
    "a date of sequences": (TASK % "labels: {2020-01-31: 1, b: 0}", ["labels, ", "date", QUOTES]),
    "nothing": (TASK % "labels: {null: 1, b: 0}", ["tasks/mine/labels, null: a label is text"]),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_yaml_changed_is_told_to_be_quoted(tmp_path, what):
    text, parts = REFUSED[what]

    message = refusal(checked, text, tmp_path)

    assert message.startswith("config, ")
    assert [part for part in parts if part not in message] == [], message


def test_quoted_words_and_numbers_are_labels_as_written(tmp_path):
    words = checked(TASK % 'labels: {"yes": 1, "no": 0}', tmp_path)
    numbers = checked(TASK % "labels: {1: 0, 2.5: 1}", tmp_path)

    assert words["tasks"]["mine"]["labels"] == {"yes": 1, "no": 0}
    # As they are after a way through JSON.
    assert numbers["tasks"]["mine"]["labels"] == {"1": 0, "2.5": 1}


def test_a_long_or_broken_path_makes_one_line(tmp_path):
    for path in ("a\nb{split}.csv", "x" * 500 + "{split}"):
        text = json.dumps({"tasks": {"mine": {"source": {"kind": "path", "path": path}}}})
        message = refusal(checked, text, tmp_path)
        assert "the split train has no such file" in message
        assert len(message) < 350


@pytest.mark.parametrize("missing", [False, True])
def test_fasta_needs_a_file_of_some_class_for_each_split(tmp_path, missing):
    for split in ("train", "dev") if missing else ("train", "dev", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "yes.fa").write_text(">a\nACGT\n")
    source = {"kind": "path", "layout": "fasta", "path": "{split}/{class}.fa"}
    text = json.dumps({"tasks": {"mine": {"source": source}}})

    if missing:
        assert '"test/{class}.fa": the split test has no such file' in refusal(
            checked, text, tmp_path
        )
    else:
        checked(text, tmp_path)
