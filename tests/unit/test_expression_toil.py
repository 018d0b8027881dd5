import gzip

import numpy as np
import pytest
import toy_expression_files as toy
from refusals import refusal

from genosiege.data import table_blocks
from genosiege.expression import reading

SAMPLES = list(toy.PHENOTYPES)
VALUES = np.random.default_rng(1).normal(0, 3, (7, len(SAMPLES))).round(4).astype(np.float32)


@pytest.fixture
def matrix(tmp_path):
    return toy.toil(tmp_path, VALUES, SAMPLES)


@pytest.fixture
def samples(tmp_path):
    return toy.phenotypes(tmp_path)


def read(entry, matrix, described, train=None, rows=None):
    train = np.ones(len(described) if rows is None else len(rows), bool) if train is None else train
    return reading.read(entry, matrix, described, train, rows)


def test_sample_types_make_tumour_and_normal_and_the_others_are_counted(matrix, samples):
    described = reading.describe(toy.TOIL, matrix, samples)

    assert dict(zip(described.ids, described.labels, strict=True)) == {
        "TCGA-AA-0001-01": 1,
        "TCGA-AA-0001-11": 0,
        "TCGA-AA-0002-03": 1,
        "TARGET-20-PABCDE-04": 1,
        "TCGA-AA-0003-06": 1,
        "TCGA-AA-0004-07": 1,
        "GTEX-S4Q7-0003-SM-3NM8M": 0,
        "TCGA-AA-0007-02": 1,
    }
    assert described.excluded == {
        "Additional - New Primary": 1,
        "Cell Line": 1,
        "Control Analyte": 1,
        "Post treatment Blood Cancer - Blood": 1,
    }


def test_donors_are_read_from_barcodes_and_sites_and_studies_from_the_table(matrix, samples):
    described = reading.describe(toy.TOIL, matrix, samples)

    place = described.ids.tolist().index("GTEX-S4Q7-0003-SM-3NM8M")
    assert described.donors[place] == "GTEX-S4Q7"
    assert described.sites[place] == "SympatheticÊNervous System"
    assert described.studies[place] == "GTEX"
    assert described.donors[:4].tolist() == [
        "TCGA-AA-0001",
        "TCGA-AA-0001",
        "TCGA-AA-0002",
        "TARGET-20-PABCDE",
    ]


@pytest.mark.parametrize(("separator", "encoding"), [("\t", "latin-1"), (",", "utf-8")])
def test_the_phenotypes_may_be_the_hubs_file_or_one_saved_again(
    tmp_path, matrix, separator, encoding
):
    again = toy.phenotypes(tmp_path, separator=separator, encoding=encoding)

    assert "SympatheticÊNervous System" in reading.describe(toy.TOIL, matrix, again).sites


def test_every_type_of_the_real_table_has_a_meaning(tmp_path, shared):
    real = shared / "data/expression/tcga_target_gtex_phenotype.csv.gz"
    with gzip.open(real, "rt") as table:
        names = [line.split(",")[0] for line in table][1:]
    matrix = toy.toil(tmp_path, np.zeros((1, len(names))), names)

    described = reading.describe(toy.TOIL, matrix, real)

    assert len(described) + sum(described.excluded.values()) == len(names) == 19_131
    assert described.excluded == {
        "Additional - New Primary": 11,
        "Cell Line": 433,
        "Control Analyte": 1,
        "Post treatment Blood Cancer - Blood": 1,
        "Post treatment Blood Cancer - Bone Marrow": 12,
    }
    assert (described.labels == 0).sum() == 7429 + 727 + 11


def test_values_stand_in_the_order_of_the_described_samples(matrix, samples):
    described = reading.describe(toy.TOIL, matrix, samples)

    found = read(toy.TOIL, matrix, described)

    columns = [SAMPLES.index(sample) for sample in described.ids]
    np.testing.assert_array_equal(found.values, VALUES[:, columns].T)
    assert found.values.dtype == np.float32
    assert found.values.flags.c_contiguous
    assert found.genes[:2] == ("ENSG00000000000.1", "ENSG00000000001.1")


@pytest.mark.parametrize("block", [64, 300, 1 << 24])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blocks_and_line_ends_change_nothing(tmp_path, matrix, samples, block, end, monkeypatch):
    described = reading.describe(toy.TOIL, matrix, samples)
    expected = read(toy.TOIL, matrix, described).values
    plain = tmp_path / "plain.txt"
    # Without an end of the last line, too.
    plain.write_bytes(gzip.decompress(matrix.read_bytes()).strip().replace(b"\n", end.encode()))
    monkeypatch.setattr(table_blocks, "BLOCK", block)

    assert reading.describe(toy.TOIL, plain, samples).ids.tolist() == described.ids.tolist()
    np.testing.assert_array_equal(read(toy.TOIL, plain, described).values, expected)


