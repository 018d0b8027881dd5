"""Parts of a job as processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from genosiege import code_digest, parts, runtime

BODY = """
import json, os, signal, sys, time
sys.path.insert(0, {scripts!r})
from genosiege import parts
from genosiege.errors import InputError

def body(part):
    print("a line of the part")
    if part.params.what == "mistake":
        raise InputError("sample.csv, line 3: wrong; correct it.")
    if part.params.what == "wait":
        open(part.output.begun, "w").close()
        try:
            time.sleep(60)
        finally:
            # To be stopped twice is to be stopped.
            time.sleep(0.5)
            open(part.output.saved, "w").close()
    with open(part.output.made, "w") as handle:
        json.dump([part.input, part.params, part.wildcards, part.threads, os.getpid()], handle)

if __name__ == "__main__":
    parts.main(body)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_part.py").write_text(BODY.format(scripts=str(runtime.SCRIPTS)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "a_part"


def job(folder: Path, what: str) -> Any:
    names = {name: str(folder / name) for name in ("made", "begun", "saved")}
    code = code_digest.of_job("draw_sample", [], runtime.SCRIPTS)
    return SimpleNamespace(
        input={"model": "m.safetensors", "shards": [], "motifs": ["a", "b"]},
        output=names,
        params=parts.Named(what=what, code=code, attack={"rate": 0.1}, tss_index=None),
        wildcards={"seed": "0"},
        threads=2,
        log=[str(folder / "job.log")],
    )


def test_a_part_knows_its_job_and_goes_on_with_its_log(module, tmp_path):
    given = job(tmp_path, "make")
    with runtime.script(given):
        print("a line of the job")
        parts.run(module, given)

    told = json.loads((tmp_path / "made").read_text())
    assert told[:4] == [given.input, given.params, given.wildcards, 2]
    assert told[4] != os.getpid()
    log = (tmp_path / "job.log").read_text()
    assert log.index("a line of the job") < log.index("a line of the part")


def test_a_mistake_that_a_part_finds_is_told_once_and_ends_the_job(module, tmp_path, capfd):
    given = job(tmp_path, "mistake")
    with pytest.raises(SystemExit) as ended, runtime.script(given):
        parts.run(module, given)

    assert ended.value.code == 1
    line = "Error: sample.csv, line 3: wrong; correct it.\n"
    assert capfd.readouterr().err == line
    assert (tmp_path / "job.log").read_text().count(line) == 1


def test_a_signal_to_stop_reaches_the_part_which_may_save_its_state(module, tmp_path):
    given = vars(job(tmp_path, "wait"))
    program = (
        "import json, sys; from types import SimpleNamespace as N; from genosiege import parts, "
        "runtime\ngiven = json.loads(sys.argv[1])\n"
        "given['params'] = parts.Named(given['params'])\njob = N(**given)\n"
        f"with runtime.script(job): parts.run({module!r}, job)"
    )
    env = os.environ | {"PYTHONPATH": f"{runtime.SCRIPTS}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-c", program, json.dumps(given)]
    process = subprocess.Popen(command, env=env, start_new_session=True)
    end = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < end
        time.sleep(0.05)

    # As a cluster does: both of them, and the job passes it on.
    os.killpg(process.pid, signal.SIGTERM)

    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert (tmp_path / "saved").exists()
    assert not (tmp_path / "made").exists()
