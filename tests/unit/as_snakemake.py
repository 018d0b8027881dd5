"""Run a rule's script as a process of its own, with what Snakemake would give it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from genosiege import code_digest, runtime

PROGRAM = """
import json, runpy, sys
from types import SimpleNamespace
from genosiege.parts import Named
given = json.loads(sys.argv[2])
named = {k: Named(v) if isinstance(v, dict) else v for k, v in given.items()}
runpy.run_path(sys.argv[1], {"snakemake": SimpleNamespace(**named)})
"""


def run_script(name: str, folder: Path, **given: Any) -> subprocess.CompletedProcess[str]:
    """Run `name`.py; its log lies in `folder`."""
    code = {"code": code_digest.of_job(name, [], runtime.SCRIPTS)}
    told = {"input": {}, "output": {}, "wildcards": {}, "threads": 1} | given
    told |= {"params": given.get("params", {}) | code, "log": [str(folder / "log")]}
    command = [sys.executable, "-c", PROGRAM, f"{name}.py", json.dumps(told)]
    return subprocess.run(command, cwd=runtime.SCRIPTS, capture_output=True, text=True)