def test_only_training_samples_decide_which_genes_are_expressed(matrix, samples):
    entry = {**toy.TOIL, "genes": {"min_samples": 3, "n_top": 2}}
    described = reading.describe(entry, matrix, samples)
    train = np.arange(len(described)) < 5
    values = VALUES[:, [SAMPLES.index(sample) for sample in described.ids]]
    kept = (values[:, :5] > 0).sum(axis=1) >= 3
    assert 0 < kept.sum() < len(kept)
    assert not np.array_equal(kept, (values > 0).sum(axis=1) >= 3)

    found = read(entry, matrix, described, train)

    np.testing.assert_array_equal(found.values, values[kept].T)
    assert found.notes == {
        "genes_in_file": 7,
        "genes_merged": 0,
        "genes_not_expressed": int((~kept).sum()),
    }


def test_a_gene_has_to_be_above_the_value_not_at_it(tmp_path, samples):
    values = np.array([[0.0] * len(SAMPLES), [0.001] * len(SAMPLES)])
    matrix = toy.toil(tmp_path, values, SAMPLES)
    entry = {**toy.TOIL, "genes": {"min_samples": 8}}
    described = reading.describe(entry, matrix, samples)

    assert read(entry, matrix, described).genes == ("ENSG00000000001.1",)
    entry["genes"] = {"min_samples": 1, "min_value": 0.001}
    assert "no gene is above 0.001" in refusal(read, entry, matrix, described)


def test_rows_are_read_in_the_order_asked_for_with_repeats(matrix, samples):
    described = reading.describe(toy.TOIL, matrix, samples)
    everything = read(toy.TOIL, matrix, described).values
    rows = np.array([5, 0, 5, 2])

    np.testing.assert_array_equal(
        read(toy.TOIL, matrix, described, rows=rows).values, everything[rows]
    )


def test_a_mask_of_another_length_is_a_fault_of_the_caller(matrix, samples):
    described = reading.describe(toy.TOIL, matrix, samples)

    with pytest.raises(ValueError, match="mask"):
        reading.read(toy.TOIL, matrix, described, np.ones(3, bool))


def test_samples_that_only_one_file_has_are_counted(tmp_path):
    matrix = toy.toil(tmp_path, VALUES[:, :4], [*SAMPLES[:3], "TCGA-ZZ-0009-01"])
    samples = toy.phenotypes(tmp_path, {name: toy.PHENOTYPES[name] for name in SAMPLES[:5]})

    described = reading.describe(toy.TOIL, matrix, samples)

    assert described.ids.tolist() == SAMPLES[:3]
    assert described.excluded == {"not in the matrix": 2, "not in the table of samples": 1}


def test_constant_genes_are_kept(tmp_path, samples):
    matrix = toy.toil(tmp_path, np.full((2, len(SAMPLES)), 3.5), SAMPLES)

    found = read(toy.TOIL, matrix, reading.describe(toy.TOIL, matrix, samples))

    assert found.values.tolist() == [[3.5, 3.5]] * 8


def broken(content, replaced, by):
    """Replace text in a packed table, once."""
    plain = gzip.decompress(content)
    assert replaced in plain
    return gzip.compress(plain.replace(replaced, by, 1))


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        (["NA"], ["line 3, gene 'Z', sample 'TCGA-AA-0001-01'", "no value"]),
        ([""], ["line 3, gene 'Z', sample 'TCGA-AA-0001-01'", "no value"]),
        (["nan"], ["line 3, gene 'Z'", "no value"]),
        (["1e99"], ["line 3, gene 'Z'", "infinite"]),
        (["many"], ["line 3, sample 'TCGA-AA-0001-01'", "'many' is no number"]),
        (["1,5"], ["line 3", "'1,5' is no number"]),
        (["1_5"], ["line 3", "'1_5' is no number"]),
    ],
)
def test_a_cell_without_a_number_is_named(tmp_path, samples, row, parts):
    lines = ["\t".join(["sample", *SAMPLES])]
    lines += ["\t".join(["A", *["1"] * len(SAMPLES)])]
    lines += ["\t".join(["Z", *row, *["1"] * (len(SAMPLES) - 1)])]
    matrix = toy.text(tmp_path / "matrix.gz", lines)
    described = reading.describe(toy.TOIL, matrix, samples)

    message = refusal(read, toy.TOIL, matrix, described)

    assert all(part in message for part in [str(matrix), *parts])


