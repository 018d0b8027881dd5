"""Text tables as people bring them: all forms give the rows of the plain one, or are refused."""

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from refusals import refusal

from genosiege.data import gue, tables
from genosiege.data.gue import Reading

ROWS = [("ACGT", "0"), ("NNTT", "1"), ("acgu".upper().replace("U", "T"), "0"), ("G" * 50, "1")]
PLAIN = "sequence,label\n" + "".join(f"{s},{y}\n" for s, y in ROWS)


def read(path: Path, **how: object) -> pd.DataFrame:
    return gue.read(path, how=Reading(**how)).table


@pytest.fixture
def plain(tmp_path: Path) -> pd.DataFrame:
    (tmp_path / "plain.csv").write_text(PLAIN)
    return read(tmp_path / "plain.csv")


def bgzip(text: str) -> bytes:
    """Pack in blocks of their own, as bgzip does."""
    half = len(text) // 2
    return gzip.compress(text[:half].encode()) + gzip.compress(text[half:].encode())


FORMS: dict[str, tuple[bytes, dict[str, object]]] = {
    "tab": (PLAIN.replace(",", "\t").encode(), {}),
    "semicolon": (PLAIN.replace(",", ";").encode(), {}),
    "said to be tab": (PLAIN.replace(",", "\t").encode(), {"separator": "tab"}),
    "gzip": (gzip.compress(PLAIN.encode()), {}),
    "bgzip": (bgzip(PLAIN), {}),
    "byte order mark": (PLAIN.encode("utf-8-sig"), {}),
    "UTF-16 with its mark": (PLAIN.encode("utf-16"), {}),
    "UTF-16 by its name": (PLAIN.encode("utf-16-be"), {"encoding": "utf-16"}),
    "UTF-16 of the other order": (PLAIN.encode("utf-16-le"), {"encoding": "utf-16"}),
    "Latin-1": (PLAIN.replace("label\n", "label,ort\n").replace("\n", ",Zürich\n")
                .replace("label,ort,Zürich", "label,ort").encode("latin-1"),
                {"encoding": "latin-1"}),
    "CRLF": (PLAIN.replace("\n", "\r\n").encode(), {}),
    "CR": (PLAIN.replace("\n", "\r").encode(), {}),
    "no end of the last line": (PLAIN.rstrip("\n").encode(), {}),
    "quoted": ("\n".join(f'"{s}","{y}"' for s, y in [("sequence", "label"), *ROWS]).encode(), {}),
    "named labels": (PLAIN.replace(",0", ",other").replace(",1", ",promoter").encode(),
                     {"labels": {"promoter": 1, "other": 0}}),
    "numbered labels": (PLAIN.replace(",1", ",2").replace(",0", ",1").encode(),
                        {"labels": {1: 0, 2: 1}}),
    "RNA": (PLAIN.replace("T", "U").encode(), {"rna": "to_dna"}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_rows_of_the_plain_file(tmp_path, plain, form):
    content, how = FORMS[form]
    (tmp_path / "other").write_bytes(content)

    pd.testing.assert_frame_equal(read(tmp_path / "other", **how), plain)


def excel() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return made.getvalue()


def archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr("task.csv", PLAIN)
    return made.getvalue()


def parquet() -> bytes:
    made = io.BytesIO()
    pd.DataFrame({"sequence": ["A"]}).to_parquet(made)
    return made.getvalue()


REFUSED: dict[str, tuple[bytes, list[str]]] = {
    "zip": (archive(), ["this is a zip archive; unpack it"]),
    "xlsx": (excel(), ["this is an Excel workbook; save it as text"]),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", ["this is an old Excel workbook;"]),
    "parquet": (parquet(), ["this is a parquet file; save it as text"]),
    "pickle": (pickle.dumps({"a": 1}), ["this is a pickle, which is never opened;"]),
    "rds": (gzip.compress(b"X\n\x00\x00\x00\x03\x00\x04"), ["this is a file of R (rds);", "write"]),
    "rda": (gzip.compress(b"RDX3\nX\n"), ["this is a file of R;"]),
    "xz": (b"\xfd7zXZ\x00\x00\x04", ["this is an xz file; unpack it"]),
    "cut gzip": (gzip.compress(PLAIN.encode() * 99)[:60], ["cut short or damaged"]),
    "Latin-1 without its name": ("sequence,label\nACGT,0\nACGT,é\n".encode("latin-1"),
                                 ["line 3: this is not a text file", "latin-1"]),
    "Latin-1 whose lines end in CR": ("sequence,label\rACGT,0\rACGT,é\r".encode("latin-1"),
                                      ["line 3: this is not a text file"]),
    "UTF-16 without its name": (PLAIN.encode("utf-16-le"), ["line 1", "set `encoding: utf-16`"]),
    "a control character": (b"sequence,label\nAC\x1bGT,0\n", [r"character '\x1b' at position 3"]),
    "a column twice": (b"sequence,label,label\nACGT,0,1\n",
                       ["line 1, columns 2 and 3: the column 'label' stands twice; rename"]),
    "another column twice": (b"sequence,x,label,x\nACGT,0,1,0\n", ["columns 2 and 4", "'x'"]),
    "no sequence": (b"sequence,label\nnan,0\n", ["line 2, sequence 'nan': there is no value"]),
    "NA": (b"sequence,label\nACGT,0\nNA,0\n", ["line 3, sequence 'NA': there is no value"]),
    "N/A": (b"sequence,label\nACGT,N/A\n", ["line 2, label 'N/A': there is no value"]),
    "null": (b"sequence,label\nACGT,null\n", ["line 2, label 'null': there is no value"]),
    "empty": (b"sequence,label\nACGT,\n", ["line 2, label '': there is no value"]),
    "words": (b"sequence,label\nACGT,promoter\nACGT,other\n",
              ["line 2, label 'promoter'", "set labels: {'other': 0, 'promoter': 1}."]),
    "floats": (b"sequence,label\nACGT,0.0\nACGT,1.0\n",
               ["line 2, label '0.0'", "set labels: {'0.0': 0, '1.0': 1}."]),
    "labels from 1": (b"sequence,label\nACGT,1\nACGT,2\n",
                      ["line 3, label '2'", "count from 1", "set labels: {'1': 0, '2': 1}."]),
    "RNA": (b"sequence,label\nACGU,1\n", ["line 2", "character 'U'", "set rna: to_dna"]),
    "long text": (b"sequence,label\nACGT," + b"x" * 500 + b"\n", ["label 'xxx", "x…': labels"]),
    "a line end in a label": (b'sequence,label\nACGT,"a\nb"\n', [r"label 'a\nb'"]),
}  # fmt: skip


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_is_no_table_of_a_task_is_refused_with_file_line_and_cure(tmp_path, wrong):
    content, parts = REFUSED[wrong]
    (tmp_path / "{mine} <1>.csv").write_bytes(content)

    message = refusal(gue.read, tmp_path / "{mine} <1>.csv")

    assert message.startswith(str(tmp_path / "{mine} <1>.csv"))
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert len(message) < len(str(tmp_path)) + 300


def test_labels_that_have_no_name_are_refused(tmp_path):
    (tmp_path / "task.csv").write_text("sequence,label\nACGT,promoter\nACGT,Promoter\n")

    how = Reading(labels={"promoter": 1, "other": 0})
    message = refusal(gue.read, tmp_path / "task.csv", how=how)

    assert "line 3, label 'Promoter': `labels` names 'promoter', 'other' only; name it" in message


def test_a_field_of_a_million_letters_is_read(tmp_path):
    (tmp_path / "task.csv").write_text(f"sequence,label\n{'ACGT' * 250_000},1\n")

    assert read(tmp_path / "task.csv")["sequence"].str.len().tolist() == [1_000_000]


def test_where_two_separators_fit_it_asks(tmp_path):
    (tmp_path / "one.csv").write_text("label,a;b\n1,2;3\n")

    found = tables.read(tmp_path / "one.csv", "one", ["label"])
    assert found.rows == [["1"]]
    (tmp_path / "both.csv").write_text("x;label;y,label,z\n1;2;3,4,5\n")
    message = refusal(tables.read, tmp_path / "both.csv", "both", ["label"])
    assert "line 1, header 'x;label;y,label,z': comma and semicolon both fit; set" in message
    (tmp_path / "both.csv").write_text("x;label;y,label,z\n1;2;3\n")
    rows = tables.read(tmp_path / "both.csv", "both", ["label"], form=tables.Form("semicolon")).rows
    assert rows == [["2"]]
