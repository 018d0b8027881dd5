import itertools
import time
from collections import Counter, defaultdict
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
        ("sequence,class\nACGT,0\n", ["line 1", "'sequence,class'", "column label is missing"]),
        ("ACGT,0\nACGT,1\n", ["line 1", "'ACGT,0'", "sequence and label"]),
        ("sequence,label\nACGT,0\nACGT,x\n", ["line 3", "label 'x'", "integers from 0 to 1"]),
        ("sequence,label\nACGT,2\n", ["line 2", "label '2'", "set n_classes"]),
        ("sequence,label\nACGT,-1\n", ["line 2", "label '-1'"]),
        ("sequence,label\nACGT,1.0\n", ["line 2", "label '1.0'"]),
        ("sequence,label\nACGT,\n", ["line 2", "label ''", "there is no value"]),
        ("sequence,label\nACGT,0\nACZT,1\n", ["line 3", "character 'Z' at position 3"]),
        ("sequence,label\nAC-T,1\n", ["line 2", "character '-'", "no nucleotide"]),
        ("sequence,label\nACéT,1\n", ["line 2", "character 'É'"]),
        ("sequence,label\nACRT,1\n", ["line 2", "character 'R'", "ambiguous: to_N"]),
        ("sequence,label\nACGT,0\n,1\n", ["line 3", "sequence ''", "there is no value"]),
        ("sequence,label\n  ,1\n", ["line 2", "sequence '  '", "there is no value"]),
        ("sequence,label\nACGT\n", ["line 2", "'ACGT'", "1 fields"]),
        ("sequence,label\nACGT,1,7\n", ["line 2", "'ACGT,1,7'", "3 fields"]),
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
    split = gue.read(csv("sequence,label\nrcgyN,0\n"), how=gue.Reading("to_N"))

    assert split.table["sequence"].tolist() == ["NCGNN"]
    assert split.ambiguous_characters == {"N": 1, "R": 1, "Y": 1}
    assert "character 'Z'" in refusal(
        gue.read, csv("sequence,label\nRZ,0\n"), how=gue.Reading("to_N")
    )


def test_any_number_of_classes_is_read(csv):
    path = csv("sequence,label\n" + "".join(f"ACGT,{label}\n" for label in range(9)))

    assert gue.read(path, n_classes=9).table["label"].tolist() == list(range(9))
    assert "label '8'" in refusal(gue.read, path, n_classes=8)


def test_ids_are_the_official_rows_and_identical_sequences_share_a_group(splits):
    tables = gue.prepare(splits).tables

    assert tables["train"]["id"].tolist() == [f"train:{row}" for row in range(5)]
    groups = {}
    for table in tables.values():
        assert list(table.columns) == ["id", "sequence", "label", "group", "relative_labels"]
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
        gue.stratified_rows(labels, 2, np.random.default_rng(0), "sampling.eval_samples")


def labelled(csv, **labels):
    """Write three splits whose rows have these labels, one digit a row."""
    rows = {
        split: "".join(
            f"{sequence},{label}\n" for sequence, label in zip(PAIRS, digits, strict=False)
        )
        for split, digits in labels.items()
    }
    return {split: csv("sequence,label\n" + body, f"{split}.csv") for split, body in rows.items()}


PAIRS = ["".join(bases) for bases in itertools.product("ACGT", repeat=2)]


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_split_that_lacks_a_class_is_refused_by_file_and_class(csv, split):
    paths = labelled(csv, **{"train": "0102", "dev": "012", "test": "012"} | {split: "0022"})

    message = refusal(gue.prepare, paths, n_classes=3)

    assert message.startswith(f"{paths[split]}: {split} has no row of class 1; ")
    assert "give rows of all 3 classes" in message


def test_more_classes_than_any_split_has_are_refused(csv):
    paths = labelled(csv, train="0101", dev="01", test="01")

    message = refusal(gue.prepare, paths, n_classes=3)

    assert message.startswith(f"{paths['train']}: neither this nor another split has a row of ")
    assert "class 2, yet n_classes is 3; set it" in message


def test_a_test_split_may_lack_a_class_and_subsamples_keep_those_there_are(csv):
    paths = labelled(csv, train="0000000000000012", dev="012000", test="0000")

    tables = gue.prepare(paths, n_classes=3, train_samples=3, eval_samples=3).tables

    assert set(tables["train"]["label"]) == set(tables["dev"]["label"]) == {0, 1, 2}
    assert set(tables["test"]["label"]) == {0}


def test_a_division_by_groups_that_loses_a_class_is_refused(csv):
    # The rows of class 1 are one sequence, so one group, and in one split.
    zeros = iter(f"{''.join(bases)},0\n" for bases in itertools.product("ACGT", repeat=4))
    paths = {
        split: csv(
            "sequence,label\nACGTACGT,1\n" + "".join(itertools.islice(zeros, 60)), f"{split}.csv"
        )
        for split in gue.SPLITS
    }
    assert set(gue.prepare(paths).tables["dev"]["label"]) == {0, 1}

    message = refusal(gue.prepare, paths, split="grouped")

    assert "divided by groups of relatives, " in message
    assert "has no row of class 1; take split: official" in message


