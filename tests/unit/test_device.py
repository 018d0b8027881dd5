"""Where models run: what was asked for, and never the CPU in place of a GPU that was given."""

import pytest
import torch
from refusals import refusal

from genosiege import runtime, workflow_code


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (runtime.DEVICE, "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("hidden", [None, "", "-1", "NoDevFiles"])
def test_a_machine_without_a_gpu_takes_the_cpu(monkeypatch, hidden):
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert runtime.device().type == "cpu"


@pytest.mark.parametrize("variable", ["SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"])
def test_a_job_that_was_given_a_gpu_and_finds_none_says_why(monkeypatch, variable):
    monkeypatch.setenv(variable, "0")
    message = refusal(runtime.device)
    assert message.startswith(
        f"this job was given a GPU ({variable}=0), and torch {torch.__version__}"
    )
    assert "driver" in message and "set compute: device: cpu" in message

    monkeypatch.setenv(runtime.DEVICE, "cpu")
    assert runtime.device().type == "cpu"


def test_a_gpu_that_is_asked_for_is_not_done_without(monkeypatch):
    monkeypatch.setenv(runtime.DEVICE, "cuda")
    assert refusal(runtime.device).startswith("compute: device is cuda, and torch")


def test_a_gpu_is_taken_where_there_is_one_unless_the_cpu_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.device().type == "cuda"
    monkeypatch.setenv(runtime.DEVICE, "cpu")
    assert runtime.device().type == "cpu"


def test_jobs_are_told_the_setting(monkeypatch):
    monkeypatch.setenv(runtime.DEVICE, "auto")
    monkeypatch.setenv("GENOSIEGE_MAX_RUNTIME", "1")
    workflow_code.tell_jobs({"device": "cuda", "max_runtime": 100})
    assert refusal(runtime.device).startswith("compute: device is cuda")
