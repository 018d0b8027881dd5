"""FASTA gives the table of the plain CSV, or one line that says what is wrong and where."""

import gzip
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from refusals import refusal

from genosiege.data import download, gue
from genosiege.data.gue import Reading
from genosiege.errors import InputError

ROWS = [("ACGTACGT", "1"), ("NNTTNNTT", "0"), ("GGGGCC", "0"), ("TTTTT", "1")]
WORDS = {"1": "promoter", "0": "other"}
LABELS = {"promoter": 1, "other": 0}


def fasta(
    rows: list[tuple[str, str]], words: Mapping[str, str] | None = None, end: str = "\n"
) -> str:
    """Write records of two lines of sequence, with something before the label."""
    return "".join(
        f">chr{at}:10-20|+|{(words or {}).get(label, label)}{end}{row[:4]}{end}{row[4:]}{end}{end}"
        for at, (row, label) in enumerate(rows)
    )


@pytest.fixture
def plain(tmp_path: Path) -> pd.DataFrame:
    path = tmp_path / "plain.csv"
    path.write_text("sequence,label\n" + "".join(f"{row},{label}\n" for row, label in ROWS))
    return gue.read(path).table


def read(
    path: Path,
    labels: dict[str, int] | None = None,
    encoding: str | None = None,
    **source: object,
) -> pd.DataFrame:
    """Fetch the test split of a local task, and read it."""
    made = path.parent / "fetched.csv"
    entry = {"kind": "path", "layout": "fasta", "path": str(path), **source}
    download.fetch(entry, "test", made, rows=len(ROWS), encoding=encoding)
    return gue.read(made, how=Reading(layout="fasta", labels=labels)).table


@pytest.mark.parametrize("form", ["plain", "gzip", "CRLF", "CR", "lower case"])
def test_records_with_their_labels_are_the_rows_of_the_table(tmp_path, plain, form):
    content = fasta(ROWS, end={"CRLF": "\r\n", "CR": "\r"}.get(form, "\n")).encode()
    content = gzip.compress(content) if form == "gzip" else content
    (tmp_path / "test.fa").write_bytes(content.lower() if form == "lower case" else content)

    pd.testing.assert_frame_equal(read(tmp_path / "{split}.fa"), plain)


@pytest.mark.parametrize("packed", [False, True])
def test_records_are_read_in_the_encoding_of_the_task(tmp_path, plain, packed):
    text = fasta(ROWS, {"1": "Aktivität", "0": "keine"}, end="\r").encode("latin-1")
    path = tmp_path / "test.fa"
    path.write_bytes(gzip.compress(text) if packed else text)
    labels = {"Aktivität": 1, "keine": 0}

    pd.testing.assert_frame_equal(read(tmp_path / "{split}.fa", labels, encoding="latin-1"), plain)
    message = refusal(read, tmp_path / "{split}.fa", labels)
    assert message.startswith(f"{path}, line 1: this is not a text file in utf-8")


def test_labels_of_records_may_be_words(tmp_path, plain):
    (tmp_path / "test.fa").write_text(fasta(ROWS, WORDS))

    pd.testing.assert_frame_equal(read(tmp_path / "{split}.fa", LABELS), plain)


@pytest.mark.parametrize(
    "path", ["{split}/{class}.fa", "{class}_{split}.fa", "{class}/[{split}].fa"]
)
def test_a_file_for_each_class_names_the_label(tmp_path, plain, path):
    for number, word in WORDS.items():
        own = [row for row in ROWS if row[1] == number]
        file = tmp_path / path.replace("{split}", "test").replace("{class}", word)
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(f">any name\n{row}\n" for row, _ in own))

    found = read(tmp_path / path, LABELS)

    # Classes follow one another in the order of their names.
    expected = plain.sort_values("label", kind="stable").reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected)
    source = {"kind": "path", "layout": "fasta", "path": str(tmp_path / path)}
    assert len(download.local_inputs(source, "test")) == 2


def test_a_class_that_stands_twice_in_a_path_is_one(tmp_path):
    for folder, file in [("other", "other"), ("promoter", "promoter"), ("other", "promoter")]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{file}_test.fa").write_text(">a\nACGT\n>b\nACGT\n")

    found = read(tmp_path / "{class}/{class}_{split}.fa", LABELS)

    assert found["label"].tolist() == [0, 0, 1, 1]


def test_a_wrong_row_is_named_by_the_users_own_file_and_line(tmp_path):
    (tmp_path / "test.fa").write_text(fasta([*ROWS[:3], ("TTTTZ", "1")]))
    message = refusal(read, tmp_path / "{split}.fa")
    assert message.startswith(f"{tmp_path / 'test.fa'}, line 13, character 'Z' at position 5 ")

    (tmp_path / "test.fa").write_text(fasta(ROWS, WORDS))
    message = refusal(read, tmp_path / "{split}.fa")
    assert message.startswith(f"{tmp_path / 'test.fa'}, line 1, label 'promoter'")
    assert "set labels: {'other': 0, 'promoter': 1}" in message


WRONG = {
    "no label": (">seq1\nACGT\n", ["line 1, '>seq1': there is no label behind a |", "{class}"]),
    "an empty label": (">seq1|\nACGT\n", ["line 1", "there is no label behind a |"]),
    "no sequence": (">a|1\n>b|0\nACGT\n", ["line 1, '>a|1': the record has no sequence"]),
    "no sequence at the end": (">a|1\nACGT\n>b|0\n", ["line 3, '>b|0': the record has no"]),
    "a table": ("sequence,label\nACGT,1\n", ["line 1, 'sequence,label'", "set layout: csv"]),
    "a comment": ("; made in 1985\n>a|1\nACGT\n", ["line 1, '; made in 1985'", "remove comments"]),
    "a comment within": (">a|1\nAC\n;x\nGT\n", ["line 3, ';x'", "remove comments"]),
    "nothing": ("", ["line 1: the file is empty", ">name|label"]),
    "a long header": (">" + "x" * 500 + "\nACGT\n", ["line 1, '>xxx", "x…'"]),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_fasta_is_refused_with_line_and_cure(tmp_path, what):
    content, parts = WRONG[what]
    (tmp_path / "test.fa").write_text(content)

    message = refusal(read, tmp_path / "{split}.fa")

    assert message.startswith(f"{tmp_path / 'test.fa'}, line ")
    assert all(part in message for part in parts)
    assert not (tmp_path / "fetched.csv").exists()


def test_files_that_are_missing_or_too_short_are_refused(tmp_path):
    assert "test.fa: there is no such file" in refusal(read, tmp_path / "{split}.fa")
    assert "{class}_test.fa: there is no" in refusal(read, tmp_path / "{class}_{split}.fa")
    (tmp_path / "test.fa").write_text(fasta(ROWS[:3]))
    with pytest.raises(InputError, match="the file has 3 rows, 4 are expected"):
        read(tmp_path / "{split}.fa")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_rows_of_a_table_are_counted_whatever_ends_them(tmp_path, end, encoding):
    text = end.join(["sequence,label", "", "ACGT,0", "ACGT,1", "  ", "ACGT,0"])
    (tmp_path / "test.csv").write_bytes(gzip.compress(text.encode(encoding)))
    source = {"kind": "path", "path": str(tmp_path / "{split}.csv")}

    download.fetch(source, "test", tmp_path / "fetched", rows=3)

    with pytest.raises(InputError, match="the file has 3 rows, 5 are expected"):
        download.fetch(source, "test", tmp_path / "fetched", rows=5)
