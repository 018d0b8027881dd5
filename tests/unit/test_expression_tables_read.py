"""Text tables of expression in all their forms: as the plain one, or refused by line and cure."""

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import toy_expression_files as toy
from refusals import refusal

from genosiege.data import table_blocks
from genosiege.expression import datasets, reading

VALUES = np.array([[1.5, 0], [2.25, -3], [0, 4], [7, 0.5]], dtype=np.float32)
LINES = ["name,label,A,B", *(f"s{n},{n % 2},{a},{b}" for n, (a, b) in enumerate(VALUES.tolist()))]
PLAIN = "".join(f"{line}\n" for line in LINES)
ENTRY = {"format": "csv", "id": "name"}


def read(entry, path, samples=None):
    described = reading.describe(entry, path, samples)
    return described, reading.read(entry, path, described, np.ones(len(described), dtype=bool))


def bgzip(text: str) -> bytes:
    return gzip.compress(text[:30].encode()) + gzip.compress(text[30:].encode())


FORMS = {
    "tab": (PLAIN.replace(",", "\t").encode(), {}),
    "semicolon": (PLAIN.replace(",", ";").encode(), {"separator": "semicolon"}),
    "gzip": (gzip.compress(PLAIN.encode()), {}),
    "bgzip": (bgzip(PLAIN), {}),
    "byte order mark": (PLAIN.encode("utf-8-sig"), {}),
    "UTF-16 with its mark": (PLAIN.encode("utf-16"), {}),
    "UTF-16 without its mark": (PLAIN.encode("utf-16-be"), {"encoding": "utf-16"}),
    "packed UTF-16": (gzip.compress(PLAIN.encode("utf-16")), {}),
    "CRLF": (PLAIN.replace("\n", "\r\n").encode(), {}),
    "CR": (PLAIN.replace("\n", "\r").encode(), {}),
    "CR in UTF-16": (PLAIN.replace("\n", "\r").encode("utf-16"), {}),
    "no end of the last line": (PLAIN.rstrip("\n").encode(), {}),
    "quoted": (("\n".join('"' + '","'.join(line.split(",")) + '"' for line in LINES)).encode(), {}),
    "an index": (PLAIN.replace("s", ",s").replace("name", ",name").encode(),
                 {"drop": ["Unnamed: 0"]}),
    "samples as an index": (PLAIN.replace("name", "").encode(), {"id": "Unnamed: 0"}),
}  # fmt: skip


@pytest.mark.parametrize("block", [3, 1 << 24])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_rows_of_the_plain_file(tmp_path, form, block, monkeypatch):
    content, options = FORMS[form]
    (tmp_path / "other.txt").write_bytes(content)
    monkeypatch.setattr(table_blocks, "BLOCK", block)

    described, found = read({**ENTRY, **options}, tmp_path / "other.txt")

    assert described.ids.tolist() == ["s0", "s1", "s2", "s3"]
    assert described.labels.tolist() == [0, 1, 0, 1]
    assert found.genes == ("A", "B")
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.warnings == ()


def test_latin_1_is_read_by_its_name_and_refused_without(tmp_path):
    text = PLAIN.replace("s2", "Gänse").replace("B", "ß")
    (tmp_path / "table.csv").write_bytes(text.encode("latin-1"))

    message = refusal(reading.describe, ENTRY, tmp_path / "table.csv")
    described, found = read({**ENTRY, "encoding": "latin-1"}, tmp_path / "table.csv")

    assert "table.csv, line 1: this is not a text file in utf-8;" in message
    assert "latin-1" in message
    assert described.ids[2] == "Gänse"
    assert found.genes == ("A", "ß")
    (tmp_path / "table.csv").write_bytes(PLAIN.replace("s2", "Gänse").encode("latin-1"))
    assert "table.csv, line 4: " in refusal(reading.describe, ENTRY, tmp_path / "table.csv")


def test_a_field_of_a_million_letters_is_read(tmp_path):
    text = PLAIN.replace("label", "label,note").replace(",0,", ',0,"' + "x,y" * 400_000 + '",')
    text = text.replace(",1,", ',1,"n",')
    (tmp_path / "table.csv").write_text(text)

    found = read({**ENTRY, "drop": ["note"]}, tmp_path / "table.csv")[1]

    np.testing.assert_array_equal(found.values, VALUES)


# Genes in rows, and their table of samples.

GENES = ["gene,s0,s1,s2,s3", "A,1.5,2.25,0,7", "B,0,-3,4,0.5"]
SAMPLES = "sample,label\n" + "".join(f"s{n},{n % 2}\n" for n in range(4))


