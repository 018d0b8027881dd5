import gzip
import itertools

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import toy_expression_files as toy
from refusals import refusal

from genosiege.data import table_blocks
from genosiege.expression import reading
from genosiege.expression.reading import annotated, raw

FRAME = pd.DataFrame(
    {
        "A": [1.5, 2, 0, 4],
        "name": ["s1", "s2", "s3", "s4"],
        "batch": ["x, y", "x", "y", "y"],
        "B": [0, 0, 0.25, 0],
        "label": [0, 1, 1, 0],
        "C": [7, -7, 7, 7],
    }
)
GENES = ["A", "B", "C"]
CSV = {**toy.CSV, "drop": ["batch"]}


def everything(described):
    return np.ones(len(described), dtype=bool)


def read(entry, path, samples=None, rows=None):
    described = reading.describe(entry, path, samples)
    n = len(described) if rows is None else len(rows)
    return reading.read(entry, path, described, np.ones(n, dtype=bool), rows)


# Samples in rows


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz", "table.tsv.gz", "table.txt"])
def test_a_table_with_samples_in_rows_is_read(tmp_path, name):
    separators = {"table.tsv.gz": "\t", "table.txt": ";"}
    path = tmp_path / name
    FRAME.to_csv(path, index=False, sep=separators.get(name, ","))
    entry = {**CSV, "donor": "batch", "drop": []}

    described = reading.describe(entry, path)
    found = reading.read(entry, path, described, everything(described))

    assert described.ids.tolist() == ["s1", "s2", "s3", "s4"]
    assert described.labels.tolist() == [0, 1, 1, 0]
    assert described.donors.tolist() == ["x, y", "x", "y", "y"]
    assert described.sites.tolist() == described.studies.tolist() == [""] * 4
    assert found.genes == ("A", "B", "C")
    np.testing.assert_array_equal(found.values, FRAME[GENES].to_numpy(np.float32))
    assert found.values.dtype == np.float32


def test_samples_without_names_are_numbered(tmp_path):
    path = toy.table(tmp_path, FRAME.drop(columns="name"))

    described = reading.describe({**CSV, "id": None}, path)

    assert described.ids.tolist() == ["row1", "row2", "row3", "row4"]


def test_labels_may_be_words_and_others_left_out(tmp_path):
    path = toy.table(tmp_path, FRAME.assign(state=["ill", "well", "unsure", "ill"]))
    label = {"column": "state", "negative": ["well"], "positive": ["ill"], "exclude": ["unsure"]}
    entry = {**CSV, "label": label, "drop": ["batch", "label"]}

    described = reading.describe(entry, path)

    assert described.labels.tolist() == [1, 0, 1]
    assert described.positions.tolist() == [0, 1, 3]
    assert described.excluded == {"unsure": 1}
    assert read(entry, path).values[:, 0].tolist() == [1.5, 2, 4]


@pytest.mark.parametrize("block", [16, 50, 1 << 24])
def test_rows_and_blocks_of_a_table(tmp_path, block, monkeypatch):
    path = toy.table(tmp_path, FRAME, "table.csv")
    monkeypatch.setattr(table_blocks, "BLOCK", block)
    rows = np.array([3, 0, 3])

    np.testing.assert_array_equal(
        read(CSV, path, rows=rows).values, FRAME[GENES].to_numpy(np.float32)[rows]
    )


@pytest.mark.parametrize("block", [16, 1 << 24])
def test_training_rows_alone_choose_the_genes_of_a_table(tmp_path, block, monkeypatch):
    path = toy.table(tmp_path, FRAME)
    monkeypatch.setattr(table_blocks, "BLOCK", block)
    entry = {**CSV, "genes": {"min_samples": 2}}
    described = reading.describe(entry, path)

    found = reading.read(entry, path, described, np.array([True, True, False, False]))

    assert found.genes == ("A",)  # C is above 0 in both only with the other two
    assert found.notes == {"genes_in_file": 3, "genes_merged": 0, "genes_not_expressed": 2}


