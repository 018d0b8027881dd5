"""Wall times of rounds, read where Snakemake puts its benchmarks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_rounds import last_rounds

from genosiege.sequence import rounds
from genosiege.sequence.round_times import round_times_table

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"
MODEL = "promoters.cnn.seed0"


def write(folder: Path, path: str, seconds: float) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t-\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two rounds of the defence d, each time of its own power of two; and other jobs."""
    for path, seconds in {
        f"evaluate/{MODEL}.tsv": 1,
        f"attack/{MODEL}.baseline.genetic.test.shard0.tsv": 2,
        f"attack/{MODEL}.baseline.genetic.test.shard1.tsv": 4,
        f"attack/{MODEL}.baseline.genetic.test.tsv": 8,
        f"attack/{MODEL}.baseline.genetic.train.tsv": 16,
        f"harden/{MODEL}.d.round1.tsv": 32,
        f"attack/{MODEL}.d/round1.genetic.test.tsv": 64,
        f"attack/{MODEL}.d/round1.genetic.train.shard0.tsv": 128,
        f"attack/{MODEL}.d/round1.genetic.train.shard1.tsv": 256,
        f"attack/{MODEL}.d/round1.genetic.train.tsv": 512,
        f"harden/{MODEL}.d.round2.tsv": 1024,
        f"attack/{MODEL}.d/round2.genetic.test.tsv": 2048,
        # Those of another attack, model or round are not ours.
        f"attack/{MODEL}.d/round2.genetic2.test.shard0.tsv": 9e9,
        "attack/promoters.cnn.seed01.baseline.genetic.test.shard0.tsv": 9e9,
        f"attack/{MODEL}.d/round20.genetic.test.shard0.tsv": 9e9,
        f"attack/{MODEL}.d/round2.genetic.test.shard0.tsv.old": 9e9,
    }.items():
        write(tmp_path, path, seconds)
    return tmp_path


def times(folder: Path, told: pd.DataFrame) -> list[list[float]]:
    table = round_times_table(told, str(folder))
    return table.iloc[:, 6:].to_numpy().tolist()


def test_each_round_has_its_own_jobs(folder: Path) -> None:
    assert times(folder, last_rounds("d")) == [
        [0, 0, 1, 14, 15],
        [16, 32, 0, 64, 112],
        [896, 1024, 0, 2048, 3968],
    ]


@pytest.mark.parametrize(
    "changes", [{"kind": "clean_only"}, {"adversary_source": "test"}], ids=["control", "leak"]
)
def test_rounds_that_need_no_attack_of_their_own_for_training_take_none(
    changes: dict[str, str], folder: Path
) -> None:
    assert times(folder, last_rounds("d", **changes))[1:] == [
        [0, 32, 0, 64, 96],
        [0, 1024, 0, 2048, 3072],
    ]


@pytest.mark.parametrize("missing", ["train.shard0", "train.shard1", "train"])
def test_what_is_missing_leaves_its_cell_and_the_total_empty(missing: str, folder: Path) -> None:
    write(folder, f"attack/{MODEL}.d/round1.genetic.train.shard2.tsv", 1)
    (folder / f"attack/{MODEL}.d/round1.genetic.{missing}.tsv").unlink()

    row = times(folder, last_rounds("d"))[2]

    assert np.isnan([row[0], row[4]]).all()
    assert row[1:4] == [1024, 0, 2048]


def test_without_benchmarks_every_cell_is_empty(tmp_path: Path) -> None:
    table = round_times_table(last_rounds("d", 1), str(tmp_path / "none"))

    assert table["total_s"].isna().all()
    assert table["round"].tolist() == [0, 1]


def test_a_repeated_benchmark_counts_its_mean(folder: Path) -> None:
    path = folder / f"harden/{MODEL}.d.round1.tsv"
    path.write_text("s\th:m:s\n10\t0:00:10\n20\t0:00:20\n")

    assert times(folder, last_rounds("d"))[1][1] == 15


@pytest.mark.parametrize("content", ["", "seconds\n1\n", "s\nsoon\n"])
def test_what_is_no_benchmark_is_refused(content: str, folder: Path) -> None:
    (folder / f"harden/{MODEL}.d.round1.tsv").write_text(content)

    message = refusal(round_times_table, last_rounds("d"), str(folder))

    assert "round1.tsv: this is no benchmark of Snakemake" in message


def test_the_caption_defines_every_column_and_an_empty_table_has_them(folder: Path) -> None:
    full = round_times_table(last_rounds("d"), str(folder))
    empty = round_times_table(rounds.read([]), str(folder))

    caption = (CAPTIONS / "round_times.rst").read_text()
    assert not [column for column in full if f"``{column}``" not in caption]
    assert list(empty) == list(full) and empty.empty


def test_defences_stand_in_the_order_asked_for(folder: Path) -> None:
    told = pd.concat([last_rounds("a", 1), last_rounds("d", 1)])[::-1]

    table = round_times_table(told, str(folder), ["d"])

    assert list(zip(table["defence"], table["round"], strict=True)) == [
        ("d", 0), ("d", 1), ("a", 0), ("a", 1),
    ]  # fmt: skip
