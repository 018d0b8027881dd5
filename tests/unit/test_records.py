"""Results without Snakemake's record of them, found by its own names for these."""

from pathlib import Path

import pytest
from refusals import refusal
from snakemake.io import IOFile
from snakemake.persistence.file import FilePersistence

from genosiege import records

LONG = "results/mine/" + "/".join(["x" * 60] * 8) + "/table.csv"
FOLDERS = ("results/mine", "resources")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("results/mine/a.csv", LONG, "results/mine/b/c.csv", "results/mine/config.json",
                 "results/mine/logs/a.csv", "resources/tasks/d.csv"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.fixture
def snakemake(folder: Path) -> FilePersistence:
    return FilePersistence()


def is_output(path: str) -> bool:
    return path.endswith((".csv", "/b"))


def record(snakemake: FilePersistence, *paths: str) -> None:
    for path in paths:
        snakemake._io_write(snakemake._metadata_path, {"rule": "a"}, path)


def test_what_has_no_record_is_found(folder, snakemake):
    record(snakemake, "results/mine/a.csv", LONG, "resources/tasks/d.csv")

    assert records.without(FOLDERS, is_output) == ["results/mine/b", "results/mine/b/c.csv"]
    assert records.without(FOLDERS, lambda path: path.endswith("json")) == [
        "results/mine/config.json"
    ]


def test_what_is_marked_is_incomplete_to_snakemake_and_not_found_again(folder, snakemake):
    record(snakemake, "results/mine/a.csv", "resources/tasks/d.csv")
    unknown = records.without(FOLDERS, is_output)
    assert LONG in unknown

    records.mark(unknown)

    assert snakemake._filter_incomplete_keys([*map(IOFile, unknown), "results/mine/a.csv"]) == {
        *unknown
    }
    assert snakemake._get_external_jobids(unknown) == set()
    assert records.without(FOLDERS, is_output) == []


def test_a_folder_that_was_brought_here_is_refused(folder, snakemake):
    record(snakemake, "resources/tasks/d.csv")
    message = refusal(records.without, FOLDERS, is_output)
    assert message.startswith("results/mine: it was brought here without .snakemake/")

    # A call that was killed before its first record.
    records.begin(["results/mine"])
    assert len(records.without(FOLDERS, is_output)) == 4
    records.begin(["results/other"])
    assert len(records.without(FOLDERS, is_output)) == 4


def test_downloads_that_were_brought_here_are_refused(folder, snakemake):
    record(snakemake, "results/mine/a.csv")
    assert refusal(records.without, FOLDERS, is_output).startswith("resources: it was brought here")


def test_a_lock_is_seen(folder, snakemake):
    assert not records.is_locked()
    snakemake._write_locks("output", ["results/mine/a.csv"])
    assert records.is_locked()
    snakemake.unlock()
    assert not records.is_locked()