def test_a_sample_that_is_read_twice_counts_twice(tmp_path):
    entry = {**CSV, "genes": {"min_samples": 2}}
    path = toy.table(tmp_path, FRAME)
    described = reading.describe(entry, path)
    rows = np.array([2, 2, 1])

    assert reading.read(entry, path, described, np.array([True, True, False]), rows).genes == (
        "B",
        "C",
    )


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"A": ["1", "", "3", "4"]}, ["line 3, gene 'A'", "no value"]),
        ({"A": ["1", "2", "3", "NA"]}, ["line 5, gene 'A'", "no value"]),
        ({"C": ["1", "2", "inf", "4"]}, ["line 4, gene 'C'", "infinite"]),
        ({"C": ["1", "2", "three", "4"]}, ["line 4, gene 'C'", "'three' is no number"]),
    ],
)
def test_a_cell_of_a_table_without_a_number_is_named(tmp_path, change, parts):
    path = toy.table(tmp_path, FRAME.assign(**change))

    message = refusal(read, CSV, path)

    assert all(part in message for part in [str(path), *parts])


def test_negative_values_are_no_counts(tmp_path):
    path = toy.table(tmp_path, FRAME)

    assert "line 3, gene 'C': -7 is negative" in refusal(read, {**CSV, "values": "counts"}, path)
    assert read({**CSV, "values": "log"}, path).values.min() == -7


@pytest.mark.parametrize(
    ("entry", "frame", "parts"),
    [
        ({"drop": []}, FRAME, ["'batch'", "drop"]),
        ({"id": None}, FRAME, ["'name'", "drop"]),
        ({"label": {"column": "state"}}, FRAME, ["no column 'state'", "'A', 'name', 'batch'"]),
        ({"drop": ["batch", "cluster"]}, FRAME, ["no column 'cluster'"]),
        ({}, FRAME.assign(label=[0, 1, 2, 0]), ["line 4, column 'label'", "'2' has no meaning"]),
        ({}, FRAME.assign(label=[0, 1, None, 0]), ["line 2", "'0.0' has no meaning"]),
        ({}, FRAME.assign(label=["0", "1", "", "0"]), ["line 4", "'' is no value"]),
        ({}, FRAME.assign(label=1), ["none is '0'", "two classes"]),
        ({}, FRAME.assign(name=["a", "b", "c", "b"]), ["line 5: sample 'b'", "before: line 3"]),
        ({}, FRAME.assign(name=["a", "b", "", "d"]), ["line 4", "no name"]),
        ({}, FRAME[["name", "batch", "label"]], ["no column of a gene"]),
        ({}, FRAME[:0], ["of 0 samples none"]),
        ({"orientation": "columns"}, FRAME, ["orientation 'columns'"]),
        ({"values": "tpm"}, FRAME, ["values 'tpm'"]),
        ({"label": "label"}, FRAME, ["label: give a mapping"]),
    ],
)
def test_a_table_that_does_not_fit_its_entry_is_refused(tmp_path, entry, frame, parts):
    path = toy.table(tmp_path, frame)

    message = refusal(reading.describe, {**CSV, **entry}, path)

    assert all(part in message for part in parts)


def test_damaged_tables_are_refused(tmp_path):
    path = toy.table(tmp_path, pd.concat([FRAME] * 9).assign(name=range(36)))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert "cut short or damaged" in refusal(reading.describe, CSV, path)
    path.write_bytes(gzip.decompress(whole))
    assert "not gzip" in refusal(reading.describe, CSV, path)
    path.write_bytes(b"")
    assert "is empty" in refusal(reading.describe, CSV, path)
    lines = gzip.decompress(whole).decode().splitlines()
    lines[3] += ",1"
    assert "line 4: 7 fields where 6" in refusal(reading.describe, CSV, toy.text(path, lines))


def test_repeated_genes_of_a_table(tmp_path):
    path = toy.table(tmp_path, FRAME)
    lines = gzip.decompress(path.read_bytes()).decode().replace(",C", ",A", 1).splitlines()
    toy.text(path, lines)

    def merged(duplicates, min_samples=0):
        options = {"duplicates": duplicates, "min_samples": min_samples}
        return read({**CSV, "genes": options}, path)

    assert "line 1: gene 'A' is there twice" in refusal(read, CSV, path)
    assert merged("first").values[:, 0].tolist() == [1.5, 2, 0, 4]
    assert merged("mean").values[:, 0].tolist() == [4.25, -2.5, 3.5, 5.5]
    assert merged("mean").values[:, 1].tolist() == [0, 0, 0.25, 0]
    assert merged("mean").notes["genes_merged"] == 1
    assert merged("mean", 3).genes == ("A",)
    assert merged("first", 3).genes == ("A",)
    assert "in that many" in refusal(merged, "mean", 4)