def test_the_last_cell_may_be_the_empty_one(tmp_path, samples):
    """The last sample of the matrix, whose cell ends the text."""
    lines = ["\t".join(["sample", *SAMPLES]), "\t".join(["A", *["1"] * (len(SAMPLES) - 1), ""])]
    matrix = toy.text(tmp_path / "matrix.gz", lines)
    described = reading.describe(toy.TOIL, matrix, samples)

    assert f"sample '{SAMPLES[-1]}': there is no value" in refusal(
        read, toy.TOIL, matrix, described
    )


def test_a_cell_of_a_sample_that_is_left_out_may_hold_anything(tmp_path, samples):
    place = SAMPLES.index("K-562-SM-2HMJK")
    cells = [["1"] * len(SAMPLES), ["+2.5"] * len(SAMPLES)]
    cells[0][place], cells[1][place] = "text", ""
    lines = ["\t".join(["sample", *SAMPLES])]
    lines += ["\t".join([gene, *row]) for gene, row in zip("AB", cells, strict=True)]
    matrix = toy.text(tmp_path / "matrix.gz", lines)

    found = read(toy.TOIL, matrix, reading.describe(toy.TOIL, matrix, samples))

    assert found.values.tolist() == [[1.0, 2.5]] * 8


@pytest.mark.parametrize("change", ["longer", "shorter"])
def test_a_ragged_row_is_named(tmp_path, samples, change):
    lines = gzip.decompress(toy.toil(tmp_path, VALUES, SAMPLES).read_bytes()).decode().splitlines()
    lines[4] = lines[4] + "\t1" if change == "longer" else lines[4].rpartition("\t")[0]
    matrix = toy.text(tmp_path / "matrix.gz", lines)
    described = reading.describe(toy.TOIL, matrix, samples)

    assert "line 5" in refusal(read, toy.TOIL, matrix, described)
    lines = [lines[0], *lines[4:]]
    toy.text(matrix, lines)
    assert "line 2" in refusal(reading.describe, toy.TOIL, matrix, samples)


@pytest.mark.parametrize("cut", [0.3, 0.9, 0.999])
def test_a_truncated_gzip_is_no_shorter_table(tmp_path, matrix, samples, cut):
    described = reading.describe(toy.TOIL, matrix, samples)
    content = matrix.read_bytes()
    matrix.write_bytes(content[: int(cut * len(content))])

    assert "cut short or damaged" in refusal(read, toy.TOIL, matrix, described)


def test_a_damaged_gzip_is_told_of(matrix, samples):
    described = reading.describe(toy.TOIL, matrix, samples)
    content = bytearray(matrix.read_bytes())
    content[-6] ^= 1  # of the checksum
    matrix.write_bytes(content)

    assert "cut short or damaged" in refusal(read, toy.TOIL, matrix, described)


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"", "is empty"), (b"sample\tA\n", "not gzip"), (gzip.compress(b"one\n"), "one column")],
    ids=["empty", "plain text", "one column"],
)
def test_a_file_of_another_kind_is_refused(matrix, samples, content, part):
    matrix.write_bytes(content)

    assert part in refusal(reading.describe, toy.TOIL, matrix, samples)


def test_files_that_are_missing_are_named(tmp_path, matrix, samples):
    assert "no such file" in refusal(reading.describe, toy.TOIL, tmp_path / "none.gz", samples)
    assert "no such file" in refusal(reading.describe, toy.TOIL, matrix, tmp_path / "none.gz")
    assert "datasets/mine, samples" in refusal(reading.describe, toy.TOIL, matrix, None, "mine")


def test_a_header_alone_is_refused(matrix, samples):
    matrix.write_bytes(gzip.compress(gzip.decompress(matrix.read_bytes()).split(b"\n")[0] + b"\n"))

    assert "line 2: there is no gene" in refusal(reading.describe, toy.TOIL, matrix, samples)


def test_a_sample_type_without_a_meaning_is_refused(tmp_path, matrix):
    table = {**toy.PHENOTYPES, SAMPLES[2]: ("Organoid", "Lung", "TCGA")}

    message = refusal(reading.describe, toy.TOIL, matrix, toy.phenotypes(tmp_path, table))

    assert "line 4, column '_sample_type': label 'Organoid' has no meaning" in message


