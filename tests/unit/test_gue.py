import time
from pathlib import Path

import numpy as np
import pytest
from refusals import refusal

from genosiege import files
from genosiege.data import gue
from genosiege.errors import InputError


@pytest.fixture
def csv(tmp_path):
    def write(content, name="task.csv", **how):
        path = tmp_path / name
        path.write_text(content, **how)
        return str(path)

    return write


@pytest.fixture
def splits(csv):
    """A task with a duplicate, a conflicting label and sequences shared by splits."""
    return {
        "train": csv("sequence,label\nACGT,0\nAAAA,1\nacgt,0\nAAAA,0\nCCNC,1\n", "train.csv"),
        "dev": csv("sequence,label\nACGT,1\nGGG,0\n", "dev.csv"),
        "test": csv("sequence,label\nTTTTTT,0\nGGG,0\nACGT,0\n", "test.csv"),
    }


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["line 1", "empty"]),
        ("\n\n", ["line 1", "empty"]),
        ("sequence,label\n", ["line 2", "no row"]),
        ("sequence,class\nACGT,0\n", ["line 1", '"sequence,class"', "column label is missing"]),
        ("ACGT,0\nACGT,1\n", ["line 1", '"ACGT,0"', "sequence and label"]),
        ("sequence,label\nACGT,0\nACGT,x\n", ["line 3", 'label "x"', "integers from 0 to 1"]),
        ("sequence,label\nACGT,2\n", ["line 2", 'label "2"', "set n_classes"]),
        ("sequence,label\nACGT,-1\n", ["line 2", 'label "-1"']),
        ("sequence,label\nACGT,1.0\n", ["line 2", 'label "1.0"']),
        ("sequence,label\nACGT,\n", ["line 2", 'label ""']),
        ("sequence,label\nACGT,0\nACZT,1\n", ["line 3", 'character "Z" at position 3']),
        ("sequence,label\nAC-T,1\n", ["line 2", 'character "-"', "no nucleotide"]),
        ("sequence,label\nACéT,1\n", ["line 2", 'character "É"']),
        ("sequence,label\nACRT,1\n", ["line 2", 'character "R"', "ambiguous: to_N"]),
        ("sequence,label\nACGT,0\n,1\n", ["line 3", 'sequence ""', "length 0"]),
        ("sequence,label\n  ,1\n", ["line 2", 'sequence ""', "length 0"]),
        ("sequence,label\nACGT\n", ["line 2", '"ACGT"', "1 fields"]),
        ("sequence,label\nACGT,1,7\n", ["line 2", '"ACGT,1,7"', "3 fields"]),
    ],
)
def test_a_wrong_file_is_refused_by_file_line_and_value(csv, content, parts):
    path = csv(content, encoding="utf-8")

    message = refusal(gue.read, path)

    assert message.startswith(path)
    for part in parts:
        assert part in message


def test_lines_are_counted_in_the_file_and_not_in_its_rows(csv):
    assert "line 5" in refusal(gue.read, csv("sequence,label\nACGT,0\n\n\nACGT,x\n"))


def test_a_missing_split_and_a_binary_file_are_refused(csv, tmp_path, splits):
    assert "there is no such file" in refusal(gue.read, tmp_path / "absent.csv")
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\xff\xfe\x00" * 9)
    assert "not a text file" in refusal(gue.read, tmp_path / "image.csv")
    del splits["dev"]
    with pytest.raises(InputError, match="split dev"):
        gue.prepare(splits)


def test_lower_case_crlf_byte_order_mark_and_further_columns_are_read(csv):
    path = csv(
        "\ufefflabel,note,sequence\r\n1,x,acgt\r\n0,y,NNtt\r\n", encoding="utf-8", newline=""
    )

    split = gue.read(path)

    assert split.table["sequence"].tolist() == ["ACGT", "NNTT"]
    assert split.table["label"].tolist() == [1, 0]
    assert split.table["label"].dtype == np.int64
    assert split.ambiguous_characters == {"N": 2}


def test_ambiguity_codes_become_n_on_request_and_foreign_characters_never(csv):
    split = gue.read(csv("sequence,label\nrcgyN,0\n"), ambiguous="to_N")

    assert split.table["sequence"].tolist() == ["NCGNN"]
    assert split.ambiguous_characters == {"N": 1, "R": 1, "Y": 1}
    assert 'character "Z"' in refusal(gue.read, csv("sequence,label\nRZ,0\n"), ambiguous="to_N")


def test_any_number_of_classes_is_read(csv):
    path = csv("sequence,label\n" + "".join(f"ACGT,{label}\n" for label in range(9)))

    assert gue.read(path, n_classes=9).table["label"].tolist() == list(range(9))
    assert 'label "8"' in refusal(gue.read, path, n_classes=8)


def test_ids_are_the_official_rows_and_identical_sequences_share_a_group(splits):
    tables = gue.prepare(splits).tables

    assert tables["train"]["id"].tolist() == [f"train:{row}" for row in range(5)]
    groups = {}
    for table in tables.values():
        assert list(table.columns) == ["id", "sequence", "label", "group"]
        assert table["group"].dtype == np.int64
        for sequence, group in zip(table["sequence"], table["group"], strict=True):
            assert groups.setdefault(sequence, group) == group
    assert len(set(groups.values())) == len(groups) == 5


