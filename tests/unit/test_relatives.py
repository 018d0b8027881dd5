"""Relatives by whether their labels agree: against a comparison of all pairs, and real tasks."""

from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_relatives import (
    SMALL,
    Rows,
    draw,
    family,
    n_shared_blocks,
    related,
    share_blocks,
    share_kmer,
    share_kmer_on_either_strand,
)

from genosiege import files
from genosiege.data import gue, leakage, relatives
from genosiege.data.leakage import Definition
from genosiege.data.relatives import SPLITS


def randomly(seed: int, n: int, n_labels: int) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Draw related rows, their splits and their labels."""
    rng = np.random.default_rng(seed)
    return family(rng, n), rng.integers(3, size=n), rng.integers(n_labels, size=n)


# Rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_labels", [1, 2, 3, 40])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("measure", "relation"),
    [
        ("blocks", share_blocks),
        ("kmer_forward", share_kmer),
        ("kmer", share_kmer_on_either_strand),
        ("any", related),
    ],
)
def test_rows_are_told_by_the_labels_of_all_their_relatives(
    seed: int, n_labels: int, measure: str, relation: Callable[[str, str, Definition], bool]
) -> None:
    rows, splits, labels = randomly(seed, 60, n_labels)

    found = relatives.agreement(leakage.find(rows, SMALL), (1 << splits).astype(np.uint8), labels)[
        measure
    ]

    for index, row in enumerate(rows):
        for split in {0, 1, 2} - {splits[index]}:
            agree = {
                bool(labels[other] == labels[index])
                for other in np.flatnonzero(splits == split)
                if relation(row, rows[other], SMALL)
            }
            word = {(): "", (True,): "same", (False,): "other", (False, True): "both"}
            assert found.words(1 << split)[index] == word[tuple(sorted(agree))]


@pytest.mark.parametrize("split", ["official", "grouped"])
def test_a_row_says_whose_labels_its_relatives_in_the_used_train_split_carry(
    tmp_path: Path, split: gue.Division
) -> None:
    rows, splits, labels = randomly(3, 120, 2)
    paths = {}
    for number, name in enumerate(SPLITS):
        lines = [f"{rows[i]},{labels[i]}" for i in np.flatnonzero(splits == number)]
        paths[name] = str(tmp_path / f"{name}.csv")
        Path(paths[name]).write_text("\n".join(["sequence,label", *lines]))
    definition = {"block_length": 3, "shared_blocks": 5, "shared_kmer": 14}

    prepared = gue.prepare(
        paths, train_samples=20, eval_samples=15, split=split, leakage=definition
    )

    train = prepared.tables["train"]
    assert set(train["relative_labels"]) == {""}
    for name in ("dev", "test"):
        table = prepared.tables[name]
        for row in table.itertuples():
            agree = {
                label == row.label
                for sequence, label in zip(train["sequence"], train["label"], strict=True)
                if related(sequence, row.sequence, Definition(**definition))
            }
            expected = ["", "same", "other", "both"][(True in agree) + 2 * (False in agree)]
            assert row.relative_labels == expected
        counts = prepared.card["leakage"]["used"][name]["labels_of_relatives_in"]["train"]["any"]
        found = table["relative_labels"].value_counts()
        assert counts == {word: found.get(word, 0) for word in relatives.WORDS[1:]}
    if split == "official":
        assert set(prepared.tables["test"]["relative_labels"]) > {"", "other"}


# Pairs --------------------------------------------------------------------------------


def all_pairs(rows: Rows, splits: np.ndarray, labels: np.ndarray) -> Counter[tuple[Any, ...]]:
    """Count the pairs of rows, identical ones too, by comparing all."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for i, j in combinations(range(len(rows)), 2):
        n_shared = n_shared_blocks(rows[i], rows[j], SMALL)
        if n_shared >= SMALL.shared_blocks:
            first, second = sorted((int(splits[i]), int(splits[j])))
            counts[first, second, bool(labels[i] != labels[j]), n_shared] += 1
    return counts


