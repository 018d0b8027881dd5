"""Parts of one job, each in a process of its own, one after another.

A GPU that takes one process at a time has room for each of them, as the job itself opens none. And
what a part reads it has from files: nothing that another has computed is left in its memory.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from genosiege import runtime


class Named(dict[str, Any]):
    """Values by name, as Snakemake gives them: `named.name` as well as `named["name"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error


class Part(NamedTuple):
    """What a part knows of its job, as Snakemake calls it."""

    input: Named
    output: Named
    params: Named
    wildcards: Named
    threads: int
    log: list[str]


def run(module: str, job: Any) -> None:
    """Run one part of a job, and wait for it.

    Parameters
    ----------
    module : str
        The module that is the part; run as a program, it calls `main`.
    job : Snakemake's object
        What the script was given, or what of it is needed.

    Raises
    ------
    SystemExit
        With the part's code where it fails. It has said why. A signal to stop goes on to it, and it
        may save its state.
    """
    told: dict[str, Any] = {"threads": job.threads, "log": list(job.log)}
    for name in ("input", "output", "params", "wildcards"):
        told[name] = _plain(getattr(job, name))
    # Not what lies in the working directory by the name of a module of Python's.
    child = subprocess.Popen([sys.executable, "-P", "-m", module], stdin=subprocess.PIPE)
    try:
        child.communicate(json.dumps(told).encode())
    except SystemExit:
        child.terminate()
        child.wait()
        raise
    if child.returncode:
        raise SystemExit(child.returncode)


def main(body: Callable[[Part], None]) -> None:
    """Be a part: do what `body` does, for the job that standard input tells of."""
    told = json.load(sys.stdin)
    named: dict[str, Any] = {k: Named(v) if isinstance(v, dict) else v for k, v in told.items()}
    part = Part(**named)
    with runtime.script(part, is_part=True):
        body(part)


def _plain(values: Any) -> dict[str, Any]:
    """Give Snakemake's named values as JSON has them: texts, and lists of texts."""
    return {name: [*value] if isinstance(value, list) else value for name, value in values.items()}
