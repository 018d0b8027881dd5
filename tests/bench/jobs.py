"""How soon Snakemake knows what to do: jobs of the largest experiment, and of a finished one.

The experiment on all of GUE (28 tasks × 3 seeds × the defences and rounds of config/config.yaml,
DNABERT-2) is planned in a dry run; what counts is the processor's time. The rival is the dry run of
a workflow of as many jobs without any content: one rule, one output each. The finished one is the
demo, if results/demo is complete: how long a call takes that has nothing to do.

Run: `python tests/bench/jobs.py`; merges its rows into results/bench/bench.json.
"""

import argparse
import re
import resource
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

TASKS = 28
SETTINGS = "three seeds, four defences of five rounds, five attacks"
PROFILE = "results/bench/planning.txt"
MOST_JOBS, MOST_JOBS_OF_A_TASK = 7_000, 240
MOST_SECONDS, MOST_MILLISECONDS = 16.0, 2.3
MOST_SECONDS_IDLE = 5.0
EMPTY = """\
rule all:
    input: expand("{{n}}.txt", n=range({n}))
rule one:
    output: "{{n}}.txt"
    shell: "touch {{output}}"
"""


class Planned(NamedTuple):
    """A dry run: what it took of the processor, in seconds, and its jobs."""

    cpu: float
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


def cpu() -> float:
    """Give what all processes that were waited for have taken, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plan(folder: Path, n_tasks: int | None) -> Planned:
    """Plan the experiment."""
    before = cpu()
    run = run_workflow(folder, gue(n_tasks), "--dry-run", "--quiet", "rules")
    return Planned(cpu() - before, jobs_of(run.stdout + run.stderr))


def profile(folder: Path) -> None:
    """Write where the time of planning a few tasks goes."""
    python, *call = snakemake(folder, gue(4), "--dry-run", "--quiet", "rules")
    dump = folder / "profile"
    command = [python, "-m", "cProfile", "-o", str(dump), *call]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    table.write_profile(str(dump), PROFILE)


def plan_nothing(folder: Path, n_jobs: int) -> Planned:
    """Plan as many jobs without content."""
    (folder / "Snakefile").write_text(EMPTY.format(n=n_jobs - 1))
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--cores", "2"]
    before = cpu()
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return Planned(cpu() - before, jobs_of(run.stdout + run.stderr))


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
        one = plan(Path(folder), 1)
        profile(Path(folder))
    with TemporaryDirectory() as folder:
        empty = plan_nothing(Path(folder), ours.n_jobs)
    each, each_empty = (1000 * run.cpu / run.n_jobs for run in (ours, empty))
    remark = f"{each / each_empty:.2f}× the empty ones; the profile is {PROFILE}"
    rows = [
        table.limited(
            "10 planning all of GUE",
            each,
            "ms per job",
            MOST_MILLISECONDS,
            against=f"empty jobs, as many: {each_empty:.2f} ms",
            remark=remark,
        ),
        table.limited(
            "10 planning all of GUE, CPU", ours.cpu, "s", MOST_SECONDS, remark=f"{ours.n_jobs} jobs"
        ),
        table.limited(
            "10 jobs of all of GUE", ours.n_jobs, "jobs", MOST_JOBS, remark=f"{TASKS} tasks"
        ),
        table.limited(
            "10 jobs of a task of GUE", one.n_jobs, "jobs", MOST_JOBS_OF_A_TASK, remark=SETTINGS
        ),
        idle_row(arguments.repeats),
    ]
    table.merge(__file__, rows, arguments.table)


if __name__ == "__main__":
    main()
