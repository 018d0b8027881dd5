"""How soon Snakemake knows what to do: jobs of the largest experiment, and of a finished one.

The experiment on all of GUE (28 tasks × 3 seeds × the defences and rounds of config/config.yaml,
DNABERT-2) is planned in a dry run. The rival is the dry run of a workflow of as many jobs
without any content: one rule, one output each; and a second time with as many inputs each as ours
have, mostly the files of the library that a script imports. The finished one is the demo, if
results/demo is complete: how long a call takes that has nothing to do.

Run: `python tests/bench/jobs.py`; merges its rows into results/bench/bench.json.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import table
import yaml
from calling import REPOSITORY, run_workflow, snakemake

PROFILE = "results/bench/planning.txt"
MOST_JOBS = 20_000
MOST_MILLISECONDS = 2.0
MOST_SECONDS_IDLE = 5.0
EMPTY = """\
rule all:
    input: expand("{{n}}.txt", n=range({n}))
rule one:
    input: {inputs}
    output: "{{n}}.txt"
    shell: "touch {{output}}"
"""


class Planned(NamedTuple):
    """A dry run: its seconds and its jobs."""

    seconds: float
    n_jobs: int


def jobs_of(output: str) -> int:
    """Read the number of jobs from a dry run's output."""
    found = re.search(r"^total +(\d+)$", output, flags=re.M)
    if found is None:
        sys.exit(f"Error: a dry run failed.\n{output[-2000:]}")
    return int(found[1])


def gue(n_tasks: int | None) -> dict[str, Any]:
    """Give the overlay of the experiment on all of GUE, or on its first tasks."""
    catalogue = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())["tasks"]
    tasks = [
        name
        for name, task in catalogue.items()
        if task["source"]["kind"] == "huggingface" and task.get("split") != "grouped"
    ]
    return {"run": {"tasks": tasks[:n_tasks], "datasets": []}}


def plan(folder: Path, n_tasks: int | None) -> Planned:
    """Plan the experiment."""
    start = time.perf_counter()
    run = run_workflow(folder, gue(n_tasks), "--dry-run", "--quiet", "rules")
    return Planned(time.perf_counter() - start, jobs_of(run.stdout + run.stderr))


def inputs_per_job(folder: Path) -> float:
    """Count the input files of a job, on average over those of one task."""
    run = run_workflow(folder, gue(1), "--dry-run")
    output = run.stdout + run.stderr
    files = re.findall(r"^    input: (.*)$", output, flags=re.M)
    return sum(line.count(",") + 1 for line in files) / jobs_of(output)


def profile(folder: Path) -> None:
    """Write where the time of planning a few tasks goes."""
    python, *call = snakemake(folder, gue(4), "--dry-run", "--quiet", "rules")
    dump = folder / "profile"
    command = [python, "-m", "cProfile", "-o", str(dump), *call]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    table.write_profile(str(dump), PROFILE)


def plan_nothing(folder: Path, n_jobs: int, n_inputs: int = 0) -> Planned:
    """Plan as many jobs without content, each with so many inputs, the same for all."""
    inputs = [f"library/{n}.py" for n in range(n_inputs)]
    (folder / "library").mkdir()
    for path in inputs:
        (folder / path).touch()
    (folder / "Snakefile").write_text(EMPTY.format(n=n_jobs - 1, inputs=inputs))
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--cores", "2"]
    start = time.perf_counter()
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return Planned(time.perf_counter() - start, jobs_of(run.stdout + run.stderr))


def idle_row(repeats: int) -> table.Row:
    """Time a call of the demo that has nothing to do."""
    name, target = "10 call of the finished demo", f"≤ {MOST_SECONDS_IDLE:g} s"
    if not (REPOSITORY / "results" / "demo" / "tables" / "verdict.csv").is_file():
        return table.missing(name, "s", target, "results/demo is not complete: make demo")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "rules", "--dry-run"]
    command += ["--configfile", "config/config.yaml", "config/demo.yaml"]
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        seconds.append(time.perf_counter() - start)
        output = run.stdout + run.stderr
        if "Nothing to be done" not in output:
            why = "not up to date: make demo" if run.returncode == 0 else output.strip()[-80:]
            return table.missing(name, "s", target, f"results/demo: {why}")
    return table.limited(
        name, min(seconds), "s", MOST_SECONDS_IDLE, remark=f"dry run, best of {repeats}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, help="of GUE, the first so many; default all")
    parser.add_argument("--repeats", type=int, default=3, help="calls of the finished demo")
    table.add_option(parser)
    arguments = parser.parse_args()

    with TemporaryDirectory() as folder:
        ours = plan(Path(folder), arguments.tasks)
    with TemporaryDirectory() as folder:
        n_inputs = inputs_per_job(Path(folder))
        profile(Path(folder))
    with TemporaryDirectory() as folder:
        empty = plan_nothing(Path(folder), ours.n_jobs)
    with TemporaryDirectory() as folder:
        with_inputs = plan_nothing(Path(folder), ours.n_jobs, round(n_inputs))
    runs = (ours, empty, with_inputs)
    each, each_empty, each_with_inputs = (1000 * run.seconds / run.n_jobs for run in runs)
    rows = [
        table.limited(
            "10 planning all of GUE",
            each,
            "ms per job",
            MOST_MILLISECONDS,
            against=f"empty jobs, as many: {each_empty:.2f} ms",
            remark=f"{ours.seconds:.1f} s, {each / each_empty:.2f}× the empty ones; these take "
            f"{each_with_inputs:.2f} ms with {n_inputs:.0f} input files each, as ours, among which "
            "are those of the library, so that a change of one runs again what it touches; the "
            f"rest is wildcards, parameters and edges between jobs: {PROFILE}",
        ),
        table.limited("10 jobs of all of GUE", ours.n_jobs, "jobs", MOST_JOBS),
        idle_row(arguments.repeats),
    ]
    table.merge(__file__, rows, arguments.table)


if __name__ == "__main__":
    main()