@pytest.mark.parametrize(("mark", "word"), [(",", None), ("\t", None), (";", "comma")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_matrix_and_its_samples_may_be_written_differently(tmp_path, mark, word, encoding):
    text = "\r".join(GENES).replace(",", mark)
    (tmp_path / "matrix").write_bytes(text.encode(encoding))
    (tmp_path / "samples").write_text(SAMPLES)
    entry = {"format": "csv", "orientation": "genes", "separator": word}

    described, found = read(entry, tmp_path / "matrix", tmp_path / "samples")

    assert described.labels.tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(found.values, VALUES)


def test_where_two_separators_fit_it_asks(tmp_path):
    entry = {"format": "csv", "orientation": "genes"}
    (tmp_path / "samples").write_text(SAMPLES)
    (tmp_path / "both").write_text("gene;x,s0;s1\nA;y,1;2\n")
    told = "both, line 1, header 'gene;x,s0;s1': comma and semicolon both fit; set `separator`"
    assert told in refusal(reading.describe, entry, tmp_path / "both", tmp_path / "samples")
    # Names with commas are no second separator: the rows have none.
    (tmp_path / "one").write_text("gene;s0;a,b;s1\nA;1;2;3\n")
    described, found = read(entry, tmp_path / "one", tmp_path / "samples")
    assert described.ids.tolist() == ["s0", "s1"]
    np.testing.assert_array_equal(found.values, [[1], [3]])


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_an_index_before_the_genes_is_refused(tmp_path, name):
    lines = [f"{name},{GENES[0]}", *(f"{at},{line}" for at, line in enumerate(GENES[1:]))]
    path = toy.text(tmp_path / "matrix.csv", lines)
    (tmp_path / "samples").write_text(SAMPLES)
    entry = {"format": "csv", "orientation": "genes"}

    message = refusal(reading.describe, entry, path, tmp_path / "samples")

    assert "line 1, column 1: this column has no name, as an index that pandas wrote" in message


# What is refused.


def parquet() -> bytes:
    made = io.BytesIO()
    pd.DataFrame({"A": [1]}).to_parquet(made)
    return made.getvalue()


def zipped(name: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, PLAIN)
    return made.getvalue()


REFUSED = {
    "zip": (zipped("a.csv"), ["this is a zip archive; unpack it"]),
    "xlsx": (zipped("xl/workbook.xml"), ["this is an Excel workbook; save it as text"]),
    "parquet": (parquet(), ["this is a parquet file; save it as text"]),
    "pickle": (pickle.dumps({"a": 1}), ["this is a pickle, which is never opened;"]),
    "rds": (gzip.compress(b"X\n\x00\x00\x00\x03\x00\x04"), ["this is a file of R (rds);"]),
    "h5ad": (b"\x89HDF\r\n\x1a\n", ["this is an HDF5 file;", "format: h5ad"]),
    "nothing": (b"", ["line 1: the file is empty"]),
    "UTF-16 without its mark": (PLAIN.encode("utf-16-le"), ["line 1", "encoding: utf-16"]),
    "a label's column twice": (PLAIN.replace("B", "label").encode(),
                               ["line 1, columns 2 and 4: the column 'label' stands twice"]),
    "a gene twice": (PLAIN.replace("B", "A").encode(), ["line 1: gene 'A' is there twice"]),
    "a missing label": (PLAIN.replace("s1,1", "s1,N/A").encode(),
                        ["line 3, column 'label': label 'N/A' is no value", "exclude"]),
    "a missing value": (PLAIN.replace("2.25", "Na").encode(), ["line 3, gene 'A'", "no value"]),
    "words": (PLAIN.replace(",0,", ",well,").replace(",1,", ",ill,").encode(),
              ["line 2", "set label: {negative: ['ill'], positive: ['well']}, or the other"]),
    "floats": (PLAIN.replace(",0,", ",0.0,").replace(",1,", ",1.0,").encode(),
               ["line 2", "set label: {negative: ['0.0'], positive: ['1.0']}"]),
    "labels from 1": (PLAIN.replace(",1,", ",2,").replace(",0,", ",1,").encode(),
                      ["line 3", "set label: {negative: ['1'], positive: ['2']}"]),
    "a nameless index": (PLAIN.replace("s", "0,s").replace("name", ",name").encode(),
                         ["line 1, column 1", 'id: "Unnamed: 0"', 'drop: ["Unnamed: 0"]']),
    "pandas' index": (PLAIN.replace("A", "Unnamed: 0").encode(),
                      ["line 1, column 3: this column has no name", 'drop: ["Unnamed: 0"]']),
    "a label among genes": (PLAIN.replace("B", "Diagnosis").encode(),
                            ["line 1, column 4: 'Diagnosis' is no gene but a label", "drop"]),
    "decimal commas": (PLAIN.replace(",", ";").replace(".", ",").encode(),
                       ["line 2, gene 'A': '1,5' is no number; write decimals with a point"]),
    "long text": (PLAIN.replace("2.25", "x" * 500).encode(), ["gene 'A': 'xxx", "x…' is no"]),
    "a long gene": (PLAIN.replace("A", "{A}" * 99).replace("2.25", "").encode(),
                    ["gene '{A}{A}", "…': there is no value"]),
}  # fmt: skip


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_is_no_table_is_refused_with_file_line_and_cure(tmp_path, wrong):
    content, parts = REFUSED[wrong]
    path = tmp_path / "{mine} <1>.csv"
    path.write_bytes(content)

    message = refusal(read, ENTRY, path)

    assert message.startswith(str(path))
    assert [part for part in parts if part not in message] == [], message
    assert len(message) < len(str(path)) + 300


@pytest.mark.parametrize("word", ["NA", "nULL", "#N/A", " n/a ", '""', "-nan"])
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_a_missing_value_is_named_by_its_line_whatever_the_blocks(tmp_path, word, end, monkeypatch):
    (tmp_path / "table.csv").write_bytes(PLAIN.replace("2.25", word).replace("\n", end).encode())
    for block in range(3, 9):
        monkeypatch.setattr(table_blocks, "BLOCK", block)

        assert "line 3, gene 'A': there is no" in refusal(read, ENTRY, tmp_path / "table.csv")


def test_yes_that_yaml_made_a_boolean_is_told_to_be_quoted(tmp_path):
    (tmp_path / "table.csv").write_text(PLAIN.replace(",0,", ",no,").replace(",1,", ",yes,"))
    entry = {**ENTRY, "label": {"negative": [False], "positive": [True]}}

    assert "line 2, column 'label': label 'no' has no meaning: YAML reads a bare no" in refusal(
        reading.describe, entry, tmp_path / "table.csv"
    )


# What is warned of, also on the card.


def prepared(tmp_path: Path, frame: pd.DataFrame, **options) -> list[str]:
    path = toy.table(tmp_path, frame)
    entry = {**ENTRY, "format": "csv", **options}
    return datasets.prepare(entry, path, None, seed=0).card["warnings"]


@pytest.fixture
def frame() -> pd.DataFrame:
    values = np.random.default_rng(0).normal(5, 1, (30, 3)).round(3)
    names = [f"s{n}" for n in range(30)]
    return pd.DataFrame(values, columns=[*"ABC"]).assign(name=names, label=[0, 1] * 15)


def test_a_gene_that_is_constant_within_each_class_is_on_the_card(tmp_path, frame, caplog):
    assert prepared(tmp_path, frame) == []
    assert not caplog.records
    # One of them is constant in one class only, one in both and the same.
    told = frame.assign(D=[3.5, 2] * 15, E=frame["B"].where(frame["label"] == 0, 3), F=1.25)

    [warning] = prepared(tmp_path, told)

    assert warning.startswith("1 of 6 genes have one value in each class ('D'), as a label has;")
    assert "drop" in warning
    assert warning in caplog.text


def test_whole_numbers_under_log_are_on_the_card(tmp_path, frame, caplog):
    counts = frame.assign(**{gene: (frame[gene] * 100).astype(int) for gene in "ABC"})

    [warning] = prepared(tmp_path, counts)

    assert "values: log, but all values are whole numbers, up to" in warning
    assert "set values: counts" in warning
    assert warning in caplog.text
    assert prepared(tmp_path, counts, values="counts") == []
    # Small ones may be logarithms, and fractions are no counts.
    assert prepared(tmp_path, frame.assign(**{g: frame[g].round() for g in "ABC"})) == []
    assert prepared(tmp_path, frame.assign(A=frame["A"] * 100)) == []


@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_negative_values_beside_a_raw_part_name_it(tmp_path, kind):
    import scipy.sparse

    values = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
    obs = pd.DataFrame({"disease": ["normal", "C"] * 6}, index=[f"c{n}" for n in range(12)])
    matrix = scipy.sparse.csr_matrix(values) if kind == "csr" else values
    other = anndata.AnnData(np.abs(values).round(), obs=obs, var=pd.DataFrame(index=[*"ABCD"]))
    path = toy.annotated(tmp_path, matrix, obs, "ABCD", raw=other)

    assert "set use_raw: true" in refusal(read, {**toy.H5AD, "values": "counts"}, path)
    [warning] = read(toy.H5AD, path)[1].warnings
    assert "set use_raw: true" in warning
    assert read({**toy.H5AD, "values": "counts", "use_raw": True}, path)[1].warnings == ()
    positive = toy.annotated(tmp_path, abs(matrix), obs, "ABCD", raw=other)
    assert read(toy.H5AD, positive)[1].warnings == ()
    bare = toy.annotated(tmp_path, matrix, obs, "ABCD")
    assert "set values: log" in refusal(read, {**toy.H5AD, "values": "counts"}, bare)
    assert read(toy.H5AD, bare)[1].warnings == ()


def test_what_is_no_h5ad_says_what_it_is(tmp_path):
    (tmp_path / "data.h5ad").write_bytes(zipped("a.csv")[:4] + b"PAR1")
    assert "no whole h5ad file" in refusal(read, toy.H5AD, tmp_path / "data.h5ad")
    (tmp_path / "data.h5ad").write_bytes(parquet())
    assert "this is a parquet file" in refusal(read, toy.H5AD, tmp_path / "data.h5ad")
