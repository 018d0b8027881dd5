"""Seconds until a script of the workflow begins its work: Python, and what the script imports.

Of each script the import statements at its top are run in a fresh process, with what
`runtime.use` and the registry of encoders import where it calls them. Once each, which also warms
the files up; then the slowest of each kind several times, best of which counts, beside
`python -c pass`, and `import torch` alone, which is not ours. What Python does to end a process is
not counted. Scripts with an encoder are of the
kinds of encoder; `hf` loads transformers.

Run: `python tests/bench/startup.py`; merges its rows into results/bench/bench.json.
"""

import argparse
import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import table

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
LIMITS = {"dnabert2": 2.0, "cnn": 2.0, "hf": 6.0, "expression": 5.0, "tables": 1.5}
ENCODERS = {"dnabert2": "dnabert2_encoder", "cnn": "cnn", "hf": "huggingface"}
# Those that read tables only; figures and downloads are neither tables nor models.
TABLES = ("make_", "gather_", "decide_", "tell_", "interpret")


def import_block(script: Path) -> str:
    """Give the imports of a script, and those that its first call makes."""
    text = script.read_text(encoding="utf-8")
    nodes = [n for n in ast.parse(text).body if isinstance(n, ast.Import | ast.ImportFrom)]
    lines = [ast.unparse(node) for node in nodes]
    if "runtime.use(" in text:
        lines.append("runtime.use(threads=1)")
    return "\n".join(lines)


def programs() -> dict[str, dict[str, str]]:
    """Give for each kind its scripts and what each runs before its work."""
    found: dict[str, dict[str, str]] = {kind: {} for kind in LIMITS}
    for script in sorted(SCRIPTS.glob("*.py")):
        block = import_block(script)
        if "genosiege.expression import" in block and "runtime.use" in block:
            found["expression"][script.stem] = block
        elif "import encoders" in block or ", encoders" in block:
            for kind, module in ENCODERS.items():
                found[kind][script.stem] = f"{block}\nimport genosiege.sequence.{module}"
        elif script.stem.startswith(TABLES):
            found["tables"][script.stem] = block
    return found


def seconds(program: str) -> float:
    """Run a program in a fresh Python; give the seconds until it is done, before Python ends."""
    program += "\nimport os; os._exit(0)"
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=LIMITS, default=list(LIMITS))
    parser.add_argument(
        "--every", action="store_true", help="run each kind of encoder with every script"
    )
    table.add_option(parser)
    arguments = parser.parse_args()

    bare, torch = (
        min(seconds(program) for _ in range(arguments.repeats))
        for program in ("pass", "import torch")
    )
    rows, slowest = [], {}
    for kind in arguments.kinds:
        scripts = programs()[kind]
        if kind in ENCODERS and not arguments.every and slowest:
            # They differ by the encoder alone: the slowest script of one is that of all.
            scripts = {name: scripts[name] for name in slowest.values() if name in scripts}
        once = {name: seconds(program) for name, program in scripts.items()}
        name = max(once, key=once.__getitem__)
        slowest[kind] = name
        best = min([once[name], *(seconds(scripts[name]) for _ in range(arguments.repeats))])
        rows.append(
            table.limited(
                f"09 start of scripts, {kind}",
                best,
                "s",
                LIMITS[kind],
                against=f"limit {LIMITS[kind]:g} s; python -c pass: {bare:.2f} s",
                remark=f"slowest of {len(programs()[kind])}: {name}, best of {arguments.repeats}; "
                f"import torch alone: {torch:.2f} s",
            )
        )
    table.merge(__file__, rows, arguments.table)


if __name__ == "__main__":
    main()