def test_one_class_only_is_refused(tmp_path, matrix):
    table = {name: row for name, row in toy.PHENOTYPES.items() if "Normal" not in row[0]}

    message = refusal(reading.describe, toy.TOIL, matrix, toy.phenotypes(tmp_path, table))

    assert "none is 'Solid Tissue Normal' or 'Normal Tissue'" in message


def test_a_phenotype_column_that_is_missing_is_named(matrix, samples):
    samples.write_bytes(broken(samples.read_bytes(), b"_sample_type", b"type"))

    assert "there is no column '_sample_type'" in refusal(
        reading.describe, toy.TOIL, matrix, samples
    )


def test_repeated_samples_are_refused_in_either_file(tmp_path, matrix, samples):
    twice = toy.toil(tmp_path, VALUES, [*SAMPLES[:-1], SAMPLES[0]])
    assert f"columns 2 and {len(SAMPLES) + 1}: sample" in refusal(
        reading.describe, toy.TOIL, twice, samples
    )
    toy.toil(tmp_path, VALUES, SAMPLES)
    samples.write_bytes(broken(samples.read_bytes(), SAMPLES[4].encode(), SAMPLES[1].encode()))
    assert "line 6: sample 'TCGA-AA-0001-11' is there twice (before: line 3)" in refusal(
        reading.describe, toy.TOIL, matrix, samples
    )


@pytest.fixture
def repeated(tmp_path):
    """Gene A three times; the last time in another block of text, if blocks are small."""
    values = np.array([[1, -4], [5, 5], [-1, -1], [-7, -7], [3, 6]], dtype=float)
    return toy.toil(tmp_path, np.hstack([values] * 6), SAMPLES, ["A", "B", "A", "C", "A"])


@pytest.mark.parametrize("block", [40, 1 << 24])
@pytest.mark.parametrize(
    ("duplicates", "min_samples", "expected"),
    [
        ("first", 0, {"A": [1, -4], "B": [5, 5], "C": [-7, -7]}),
        ("first", 1, {"A": [1, -4], "B": [5, 5]}),
        ("first", 8, {"B": [5, 5]}),
        ("mean", 0, {"A": [1, 1 / 3], "B": [5, 5], "C": [-7, -7]}),
        ("mean", 8, {"A": [1, 1 / 3], "B": [5, 5]}),
    ],
)
def test_repeated_genes_are_merged_before_their_expression_is_judged(
    repeated, samples, duplicates, min_samples, expected, block, monkeypatch
):
    monkeypatch.setattr(table_blocks, "BLOCK", block)
    entry = {**toy.TOIL, "genes": {"duplicates": duplicates, "min_samples": min_samples}}
    described = reading.describe(entry, repeated, samples)

    found = read(entry, repeated, described)

    assert found.genes == tuple(expected)
    for gene, values in zip(found.genes, found.values.T, strict=True):
        np.testing.assert_allclose(
            values, np.array(expected[gene] * 6)[described.positions], rtol=1e-6
        )
    assert found.notes["genes_merged"] == 2
    assert found.notes["genes_in_file"] == 5


def test_repeated_genes_are_refused_by_default(repeated, samples):
    described = reading.describe(toy.TOIL, repeated, samples)

    assert "lines 2 and 4: gene 'A' is there twice" in refusal(read, toy.TOIL, repeated, described)


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ({"format": "xlsx"}, "datasets/mine, format 'xlsx'"),
        ({**toy.TOIL, "values": "fpkm"}, "values 'fpkm'"),
        ({**toy.TOIL, "genes": {"min_samples": -1}}, "min_samples -1"),
        ({**toy.TOIL, "genes": {"min_samples": True}}, "min_samples True"),
        ({**toy.TOIL, "genes": {"min_value": "0"}}, "min_value '0'"),
        ({**toy.TOIL, "genes": {"duplicates": "sum"}}, "duplicates 'sum'"),
        ({**toy.TOIL, "label": {"colum": "x"}}, "label, colum"),
        ({**toy.TOIL, "label": {"negative": "Normal"}}, "label, negative 'Normal'"),
        ({**toy.TOIL, "label": {"negative": []}}, "label, negative"),
        ({**toy.TOIL, "label": {"negative": ["Metastatic"]}}, "'Metastatic': it has two meanings"),
        ({**toy.TOIL, "donor": "patient"}, "there is no column 'patient'"),
    ],
)
def test_mistakes_of_an_entry_are_told(matrix, samples, entry, part):
    assert part in refusal(reading.describe, entry, matrix, samples, "mine")


def test_stopping_early_closes_the_file(matrix, samples):
    blocks = table_blocks.lines(matrix)
    next(blocks)
    blocks.close()  # would hang, were the other thread still in it
