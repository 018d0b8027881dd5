"""Which jobs are cancelled or sent back into the queue, with programs in the place of SLURM's."""

from pathlib import Path

import pytest

from genosiege import slurm_jobs


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that note how they are called; `squeue` answers with a file."""
    for name in ("squeue", "scancel", "scontrol"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/calls\n')
        program.chmod(0o755)
    with (tmp_path / "squeue").open("a") as program:
        program.write(f"cat {tmp_path}/answer\n: > {tmp_path}/answer\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return tmp_path


def calls(slurm: Path) -> list[str]:
    file = slurm / "calls"
    return [] if not file.exists() else file.read_text().splitlines()


def test_jobs_of_other_folders_and_other_names_stay(slurm):
    rows = [
        "1 genosiege_ab12 /data/run one",
        "2 genosiege_ab12 /data/other",
        "3 bash /data/run one",
        "4_[1-3] genosiege_cd34 /data/run one",
    ]
    (slurm / "answer").write_text("\n".join(rows) + "\n")

    slurm_jobs.cancel_left_over(Path("/data/run one"))

    assert [call for call in calls(slurm) if "squeue" not in call] == ["scancel 1 4_[1-3]"]


def test_where_nothing_was_left_nothing_is_cancelled(slurm):
    (slurm / "answer").write_text("")

    slurm_jobs.cancel_left_over(Path("/data/run"))

    assert not [call for call in calls(slurm) if "scancel" in call]


def test_without_slurm_there_is_nothing_to_cancel(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    slurm_jobs.cancel_left_over(tmp_path)


@pytest.mark.parametrize(
    ("answer", "requeued"),
    [
        ("RUNNING genosiege_ab12", True),
        ("COMPLETING genosiege_ab12", False),  # cancelled, or its time is up
        ("RUNNING interactive", False),
    ],
)
def test_only_a_job_of_ours_that_still_runs_goes_back_into_the_queue(
    slurm, monkeypatch, answer, requeued
):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    (slurm / "answer").write_text(f"{answer}\n")

    slurm_jobs.requeue_if_preempted()

    assert ("scontrol requeue 17" in calls(slurm)) == requeued


def test_outside_a_job_nobody_is_asked(slurm):
    slurm_jobs.requeue_if_preempted()

    assert calls(slurm) == []