def test_the_card_counts_what_leaks(splits):
    card = gue.prepare(splits).card

    train = card["splits"]["train"]
    assert train["rows"] == {"official": 5, "used": 5}
    assert train["class_balance"]["official"] == {"0": 3, "1": 2}
    assert train["length"] == {"min": 4, "median": 4.0, "max": 4}
    assert train["duplicates"] == 2
    assert train["conflicting_labels"] == 1
    assert train["ambiguous_characters"] == {"N": 1}
    assert train["source"] == {"file": splits["train"], "sha256": files.sha256(splits["train"])}
    assert card["splits"]["test"]["length"] == {"min": 3, "median": 4.0, "max": 6}
    assert card["overlaps"] == [
        {"splits": ["train", "dev"], "sequences": 1, "rows": [2, 1], "conflicting_labels": 1},
        {"splits": ["train", "test"], "sequences": 1, "rows": [2, 1], "conflicting_labels": 0},
        {"splits": ["dev", "test"], "sequences": 2, "rows": [2, 2], "conflicting_labels": 1},
    ]


def test_the_card_counts_official_and_used_rows(splits):
    prepared = gue.prepare(splits, train_samples=4, eval_samples=2)

    sizes = {name: len(table) for name, table in prepared.tables.items()}
    assert sizes == {"train": 4, "dev": 2, "test": 2}
    train = prepared.card["splits"]["train"]
    assert train["rows"] == {"official": 5, "used": 4}
    assert sum(train["class_balance"]["used"].values()) == 4
    assert train["duplicates"] == 2


def test_a_subsample_is_stratified_seeded_and_in_order():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    labels = np.random.default_rng(1).permutation(labels)

    rows = gue.stratified_rows(labels, 50, np.random.default_rng(7))

    assert np.bincount(labels[rows]).tolist() == [30, 15, 5]
    assert (np.diff(rows) > 0).all()
    assert (rows == gue.stratified_rows(labels, 50, np.random.default_rng(7))).all()
    assert (rows != gue.stratified_rows(labels, 50, np.random.default_rng(8))).any()


@pytest.mark.parametrize("n", [2, 3, 7, 99, 999])
def test_a_subsample_has_exactly_the_size_asked_for_and_every_class(n):
    labels = np.array([0] * 998 + [1] * 2)

    rows = gue.stratified_rows(labels, n, np.random.default_rng(0))

    assert len(rows) == n == len(set(rows.tolist()))
    assert set(labels[rows]) == {0, 1}


def test_a_subsample_of_all_or_more_is_everything_and_of_too_few_is_refused():
    labels = np.array([0, 1, 2, 0])

    for n in (None, 4, 9):
        assert gue.stratified_rows(labels, n, np.random.default_rng(0)).tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match=r"sampling\.eval_samples, value 2: .* 3 classes"):
        gue.stratified_rows(labels, 2, np.random.default_rng(0), "eval_samples")


def test_the_same_files_give_the_same_subsample(splits):
    first, second = (gue.prepare(splits, train_samples=3).tables["train"] for _ in range(2))

    assert first.equals(second)


def test_sixty_thousand_rows_take_seconds(csv):
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(4, size=(20_000, 300))]
    body = "".join(f"{row.tobytes().decode()},{index % 2}\n" for index, row in enumerate(letters))
    path = csv("sequence,label\n" + body)

    started = time.perf_counter()
    gue.prepare(dict.fromkeys(gue.SPLITS, path))

    assert time.perf_counter() - started < 5


@pytest.mark.real
@pytest.mark.parametrize(
    ("task", "rows", "digests"),
    [
        (
            "prom_300_all",
            (12_610, 5_920, 5_920),
            {
                "test": "11a08b94f7e416a7e608812b74f8b5d3af4c09a6c95e996661903470ff9cc418",
                "dev": "e972638bba9bdf3d9d9f2fb94801892655c91d8cea0bf13545a9361bc183a6fc",
            },
        ),
        (
            "prom_core_all",
            (47_356, 5_920, 5_920),
            {"train": "a36e0bbf2b59e01479bb904534d310041b493fec9221ccd74b518893d74054ed"},
        ),
        ("prom_300_tata", (4_904, 613, 613), {}),
        ("tf_0", (32_378, 1_000, 1_000), {}),
    ],
)
def test_real_tasks_have_their_published_rows(shared, task, rows, digests):
    folder = shared / "data" / "gue" / task

    prepared = gue.prepare({split: str(folder / f"{split}.csv") for split in gue.SPLITS})

    card = prepared.card["splits"]
    assert tuple(card[split]["rows"]["official"] for split in gue.SPLITS) == rows
    for split, digest in digests.items():
        assert card[split]["source"]["sha256"] == digest
    for split in gue.SPLITS:
        assert sum(card[split]["class_balance"]["official"].values()) == len(prepared.tables[split])


@pytest.mark.real
def test_the_card_of_real_promoters_counts_what_a_plain_count_finds(shared):
    folder = shared / "data" / "gue" / "prom_300_all"
    paths = {split: str(folder / f"{split}.csv") for split in gue.SPLITS}
    sequences = {
        split: [
            line.split(",")[0].upper() for line in Path(path).read_text().split("\n")[1:] if line
        ]
        for split, path in paths.items()
    }

    card = gue.prepare(paths).card

    for split, found in sequences.items():
        described = card["splits"][split]
        assert described["duplicates"] == len(found) - len(set(found))
        assert described["length"] == {"min": 300, "median": 300.0, "max": 300}
    for overlap in card["overlaps"]:
        first, second = (set(sequences[split]) for split in overlap["splits"])
        assert overlap["sequences"] == len(first & second)


@pytest.mark.real
def test_a_real_task_of_three_classes_is_read(shared):
    path = shared / "data" / "gue" / "splice_reconstructed" / "test.csv"

    assert set(gue.read(path, n_classes=3).table["label"]) == {0, 1, 2}
    assert 'label "2"' in refusal(gue.read, path, n_classes=2)