def test_the_same_files_give_the_same_subsample(splits):
    first, second = (gue.prepare(splits, train_samples=3).tables["train"] for _ in range(2))

    assert first.equals(second)


def test_sixty_thousand_rows_take_seconds(csv):
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(4, size=(20_000, 300))]
    body = "".join(f"{row.tobytes().decode()},{index % 2}\n" for index, row in enumerate(letters))
    path = csv("sequence,label\n" + body)

    # Not by the clock on the wall, as other work may weigh on the machine.
    started = time.process_time()
    gue.prepare(dict.fromkeys(gue.SPLITS, path))

    assert time.process_time() - started < 10


# Leakage and the grouped split --------------------------------------------------------


def draw(rng, length):
    return "".join(rng.choice(list("ACGT"), length))


def stretches(text, length, step=1):
    return (text[start : start + length] for start in range(0, len(text) - length + 1, step))


def crossing(tables, kmer=60, blocks=8, block=15):
    """Name the pairs of splits that share a k-mer on either strand, or enough blocks."""
    complement = str.maketrans("ACGT", "TGCA")
    sequences = {split: table["sequence"].tolist() for split, table in tables.items()}
    found = set()
    for second, rows in sequences.items():
        known = {stretch for row in rows for stretch in stretches(row, kmer)}
        for first in list(sequences)[: list(sequences).index(second)]:
            for row in sequences[first]:
                for text in (row, row[::-1].translate(complement)):
                    shared = [one for one in stretches(text, kmer) if one in known]
                    if any("N" not in one for one in shared):
                        found.add((first, second))
    holders, n_shared = defaultdict(list), Counter()
    for split, rows in sequences.items():
        for number, row in enumerate(rows):
            for place, stretch in enumerate(stretches(row, block, block)):
                if "N" not in stretch:
                    holders[place, stretch].append((split, number))
    for holding in holders.values():
        n_shared.update(itertools.combinations(holding, 2))
    found |= {(one[0], other[0]) for (one, other), n in n_shared.items() if n >= blocks}
    return {(first, second) for first, second in found if first != second}


@pytest.fixture
def leaking(csv):
    """Three splits of 120 bp rows of which every third is a shifted copy or a chimera."""
    rng = np.random.default_rng(0)
    rows = []
    while len(rows) < 600:
        row = draw(rng, 120)
        rows.append((row, len(rows) % 2))
        if len(rows) % 6 == 0:
            rows.append((draw(rng, 40) + row[:80], 0))
        elif len(rows) % 6 == 3:
            rows.append((row[:75] + draw(rng, 30) + row[105:], 1))
    rng.shuffle(rows)
    parts = {"train": rows[:400], "dev": rows[400:480], "test": rows[480:600]}
    return {
        name: csv("sequence,label\n" + "".join(f"{s},{y}\n" for s, y in part), f"{name}.csv")
        for name, part in parts.items()
    }


SIX_BLOCKS = {"block_length": 15, "shared_blocks": 6, "shared_kmer": 60}


def test_the_grouped_split_lets_no_relatives_cross(leaking):
    official = gue.prepare(leaking, leakage=SIX_BLOCKS)
    found = gue.prepare(leaking, split="grouped", leakage=SIX_BLOCKS)

    assert len(crossing(official.tables, blocks=6)) == 3
    assert crossing(found.tables, blocks=6) == set()
    leakage = found.card["leakage"]
    for name in gue.SPLITS:
        assert min(leakage["official"][name]["relatives_in"]["others"].values()) > 0
        assert set(leakage["used"][name]["relatives_in"]["others"].values()) == {0}
    sizes = {name: len(table) for name, table in found.tables.items()}
    assert sizes == {"train": 400, "dev": 80, "test": 120}
    for name, table in found.tables.items():
        before = np.bincount(official.tables[name]["label"])
        assert np.abs(np.bincount(table["label"]) - before).max() <= 1
    groups = [set(table["group"]) for table in found.tables.values()]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])


def test_the_grouped_split_keeps_ids_and_rows(leaking):
    official, found = (gue.prepare(leaking, split=split) for split in ("official", "grouped"))

    before, after = (
        {row.id: row[2:5] for table in prepared.tables.values() for row in table.itertuples()}
        for prepared in (official, found)
    )
    assert before == after
    # A random division, not one by the order of the rows: 400 of 600 rows come from train.
    for table in found.tables.values():
        assert 0.5 < table["id"].str.startswith("train:").mean() < 0.85
    again = gue.prepare(leaking, split="grouped")
    assert all(found.tables[name].equals(again.tables[name]) for name in gue.SPLITS)