# Genes in rows


@pytest.fixture
def transposed(tmp_path):
    """The same values with genes in rows, a column of text, and a table of labels."""
    lines = [
        "gene,s1,description,s2,s3,s5,s4",
        'A,1.5,"one, two",2,0,9,4',
        "B,0,text,0,0.25,9,0",
        "C,7,,-7,7,9,7",
    ]
    labels = pd.DataFrame(
        {"sample": ["s4", "s3", "s2", "s1", "s9"], "state": list("nttnn"), "donor": list("abcde")}
    )
    labels.to_csv(tmp_path / "labels.tsv", sep="\t", index=False)
    return toy.text(tmp_path / "matrix.csv.gz", lines), tmp_path / "labels.tsv"


GENES_IN_ROWS = {
    "format": "csv",
    "orientation": "genes",
    "label": {"column": "state", "negative": ["n"], "positive": ["t"]},
    "donor": "donor",
}


def test_a_table_with_genes_in_rows_is_read(transposed):
    described = reading.describe(GENES_IN_ROWS, *transposed)

    assert described.ids.tolist() == ["s1", "s2", "s3", "s4"]
    assert described.labels.tolist() == [0, 1, 1, 0]
    assert described.donors.tolist() == ["d", "c", "b", "a"]
    assert described.excluded == {"not in the matrix": 1, "not in the table of samples": 2}
    found = reading.read(GENES_IN_ROWS, transposed[0], described, everything(described))
    np.testing.assert_array_equal(found.values, FRAME[GENES].to_numpy(np.float32))
    assert found.genes == ("A", "B", "C")


def test_genes_in_rows_need_a_table_of_labels(transposed):
    assert "samples: give the table" in refusal(reading.describe, GENES_IN_ROWS, transposed[0])
    message = refusal(reading.describe, {**GENES_IN_ROWS, "id": "barcode"}, *transposed)
    assert "no column 'barcode'" in message
    message = refusal(reading.describe, {**GENES_IN_ROWS, "label": None}, *transposed)
    assert "no column 'label'" in message


@pytest.mark.parametrize(
    ("header", "shifted"), [("s1,s2,s3", False), ("x,s1,s2", True), ('"s1","s2","s3"', False)]
)
def test_a_cell_too_many_does_not_shift_the_values(tmp_path, transposed, header, shifted):
    """R leaves out the name of the first column; a separator at each line's end looks like it."""
    lines = [header, "A,1,2,3", "B,4,5,6"]
    matrix = toy.text(tmp_path / "r.csv", lines)

    if shifted:
        assert "line 2: 4 fields where 3" in refusal(
            reading.describe, GENES_IN_ROWS, matrix, transposed[1]
        )
    else:
        values = read(GENES_IN_ROWS, matrix, transposed[1]).values
        assert values.tolist() == [[1, 4], [2, 5], [3, 6]]


# GSE171524


@pytest.fixture
def lung(tmp_path):
    """A matrix as R writes it, and a table of the Single Cell Portal."""
    barcodes = ["AACG-1_1", "CCGT-1_1", "GGTA-1_27", "TTAC-1_27"]
    columns = ["NAME", "biosample_id", "donor_id", "disease__ontology_label", "group", "age"]
    lines = ["\t".join(columns), "TYPE\tgroup\tgroup\tgroup\tgroup\tnumeric"]
    for barcode, donor in zip(barcodes, ["C51ctr", "C51ctr", "L22cov", "L22cov"], strict=True):
        states = ("normal", "Control") if donor == "C51ctr" else ("COVID-19", "COVID-19")
        lines.append("\t".join([barcode, donor, donor, *states, "70"]))
    values = np.random.default_rng(0).normal(size=(5, 4)).round(4)

    def matrix(names=barcodes, first='""'):
        header = ",".join([first, *(f'"{name}"' for name in names)])
        body = toy.rows([f'"G{n}"' for n in range(5)], values, ",")
        return toy.text(tmp_path / "matrix.csv.gz", [header, *body])

    return matrix, toy.text(tmp_path / "meta.txt.gz", lines), values, barcodes