@pytest.mark.parametrize("n_labels", [1, 2, 5])
@pytest.mark.parametrize("chunk", [1, 50, 10_000_000])
@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_those_of_a_comparison_of_all(
    seed: int, chunk: int, n_labels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, splits, labels = randomly(seed, 90, n_labels)
    monkeypatch.setattr(leakage, "_CHUNK_PAIRS", chunk)

    table = relatives.count_pairs(leakage.find(rows, SMALL), splits, labels)

    assert table is not None
    found = {tuple(row[:4]): row[4] for row in table.itertuples(index=False)}
    assert found == all_pairs(rows, splits, labels)
    assert len(rows) > len(set(rows))


def test_the_card_sums_pairs_up_by_split_and_by_shared_blocks() -> None:
    rows, splits, labels = randomly(1, 90, 2)
    expected = all_pairs(rows, splits, labels)

    pairs = relatives.describe_pairs(leakage.find(rows, SMALL), splits, labels)["pairs"]

    assert pairs["counted"] and not pairs["reason"]
    assert pairs["pairs"] == expected.total()
    assert pairs["opposite"] == sum(n for key, n in expected.items() if key[2])
    for between in pairs["between"]:
        of_both = tuple(SPLITS.index(name) for name in between["splits"])
        assert between["pairs"] == sum(n for key, n in expected.items() if key[:2] == of_both)
    assert len(pairs["between"]) == 6
    by_shared: Counter[str] = Counter()
    for (_, _, opposite, n_shared), n in expected.items():
        if opposite:
            by_shared[str(n_shared)] += n
    assert pairs["opposite_by_shared_blocks"] == by_shared


@pytest.mark.parametrize("twins", [False, True])
def test_too_many_pairs_are_not_counted_and_rows_still_are(twins: bool) -> None:
    rng = np.random.default_rng(0)
    core = draw(rng, 9)
    rows = [core + ("" if twins else draw(rng, 9)) for _ in range(12)]
    relations = leakage.find(rows, SMALL)
    splits, labels = np.arange(12) % 3, np.arange(12) % 2

    enough = relatives.describe_pairs(relations, splits, labels, at_most=66)
    too_many = relatives.describe_pairs(relations, splits, labels, at_most=65)

    assert enough["pairs"]["pairs"] == 66
    assert enough["pairs"]["opposite"] == 36
    assert too_many["constructed_negatives"] is None
    assert too_many["pairs"]["counted"] is False
    assert too_many["pairs"]["reason"].startswith("more than 65 pairs")
    assert {too_many["pairs"][name] for name in ("pairs", "opposite", "between")} == {None}
    found = relatives.agreement(relations, (1 << splits).astype(np.uint8), labels)["blocks"]
    assert found.counts(splits == 2, 1) == {"same": 0, "other": 0, "both": 4}


# Constructed negatives ----------------------------------------------------------------


def constructed(rows: Rows, labels: list[int]) -> object:
    relations = leakage.find(rows, Definition(shared_kmer=400))
    return relatives.describe_pairs(relations, np.zeros(len(rows), int), np.array(labels))[
        "constructed_negatives"
    ]


def chimeras(rng: np.random.Generator, n: int, kept: int | None = None) -> Rows:
    """Give n parents and a chimera of each, which keeps some of 20 blocks."""
    parents = [draw(rng, 300) for _ in range(n)]
    made = []
    for parent in parents:
        places = rng.permutation(20)[: kept or rng.integers(8, 20)]
        blocks = [parent[15 * i : 15 * i + 15] if i in places else draw(rng, 15) for i in range(20)]
        made.append("".join(blocks))
    return parents + made


def test_negatives_that_keep_as_many_blocks_of_positives_each_are_constructed() -> None:
    rng = np.random.default_rng(1)

    assert constructed(chimeras(rng, 20, kept=8), [1] * 20 + [0] * 20) is True
    # As many of them, but their labels are those of their parents.
    assert constructed(chimeras(rng, 20, kept=8), [0, 1] * 20) is False
    # Of opposite labels, but they share now this number of blocks and now that.
    assert constructed(chimeras(rng, 20), [1] * 20 + [0] * 20) is False
    assert constructed([draw(rng, 300) for _ in range(20)], [0, 1] * 10) is False


@pytest.mark.parametrize(
    ("part", "n", "most"),
    [(0, 0, False), (3, 3, False), (4, 4, True), (8, 10, False), (9, 10, True), (59, 100, False),
     (60, 100, True), (5099, 10_000, True), (5097, 10_000, False)],
)  # fmt: skip
def test_most_is_more_than_half_beyond_chance(part: int, n: int, most: bool) -> None:
    from genosiege.statistics import wilson_interval

    assert relatives.is_most(part, n) is most
    assert (wilson_interval(part, n).low > 0.5) is most


# Real tasks ---------------------------------------------------------------------------


def card(shared: Path, task: str) -> dict[str, Any]:
    paths = {name: str(shared / f"data/gue/{task}/{name}.csv") for name in SPLITS}
    return gue.prepare(paths).card["leakage"]


@pytest.mark.real
def test_the_negatives_of_real_promoters_are_constructed(shared: Path) -> None:
    found = card(shared, "prom_300_all")

    assert found["constructed_negatives"] is True
    assert (found["pairs"]["pairs"], found["pairs"]["opposite"]) == (3245, 3196)
    assert found["pairs"]["opposite_by_shared_blocks"] == {"8": 3196}
    test = found["official"]["test"]
    assert test["relatives_in"]["train"]["blocks"] == 778
    assert test["labels_of_relatives_in"]["train"]["blocks"] == {
        "same": 7, "other": 771, "both": 0,
    }  # fmt: skip
    # With shared 60-mers there are more, and fewer of them disagree.
    assert test["relatives_in"]["train"]["any"] == 1055


@pytest.mark.real
def test_the_negatives_of_real_binding_sites_are_not_constructed(
    shared: Path, tmp_path: Path
) -> None:
    found = card(shared, "tf_0")

    assert found["constructed_negatives"] is False
    # A card is JSON: numbers of numpy have no place in it.
    files.write_json(found, tmp_path / "card.json")
    assert files.read_json(tmp_path / "card.json") == found
