"""Whose turn it is: a job of a call that another has followed may write no more."""

import os
from pathlib import Path

import pytest

from genosiege import calls, files
from genosiege.errors import InputError

VARIABLE = "GENOSIEGE_CALL"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a working directory, seen from a process of no call."""
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / ".snakemake/genosiege.call"


@pytest.fixture
def left_over(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process a job of a call that another has followed."""
    calls.join(place)
    calls.begin()
    mine = os.environ[VARIABLE]
    monkeypatch.delenv(VARIABLE)
    calls.join(place)
    calls.begin()
    monkeypatch.setenv(VARIABLE, mine)


def test_a_process_of_no_call_may_write(place, tmp_path):
    calls.check()
    files.write_json({}, tmp_path / "made.json")

    assert (tmp_path / "made.json").is_file()


def test_a_call_that_only_plans_takes_nobodys_turn(place):
    calls.join(place)
    calls.check()

    assert not place.exists()


def test_the_jobs_of_a_call_belong_to_it(place):
    calls.join(place)
    calls.begin()
    mine = os.environ[VARIABLE]

    calls.join(place)  # as a job does

    assert os.environ[VARIABLE] == mine
    calls.check()


@pytest.mark.usefixtures("left_over")
def test_a_job_that_was_left_over_writes_nothing(tmp_path):
    with pytest.raises(InputError, match="left over"):
        files.write_json({}, tmp_path / "made.json")

    assert list(tmp_path.glob("*made*")) == []


@pytest.mark.usefixtures("left_over")
def test_a_job_that_was_left_over_does_not_even_begin(place):
    with pytest.raises(InputError, match="left over"):
        calls.join(place)


def test_a_call_without_the_lock_works_beside_the_one_that_has_it(place, monkeypatch):
    calls.join(place)
    calls.begin()
    first = os.environ[VARIABLE]
    monkeypatch.delenv(VARIABLE)
    calls.join(place)

    calls.accompany()

    calls.check()
    assert os.environ[VARIABLE] == first


def test_names_that_a_killed_job_left_behind_are_removed_and_no_others(place, tmp_path):
    digits = "0123456789abcdef" * 2
    left_behind = [f".made.{digits}.json", f"..made.{digits}.{digits}.json"]
    others = [f".unmade.{digits}.json", f".made.{digits}.csv", ".made.json", f"made.{digits}.json"]
    for name in left_behind + others:
        (tmp_path / name).touch()

    files.write_json({}, tmp_path / "made.json")

    assert {path.name for path in tmp_path.iterdir()} == {"made.json", *others}