@pytest.mark.parametrize("dotted", [False, True])
def test_nuclei_are_found_whatever_r_made_of_their_barcodes(lung, dotted):
    matrix, meta, values, barcodes = lung
    names = [name.replace("-", ".") if dotted else name for name in barcodes]

    described = reading.describe(toy.GEO, matrix(names), meta)
    found = reading.read(toy.GEO, matrix(names), described, everything(described))

    assert described.ids.tolist() == barcodes
    assert described.labels.tolist() == [0, 0, 1, 1]
    assert described.donors.tolist() == ["C51ctr", "C51ctr", "L22cov", "L22cov"]
    assert described.excluded == {}
    np.testing.assert_array_equal(found.values, values.T.astype(np.float32))
    assert found.genes == ("G0", "G1", "G2", "G3", "G4")


def test_other_columns_of_the_nuclei_may_be_named(lung):
    matrix, meta, *_ = lung
    entry = {**toy.GEO, "label": {"column": "group"}, "donor": "biosample_id", "study": "age"}

    described = reading.describe(entry, matrix(), meta)

    assert described.labels.tolist() == [0, 0, 1, 1]
    assert set(described.studies) == {"70"}


def test_barcodes_that_become_one_are_refused(lung):
    matrix, meta, _, barcodes = lung
    names = [barcodes[0], barcodes[0].replace("-", "."), *barcodes[2:]]

    assert "AACG-1_1' is there twice" in refusal(reading.describe, toy.GEO, matrix(names), meta)


# AnnData


@pytest.fixture
def cells(tmp_path):
    """Write an h5ad with a matrix of one kind; give its path and its values."""
    rng = np.random.default_rng(2)
    values = rng.poisson(0.7, (30, 8)).astype(np.float32)
    values[:, 5] = 0
    obs = pd.DataFrame(
        {
            "disease": pd.Categorical(rng.permutation(["normal", "C", "C"] * 10)),
            "donor_id": [f"d{n % 4}" for n in range(30)],
            "flag": rng.random(30) < 0.5,
            "site": pd.Categorical([None if n == 3 else "lung" for n in range(30)]),
        },
        index=[f"cell{n}" for n in range(30)],
    )

    def write(kind="csr", place="X", genes=tuple("ABCDEFGH"), change=None):
        matrix = values if change is None else change(values.copy())
        matrix = {
            "dense": np.asarray,
            "csr": scipy.sparse.csr_matrix,
            "csc": scipy.sparse.csc_matrix,
        }[kind](matrix)
        if place == "layer":
            return toy.annotated(tmp_path, values * 0 - 1, obs, genes, layers={"raw": matrix})
        if place == "raw":
            other = anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=[*"STUVWXYZ"]))
            return toy.annotated(tmp_path, values * 0 - 1, obs, genes, raw=other)
        return toy.annotated(tmp_path, matrix, obs, genes)

    return write, values, obs


def dense(table):
    return table.toarray() if scipy.sparse.issparse(table) else table


KINDS = pytest.mark.parametrize("kind", ["dense", "csr", "csc"])
BLOCKS = (1, 20, 1 << 24)


@KINDS
@pytest.mark.parametrize(
    ("place", "option", "block"),
    [
        ("X", {}, 1),
        ("X", {}, 20),
        ("X", {}, 1 << 24),
        ("layer", {"layer": "raw"}, 50),
        ("raw", {"use_raw": True}, 50),
    ],
)
def test_an_h5ad_is_read(cells, kind, block, place, option, monkeypatch):
    write, values, obs = cells
    monkeypatch.setattr(annotated, "BLOCK", block)
    path = write(kind, place)
    entry = {**toy.H5AD, **option, "values": "counts", "donor": "donor_id", "site": "site"}

    described = reading.describe(entry, path)
    found = reading.read(entry, path, described, everything(described))

    assert described.ids.tolist() == obs.index.tolist()
    assert described.labels.tolist() == (obs["disease"] == "C").astype(int).tolist()
    assert described.donors.tolist() == obs["donor_id"].tolist()
    assert described.sites.tolist()[2:5] == ["lung", "", "lung"]
    assert found.genes == tuple("STUVWXYZ" if place == "raw" else "ABCDEFGH")
    assert found.values.dtype == np.float32
    assert scipy.sparse.issparse(found.values) == (kind != "dense")
    np.testing.assert_array_equal(dense(found.values), values)


