"""Relatives by comparison of all pairs, which is slow and plain, against the library's."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from toy_relatives import (
    SMALL,
    Rows,
    draw,
    family,
    related,
    reverse_complement,
    share_blocks,
    share_kmer,
    share_kmer_on_either_strand,
)

from genosiege.data import leakage
from genosiege.data.leakage import Definition


def partition(numbers: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(numbers == number).tolist()) for number in set(numbers)}


def components(rows: Rows, what: Definition) -> set[frozenset[int]]:
    groups = [{index} for index in range(len(rows))]
    for i, one in enumerate(rows):
        for j in range(i):
            if related(one, rows[j], what):
                first, second = (next(g for g in groups if index in g) for index in (i, j))
                if first is not second:
                    groups.remove(second)
                    first |= second
    return {frozenset(group) for group in groups}


@pytest.mark.parametrize("seed", range(12))
def test_groups_are_the_components_of_all_pairs(seed: int) -> None:
    rows = family(np.random.default_rng(seed), 60)

    found = leakage.find(rows, SMALL).groups()

    assert partition(found) == components(rows, SMALL)
    assert 1 < len(set(found)) < len(set(rows))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("measure", "relation"),
    [
        ("blocks", share_blocks),
        ("kmer_forward", share_kmer),
        ("kmer", share_kmer_on_either_strand),
        ("any", related),
    ],
)
def test_reach_is_the_parts_of_all_relatives(
    seed: int, measure: str, relation: Callable[[str, str, Definition], bool]
) -> None:
    rng = np.random.default_rng(seed)
    rows = family(rng, 50)
    parts = (2 ** rng.integers(3, size=50)).astype(np.uint8)

    found = getattr(leakage.find(rows, SMALL).reach(parts), measure)

    for index, row in enumerate(rows):
        for part in (1, 2, 4):
            if parts[index] != part:
                others = [rows[other] for other in np.flatnonzero(parts == part)]
                expected = any(relation(row, other, SMALL) for other in others)
                assert bool(found[index] & part) == expected


@pytest.mark.parametrize("pairs", [1, 7, 10_000_000])
def test_the_size_of_a_chunk_is_of_no_matter(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    # Three blocks of few words: many rows nearly share enough.
    rows = [draw(rng, 18, "AC") for _ in range(80)]
    monkeypatch.setattr(leakage, "_CHUNK_PAIRS", pairs)
    what = Definition(3, 4, 100)
    parts = (2 ** rng.integers(2, size=80)).astype(np.uint8)

    relations = leakage.find(rows, what)

    assert partition(relations.groups()) == components(rows, what)
    reached = relations.reach(parts).blocks
    for index, row in enumerate(rows):
        expected = {
            int(parts[other])
            for other in range(80)
            if parts[other] != parts[index] and share_blocks(row, rows[other], what)
        }
        assert {part for part in (1, 2) if reached[index] & part} - {parts[index]} == expected


@pytest.mark.parametrize("parts", [[1, 1, 2], [1, 2, 1], [2, 1, 1]])
def test_relatives_that_are_connected_already_still_reach_each_other(
    parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # One row at a time: the first connects the other two, which have not met.
    monkeypatch.setattr(leakage, "_CHUNK_PAIRS", 1)
    rows = [draw(np.random.default_rng(7), 9) + tail for tail in ("AA", "CC", "GG")]

    reach = leakage.find(rows, SMALL).reach(np.array(parts, dtype=np.uint8))

    assert (reach.blocks | np.array(parts, dtype=np.uint8)).tolist() == [3, 3, 3]


def test_a_chain_of_relatives_is_one_group() -> None:
    text = draw(np.random.default_rng(0), 400)
    chain = [text[start : start + 100] for start in range(0, 301, 30)]
    lonely = draw(np.random.default_rng(1), 100)

    groups = leakage.find([lonely, *chain]).groups()

    assert groups.tolist() == [0] + [1] * len(chain)


@pytest.mark.parametrize(("shared", "joined"), [(59, False), (60, True), (61, True)])
@pytest.mark.parametrize("strand", [str, reverse_complement])
def test_sixty_bases_make_relatives_and_fewer_do_not(
    shared: int, joined: bool, strand: Callable[[str], str]
) -> None:
    rng = np.random.default_rng(3)
    core = draw(rng, shared)
    # Their neighbours differ, so that not one base more is shared.
    one = draw(rng, 50) + "A" + core + "A" + draw(rng, 7)
    other = draw(rng, 20) + "C" + core + "C" + draw(rng, 90)

    groups = leakage.find([one, strand(other)]).groups()

    assert (groups[0] == groups[1]) == joined


@pytest.mark.parametrize(("kept", "joined"), [(7, False), (8, True)])
def test_eight_blocks_of_fifteen_make_relatives_and_seven_do_not(kept: int, joined: bool) -> None:
    rng = np.random.default_rng(4)
    parent = draw(rng, 300)
    places = set(rng.permutation(20)[:kept].tolist())
    chimera = "".join(
        parent[15 * i : 15 * i + 15] if i in places else draw(rng, 15) for i in range(20)
    )

    groups = leakage.find([parent, chimera], Definition(shared_kmer=300)).groups()

    assert (groups[0] == groups[1]) == joined


def test_a_base_that_is_not_known_is_never_shared() -> None:
    row = draw(np.random.default_rng(6), 118)
    one, other = row[:59] + "N" + row[59:] + "A", row[:59] + "N" + row[59:] + "C"

    # 59 equal bases stand before the N and 59 after it.
    assert len(set(leakage.find([one, other], Definition(shared_blocks=8)).groups())) == 2
    # Three blocks before the N, the one with it not, three after it, the last not.
    assert len(set(leakage.find([one, other], Definition(shared_blocks=6)).groups())) == 1
    assert len(set(leakage.find([one, other], Definition(shared_blocks=7)).groups())) == 2


def test_a_rest_shorter_than_a_block_counts_for_nothing() -> None:
    one, other = "ACGTACGTT" + "GG", "ACGTACGTT" + "GG" + "AC"

    assert len(set(leakage.find([one, other], Definition(3, 3, 60)).groups())) == 1
    assert len(set(leakage.find([one, other], Definition(3, 4, 60)).groups())) == 2


def test_identical_rows_share_a_group_however_short() -> None:
    relations = leakage.find(["ACG", "TT", "ACG", "NNN", "NNN", "C"])

    assert relations.groups().tolist() == [0, 1, 0, 2, 2, 3]
    reach = relations.reach(np.array([1, 1, 2, 1, 2, 2], dtype=np.uint8))
    assert (reach.any & 2).tolist() == [2, 0, 2, 2, 2, 2]
    # Of blocks and k-mers they have none.
    assert not (reach.blocks | reach.kmer | reach.kmer_forward).any()


def test_a_palindrome_is_on_both_strands() -> None:
    half = draw(np.random.default_rng(8), 30)
    core = half + reverse_complement(half)
    rows = ["A" + core + "CC", "GGG" + core + "T"]

    reach = leakage.find(rows).reach(np.array([1, 2], dtype=np.uint8))

    assert reach.kmer_forward[0] & 2 and reach.kmer[1] & 1


def test_groups_depend_on_neither_order_nor_call() -> None:
    rng = np.random.default_rng(9)
    rows = family(rng, 80)
    order = rng.permutation(80)

    first, again = leakage.find(rows, SMALL).groups(), leakage.find(rows, SMALL).groups()
    mixed = leakage.find([rows[index] for index in order], SMALL).groups()

    assert (first == again).all()
    assert partition(mixed) == {
        frozenset(np.flatnonzero(np.isin(order, list(group))).tolist())
        for group in partition(first)
    }
    # Numbered by their first row.
    assert pd.unique(first).tolist() == list(range(len(set(first))))


def test_stretches_across_the_chunks_of_a_hashing_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from genosiege.data import windows

    rows = family(np.random.default_rng(13), 60)
    monkeypatch.setattr(windows, "_CHUNK", 7)

    assert partition(leakage.find(rows, SMALL).groups()) == components(rows, SMALL)


def test_hashes_that_collide_join_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from genosiege.data import windows

    rng = np.random.default_rng(10)
    rows = family(rng, 50)
    monkeypatch.setattr(windows, "_VALUES", np.zeros(5, dtype=np.uint64))

    assert partition(leakage.find(rows, SMALL).groups()) == components(rows, SMALL)


@pytest.mark.parametrize("k", [1, 2, 31, 32, 33, 64, 65, 97])
def test_k_may_be_any(k: int) -> None:
    rng = np.random.default_rng(k)
    core = draw(rng, k)
    rows = ["C" * 99, "CC" + core, reverse_complement(core) + "CC", core[:-1] + "N"]
    what = Definition(200, 1, k)

    assert partition(leakage.find(rows, what).groups()) == components(rows, what)


def test_a_repeat_in_thousands_of_rows_makes_no_pairs_of_all() -> None:
    rng = np.random.default_rng(12)
    # Seven blocks are common to all: one too few. Eight are common to the last thousand.
    repeat = draw(rng, 15 * 8)
    rows = [repeat[: 15 * 7] + draw(rng, 195) for _ in range(3000)]
    rows += [repeat + draw(rng, 180) for _ in range(1000)]

    groups = leakage.find(rows, Definition(shared_kmer=130)).groups()

    assert len(set(groups[:3000])) == 3000
    assert len(set(groups[3000:])) == 1


@pytest.mark.real
def test_the_chimeras_of_real_promoters_are_found(shared) -> None:  # type: ignore[no-untyped-def]
    tables = [pd.read_csv(shared / f"data/gue/prom_300_all/{name}.csv") for name in ("dev", "test")]
    rows = pd.concat(tables, ignore_index=True)
    negative = (rows["label"] == 0).to_numpy()
    holders: dict[tuple[int, str], list[int]] = {}
    for index in np.flatnonzero(~negative):
        for place in range(20):
            block = rows["sequence"][index][15 * place : 15 * place + 15]
            holders.setdefault((place, block), []).append(index)

    def counts(sequence: str) -> np.ndarray:
        """How many blocks a row shares with each positive it shares any with."""
        blocks = [(place, sequence[15 * place : 15 * place + 15]) for place in range(20)]
        shared_by = [i for key in blocks if "N" not in key[1] for i in holders.get(key, [])]
        return np.unique(shared_by, return_counts=True)[1]

    most = [counts(sequence) for sequence in rows["sequence"][negative]]

    # With some positive exactly eight, and with none more: both readings give the same.
    assert len(most) == 5914
    assert sum(8 in count for count in most) == 1069
    assert sum(count.max(initial=0) >= 8 for count in most) == 1069
    # Bit 1 are the negatives, bit 2 the positives.
    label = (2 ** rows["label"]).to_numpy(np.uint8)
    for blocks, n in ((8, 1069), (9, 0)):
        relations = leakage.find(rows["sequence"].tolist(), Definition(shared_blocks=blocks))
        assert (relations.reach(label).blocks[negative] & 2 > 0).sum() == n