def test_relatives_are_spread_over_the_grouped_splits_in_proportion(leaking):
    tables = gue.prepare(leaking, split="grouped", leakage=SIX_BLOCKS).tables

    sizes = np.bincount(np.concatenate([table["group"] for table in tables.values()]))
    shares = [np.mean(sizes[table["group"]] > 1) for table in tables.values()]
    assert max(shares) - min(shares) < 0.05 < min(shares)


def test_the_subsample_is_taken_from_the_grouped_split(leaking):
    whole = gue.prepare(leaking, split="grouped").tables
    prepared = gue.prepare(leaking, split="grouped", train_samples=50, eval_samples=30)

    for name, table in prepared.tables.items():
        assert len(table) == (50 if name == "train" else 30)
        assert set(table["id"]) <= set(whole[name]["id"])
    assert prepared.card["leakage"]["used"]["test"]["rows"] == 30
    assert prepared.card["leakage"]["official"]["test"]["rows"] == 120


def test_a_group_too_large_to_be_placed_is_refused_with_its_size(csv):
    rng = np.random.default_rng(1)
    parent = draw(rng, 80)
    rows = [parent[: 60 + extra] for extra in range(10)] + [draw(rng, 80) for _ in range(10)]
    body = "".join(f"{row},{index % 2}\n" for index, row in enumerate(rows))
    train = csv("sequence,label\n" + body, "train.csv")
    other = csv("sequence,label\n" + f"{parent[:70]},0\n" * 40, "other.csv")

    message = refusal(gue.prepare, {"train": train, "dev": other, "test": other}, split="grouped")

    assert message.startswith("split, value grouped: the largest group of relatives has 90 of 100")
    assert "take split: official" in message


def test_the_card_counts_relatives_in_other_splits(csv):
    rng = np.random.default_rng(2)
    row, lonely = draw(rng, 150), draw(rng, 150)
    reverse = row[::-1].translate(str.maketrans("ACGT", "TGCA"))
    chimera = row[:120] + draw(rng, 30)
    splits = {
        "train": [row, lonely],
        # A reversed copy of a part, and its own neighbour with which it shares 60 bp more.
        "dev": [reverse[80:] + (bridge := draw(rng, 70)), draw(rng, 100)],
        # Parent and chimera, a twin, and one related to train only through dev.
        "test": [chimera, lonely, bridge + draw(rng, 40)],
    }
    paths = {
        name: csv(
            "sequence,label\n" + "".join(f"{s},{i % 2}\n" for i, s in enumerate(rows)),
            f"{name}.csv",
        )
        for name, rows in splits.items()
    }

    leakage = gue.prepare(paths).card["leakage"]

    assert leakage["definition"] == {"block_length": 15, "shared_blocks": 8, "shared_kmer": 60}
    assert leakage["groups"] == {"number": 3, "largest": 4, "rows_in_groups_of_several": 6}
    test = leakage["official"]["test"]
    assert test["rows"] == 3
    measures = ("blocks", "kmer_forward", "kmer", "any", "group")
    counts = {
        other: tuple(found[measure] for measure in measures)
        for other, found in test["relatives_in"].items()
    }
    assert counts == {"train": (2, 2, 2, 2, 3), "dev": (0, 1, 2, 2, 2), "others": (2, 3, 3, 3, 3)}
    dev = leakage["official"]["dev"]["relatives_in"]
    assert (dev["train"]["kmer_forward"], dev["train"]["kmer"]) == (0, 1)
    assert leakage["used"] == leakage["official"]


@pytest.mark.real
def test_the_card_reports_the_published_leakage_of_real_promoters(shared):
    folder = shared / "data" / "gue" / "prom_300_all"

    leakage = gue.prepare({name: str(folder / f"{name}.csv") for name in gue.SPLITS}).card[
        "leakage"
    ]

    # Test rows with an exact 60-mer of dev or of the train rows that are here.
    elsewhere = leakage["official"]["test"]["relatives_in"]["others"]
    assert (elsewhere["kmer_forward"], elsewhere["kmer"]) == (506, 603)


@pytest.mark.real
def test_the_grouped_split_of_real_promoters_leaks_nothing(shared):
    folder = shared / "data" / "gue" / "prom_300_all"
    paths = {name: str(folder / f"{name}.csv") for name in gue.SPLITS}

    found = gue.prepare(paths, split="grouped")

    assert crossing(found.tables) == set()
    for described in found.card["splits"].values():
        rows, balance = described["rows"], described["class_balance"]
        assert abs(rows["used"] - rows["official"]) <= 0.02 * rows["official"]
        for label, count in balance["official"].items():
            assert abs(balance["used"][label] - count) <= 0.02 * count
    for described in found.card["leakage"]["used"].values():
        assert not any(any(found.values()) for found in described["relatives_in"].values())


# Real tasks ---------------------------------------------------------------------------


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
    assert "label '2'" in refusal(gue.read, path, n_classes=2)