@KINDS
def test_training_cells_alone_choose_genes(cells, kind, monkeypatch):
    write, values, _ = cells
    path = write(kind)
    described = reading.describe(toy.H5AD, path)
    rows = np.array([7, 7, 3, 20, 0, 11, 25, 29, 12])
    train = np.arange(9) < 8
    limits = [(0, 0), (4, 0), (2, 1), (8, -1), (8, -0.5)]
    for (min_samples, min_value), block in itertools.product(limits, BLOCKS):
        monkeypatch.setattr(annotated, "BLOCK", block)
        entry = {**toy.H5AD, "genes": {"min_samples": min_samples, "min_value": min_value}}
        kept = (values[rows[:8]] > min_value).sum(axis=0) >= min_samples

        found = reading.read(entry, path, described, train, rows)

        np.testing.assert_array_equal(dense(found.values), values[rows][:, kept])
        assert found.genes == tuple(np.array([*"ABCDEFGH"])[kept])
        assert found.notes["genes_not_expressed"] == (~kept).sum()
        assert found.notes["genes_in_file"] == 8
    entry = {**toy.H5AD, "genes": {"min_samples": 1, "min_value": 100}}
    assert "no gene is above 100" in refusal(reading.read, entry, path, described, train, rows)


@KINDS
def test_repeated_genes_of_cells_are_merged(cells, kind, monkeypatch):
    write, values, _ = cells
    path = write(kind, genes=tuple("ABCADFGF"))
    assert "gene 'A' is there twice" in refusal(read, toy.H5AD, path)
    # The first F is silent in all cells.
    groups = {"A": [0, 3], "B": [1], "C": [2], "D": [4], "F": [5, 7], "G": [6]}
    for duplicates, min_samples, block in itertools.product(["first", "mean"], [0, 1, 16], BLOCKS):
        monkeypatch.setattr(annotated, "BLOCK", block)
        merged = {
            gene: values[:, places].mean(axis=1) if duplicates == "mean" else values[:, places[0]]
            for gene, places in groups.items()
        }
        expected = {gene: row for gene, row in merged.items() if (row > 0).sum() >= min_samples}
        options = {"duplicates": duplicates, "min_samples": min_samples}

        found = read({**toy.H5AD, "genes": options}, path)

        assert found.genes == tuple(expected)
        np.testing.assert_array_equal(dense(found.values), np.array(list(expected.values())).T)
        assert found.notes == {
            "genes_in_file": 8,
            "genes_merged": 2,
            "genes_not_expressed": 6 - len(expected),
        }


@KINDS
def test_a_cell_of_an_h5ad_without_a_value_is_named(cells, kind, monkeypatch):
    write, *_ = cells
    monkeypatch.setattr(annotated, "BLOCK", 20)

    def put(value):
        def change(values):
            values[17, 6] = value
            return values

        return change

    entry = {**toy.H5AD, "values": "counts"}
    for value, part in [(np.nan, "no value"), (np.inf, "infinite"), (-2, "-2 is negative")]:
        message = refusal(read, entry, write(kind, change=put(value)))
        assert "gene 'G', sample 'cell17'" in message
        assert part in message


@KINDS
def test_counts_that_are_no_whole_numbers_are_counted_and_warned_of(cells, kind, caplog):
    write, values, _ = cells
    path = write(kind, change=lambda counts: np.log1p(counts))

    found = read({**toy.H5AD, "values": "counts"}, path)

    assert found.notes["fractional_values"] == (values > 0).sum()
    assert "are no whole numbers" in caplog.text
    caplog.clear()
    assert "fractional_values" not in read(toy.H5AD, path).notes
    assert read({**toy.H5AD, "values": "counts"}, write(kind)).notes["fractional_values"] == 0
    assert not caplog.text


def test_columns_of_obs_of_any_type_may_be_labels(cells):
    write, _, obs = cells
    label = {"column": "flag", "negative": [False], "positive": [True]}

    described = reading.describe({"format": "h5ad", "label": label}, write())

    assert described.labels.tolist() == obs["flag"].astype(int).tolist()


def test_an_h5ad_that_does_not_fit_its_entry_is_refused(cells):
    path = cells[0]()

    def message(**changes):
        return refusal(reading.describe, {**toy.H5AD, **changes}, path)

    assert "no column 'donor'" in message(donor="donor")
    assert "no column 'label'" in message(label={})
    assert "there is no 'layers/logged'" in message(layer="logged")
    assert "there is no 'raw/X'" in message(use_raw=True)
    assert "exclude each other" in message(use_raw=True, layer="raw")
    assert "'C' has no meaning" in message(
        label={"column": "disease", "negative": ["normal"], "positive": ["COVID-19"]}
    )
    assert "cell1" not in message(id="donor_id")
    assert "sample 'd0' is there twice" in message(id="donor_id")


def test_what_is_no_h5ad_is_refused(tmp_path, cells):
    path = cells[0]()
    whole = path.read_bytes()
    assert "no such file" in refusal(reading.describe, toy.H5AD, tmp_path / "none.h5ad")
    path.write_bytes(whole[: len(whole) // 2])
    assert "no whole h5ad" in refusal(reading.describe, toy.H5AD, path)
    path.write_text("a,b\n1,2\n")
    assert "no whole h5ad" in refusal(reading.describe, toy.H5AD, path)
    path.unlink()
    with h5py.File(path, "w") as file:
        file["values"] = [1, 2]
    assert "no AnnData" in refusal(reading.describe, toy.H5AD, path)


def test_an_h5ad_with_objects_in_its_matrix_is_refused(cells):
    path = cells[0]("dense")
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = np.array([["a"] * 8] * 30, dtype=h5py.string_dtype())

    assert "object" in refusal(reading.describe, toy.H5AD, path)


@pytest.mark.parametrize(
    ("part", "value"), [("X/indices", 99), ("X/indptr", 10**6), ("X/indptr", -5)]
)
def test_a_damaged_sparse_matrix_is_refused(cells, part, value):
    path = cells[0]("csr")
    described = reading.describe(toy.H5AD, path)
    with h5py.File(path, "r+") as file:
        file[part][3] = value

    assert "damaged" in refusal(reading.read, toy.H5AD, path, described, everything(described))


def test_obs_and_values_of_different_lengths_are_refused(cells):
    path = cells[0]("dense")
    with h5py.File(path, "r+") as file:
        values = file["X"][:]
        del file["X"]
        file["X"] = values[:-1]

    assert "30 rows of obs for 29 of values" in refusal(reading.describe, toy.H5AD, path)


# Merging and counting


def test_counting_agrees_for_dense_and_sparse_and_any_limit():
    rng = np.random.default_rng(5)
    values = rng.poisson(0.5, (12, 6)).astype(np.float32) - (rng.random((12, 6)) < 0.2)
    weights = rng.integers(0, 3, 12)
    for limit in (-2, -1, -0.5, 0, 1):
        expected = sum(weight * (row > limit) for weight, row in zip(weights, values, strict=True))
        for kind in (np.asarray, scipy.sparse.csr_matrix):
            np.testing.assert_array_equal(raw.expressed(kind(values), weights, limit), expected)


# Real data

REAL = {
    "tcga_breast": (
        "tcga_breast.csv.gz",
        {"format": "csv", "id": "sample", "values": "log"},
        (887, 260, 776),
    ),
    "covid_blood": (
        "covid_blood_gse152641_counts.csv.gz",
        {"format": "csv", "id": "sample", "values": "counts"},
        (86, 20460, 62),
    ),
    "covid_pbmc": (
        "covid_pbmc_stephenson_50pcs.csv.gz",
        {
            "format": "csv",
            "label": {"column": "phenotype", "negative": ["Healthy"], "positive": ["Covid"]},
            "donor": "sample_id",
            "drop": ["cluster_id"],
        },
        (10000, 50, None),
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_tables_are_read(shared, name):
    file, entry, (n, n_genes, n_positive) = REAL[name]
    path = shared / "data" / "expression" / file
    described = reading.describe(entry, path)

    found = reading.read(entry, path, described, everything(described))

    frame = pd.read_csv(path, nrows=40)
    assert found.values.shape == (n, n_genes)
    np.testing.assert_array_equal(
        found.values[:40], frame[list(found.genes)].to_numpy().astype(np.float32)
    )
    column = (entry.get("label") or {"column": "label"})["column"]
    positive = frame[column].isin([1, "Covid"])
    assert described.labels[:40].tolist() == positive.astype(int).tolist()
    if n_positive is not None:
        assert described.labels.sum() == n_positive
    if name == "covid_pbmc":
        assert len(set(described.donors)) == 20
