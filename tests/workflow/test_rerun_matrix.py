"""What a change of a finished run runs again: every row of `profiles/reruns.md`.

No job is run: each output is a stand-in that Snakemake notes as made (`--touch`). What is planned
depends on the settings, lists of inputs, contents and times that it notes, as after a real run.
"""

import contextlib
import copy
import os
import re
import shutil
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tiny
from calling import REPOSITORY, run_workflow
from endings import assert_one_line

PAGE = REPOSITORY / "profiles/reruns.md"
LIBRARY = "workflow/scripts/genosiege"
TASK, XGBOOST = "mine", "xgboost"
DEFENCE, CONTROL = "adversarial_only", "random_mutants"

CONFIG: dict[str, Any] = copy.deepcopy(tiny.CONFIG) | tiny.EXPRESSION
CONFIG["run"] |= {
    "name": "matrix",
    "seeds": [0],
    "tasks": [TASK],
    "defences": [DEFENCE, CONTROL],
    "datasets": [tiny.DATASET],
    "models": ["random_forest", XGBOOST],
}
CONFIG["tasks"] = {TASK: {"source": {"kind": "path", "path": "mine/{split}.csv"}}}
CONFIG["sampling"]["attack_seeds"] = [0]
CONFIG["compute"]["shard_size"] = 1000
CONFIG["hardening"] = {"rounds": 1}
CONFIG["vae"] = {"fractions": [100]}
CONFIG["detection"] = {}

EDITED = "\n# edited\n"
CODE = "\n_EDITED = 1\n"
IN_PROFILE = """
set-threads: {fine_tune: 1}
set-resources: {attack: {mem_mb: 9000, runtime: 60, slurm_partition: long}}
"""


@dataclass(frozen=True)
class Change:
    """How a row's change is made, and which jobs of its rules are all that may follow.

    Attributes
    ----------
    settings : mapping
        What an overlay says otherwise.
    appended : mapping
        Text that files end with from now on; files are patterns, and their time is new.
    only : mapping
        Values of wildcards: no job with another one is planned.
    beyond : tuple of str
        Rules that `only` is not about.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    appended: Mapping[str, str] = field(default_factory=dict)
    only: Mapping[str, str] = field(default_factory=dict)
    beyond: tuple[str, ...] = ()


def option(path: str, value: object, beyond: tuple[str, ...] = (), **only: str) -> Change:
    """Change one key of the configuration."""
    settings: Any = value
    for key in reversed(path.split("/")):
        settings = {key: settings}
    return Change(settings, {}, only, beyond)


def module(path: str, beyond: tuple[str, ...] = (), **only: str) -> Change:
    """Edit one module of the library."""
    return Change({}, {f"{LIBRARY}/{path}": CODE}, only, beyond)


# Every encoder is asked about the adversaries of all.
OF_ALL_ENCODERS = ("transfer", "gather_rounds")
# Every defence is shown the adversaries of the baseline, and the baseline those of every defence.
OF_ALL_DEFENCES = ("reverse_replay", "gather_rounds")

CHANGES = {
    "an option of one attack (`attacks/greedy`)": option("attacks/greedy/beam", 2, attack="greedy"),
    "an option of the attack that hardening uses (`attacks/genetic`)": option(
        "attacks/genetic/mutation", 0.4, OF_ALL_DEFENCES, defence=DEFENCE
    ),
    "an option of an attack in embedding space (`attacks/latent_fgsm`)": option(
        "attacks/latent_fgsm/norm", "l2", attack="latent_fgsm"
    ),
    "one more attack (`run/attacks`)": option(
        "run/attacks", [*tiny.ATTACKS, "random"], attack="random"
    ),
    "one attack fewer (`run/attacks`)": option(
        "run/attacks", [name for name in tiny.ATTACKS if name != "greedy"]
    ),
    "one more seed (`run/seeds`)": option("run/seeds", [0, 1], seed="1"),
    "one more attack seed (`sampling/attack_seeds`)": option(
        "sampling/attack_seeds", [0, 1], split="test"
    ),
    "`compute/shard_size`": option("compute/shard_size", 8, OF_ALL_DEFENCES, defence=DEFENCE),
    "`certify`": option("certify/max_edits", 2),
    "`constraints`": option("constraints/gc_shift/limit", 0.06),
    "how one encoder is trained (`encoders/tiny_cnn/training`)": option(
        "encoders/tiny_cnn/training/epochs", 4, OF_ALL_ENCODERS, encoder=tiny.CNN
    ),
    "how one encoder is trained from scratch (`encoders/tiny_dnabert2/pretraining`)": option(
        "encoders/tiny_dnabert2/pretraining/epochs",
        3,
        OF_ALL_ENCODERS,
        encoder=tiny.DNABERT2,
    ),
    "an option of one defence (`defences/adversarial_only`)": option(
        "defences/adversarial_only/epochs", 2, defence=DEFENCE, stage=f"{DEFENCE}/round1"
    ),
    "one more round (`hardening/rounds`)": option("hardening/rounds", 2, round="2"),
    "`hardening/convergence_threshold`": option(
        "hardening/convergence_threshold", 0.5, defence=DEFENCE
    ),
    "`verdict/edits`": option("verdict/edits", 4),
    "the source of a task (`tasks/mine/source`)": option(
        "tasks/mine/source/path", "theirs/{split}.csv"
    ),
    "the content of a task's own file": Change(appended={"mine/test.csv": "ACGTACGT,0\n"}),
    "a hyper-parameter of one model (`models/xgboost`)": option(
        "models/xgboost/trees", 11, model=XGBOOST
    ),
    "one model fewer (`run/models`)": option("run/models", [XGBOOST]),
    "`fimba/k`": option("fimba/k", [3]),
    "`vae`": option("vae/epochs", 3),
    "`poisoning`": option("poisoning/rates", [7]),
    "`expression_hardening`": option("expression_hardening/rounds", 2),
    "`comparison`": option("comparison/budget", 41),
    "the source of a dataset (`datasets/hard/matrix`)": option("datasets/hard/matrix/samples", 121),
    "a detector of expression (`detection/trees`)": option("detection/trees", 11),
    "a detector of DNA (`detection/kmer`)": option("detection/kmer", 2),
    "`detection/ssim`": option("detection/ssim/draws", 5),
    "the attacker of detectors (`detection/adaptive`)": option("detection/adaptive/nearest", 2),
    "the module of one attack (`sequence/attacks/greedy.py`)": module(
        "sequence/attacks/greedy.py", attack="greedy"
    ),
    "the module of one kind of encoder (`sequence/cnn.py`)": module(
        "sequence/cnn.py", OF_ALL_ENCODERS, encoder=tiny.CNN
    ),
    "the module of one kind of model (`expression/boosting.py`)": module(
        "expression/boosting.py", model=XGBOOST
    ),
    "a module that constraints share (`sequence/motifs.py`)": module("sequence/motifs.py"),
    "the module of certificates (`sequence/certificates.py`)": module("sequence/certificates.py"),
    "the pages of tables (`report/sortable_table.py`)": module("report/sortable_table.py"),
    "one figure (`figures/interpretability.py`)": module("figures/interpretability.py"),
    "the style of figures (`figures/style.py`)": module("figures/style.py"),
    "a module that all scripts import (`runtime.py`)": module("runtime.py"),
    "a caption (`workflow/report/attacks.rst`)": Change(
        appended={"workflow/report/attacks.rst": EDITED}
    ),
    "`README.md`, `CHANGELOG.md`": Change(appended={"*.md": EDITED}),
    "a comment in `config/config.yaml`": Change(appended={"config/config.yaml": EDITED}),
    "a comment in `workflow/rules/attack.smk`": Change(
        appended={"workflow/rules/attack.smk": EDITED}
    ),
    "a comment, a docstring or a hint of a type in a module (`runtime.py`)": Change(
        appended={f"{LIBRARY}/runtime.py": f'{EDITED}"""Edited."""\n'}
    ),
    "options that the run does not use (`attacks/published_code`)": option(
        "attacks/published_code/population", 7
    ),
    "modules that the run does not use (`sequence/attacks/random.py`)": module(
        "sequence/attacks/random.py"
    ),
    "a table of kinds, for a kind of your own (`kinds/models.py`)": module("kinds/models.py"),
    "files with a new time and the content they had": Change(
        appended={f"{folder}/**/*": "" for folder in ("mine", "resources", "results", "workflow")}
    ),
    "threads, memory and run time in a profile": Change(
        appended={"profiles/default/profile.yaml": IN_PROFILE}
    ),
    "an environment in `envs/`, without `--sdm conda`": Change(appended={"envs/*": EDITED}),
}
"""By row: the first cell in `profiles/reruns.md`."""

CLONE = "a fresh clone, into which `results/`, `resources/` and `.snakemake/` are moved"
NO_NOTES = "a fresh clone with `results/` and `resources/`, without `.snakemake/`"
ENVIRONMENT = "an environment in `envs/`, with `--sdm conda` (`envs/report.yaml`)"
FIRST_CONDA = "`--sdm conda` for a run that was made without it"
KILLED = "files of a call that was killed on a cluster, whose jobs went on"
ELSEWHERE = {CLONE, NO_NOTES, KILLED, ENVIRONMENT, FIRST_CONDA}
"""Rows about more than a setting or an edit: each has a test of its own."""


# The page -----------------------------------------------------------------------------------


def rows_of(page: str) -> dict[str, frozenset[str]]:
    """Map the first cell of each row to the rules in its second; lists of rules are filled in."""
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    rows = [line[:2] for line in lines if line[0] not in ("name", "change")]
    cells = dict(rows)
    assert len(cells) == len(rows), "two rows of one name"

    def rules(cell: str) -> frozenset[str]:
        lists = [rules(cells[f"*{name}*"]) for name in re.findall(r"\*(.+?)\*", cell)]
        return frozenset(re.findall(r"`(\w+)`", cell)).union(*lists)

    return {name: rules(cell) for name, cell in cells.items() if not name.startswith("*")}


ROWS = rows_of(PAGE.read_text(encoding="utf-8"))
SOMETHING = [row for row, rules in ROWS.items() if rules and row not in ELSEWHERE]
NOTHING = [row for row, rules in ROWS.items() if not rules and row not in ELSEWHERE]


def test_every_row_is_tried_and_every_change_has_a_row():
    assert set(ROWS) == set(CHANGES) | ELSEWHERE


# The run ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workflow in which a run counts as finished; its own working directory."""
    folder = tmp_path_factory.mktemp("matrix") / "checkout"
    for part in ("workflow", "config", "envs", "profiles"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / part, folder / part, ignore=ignored)
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copy(REPOSITORY / name, folder)
    for owner in ("mine", "theirs"):
        (folder / owner).mkdir()
        for split in ("train", "dev", "test"):
            (folder / owner / f"{split}.csv").write_text("sequence,label\nACGTACGT,1\n")
    listed = run_workflow(folder, CONFIG, "--summary", root=folder, check=True).stdout
    for line in listed.splitlines()[1:]:
        path = folder / line.split("\t")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"stand-in for {path.name}\n")
    run_workflow(folder, CONFIG, "--touch", "--forceall", root=folder, check=True)
    return folder


JOB = r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?: .*\n)+)"
"""A job in the output of a dry run: its rule, and the lines that describe it."""


@contextlib.contextmanager
def changed(checkout: Path, change: Change) -> Iterator[None]:
    """Edit files for a while."""
    before: dict[Path, bytes] = {}
    for pattern, text in change.appended.items():
        found = [path for path in checkout.glob(pattern) if path.is_file()]
        assert found, pattern
        for path in found:
            before[path] = path.read_bytes()
            path.write_bytes(before[path] + text.encode())
    try:
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def merged(config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Lay settings over a configuration, as an overlay is."""
    both = dict(config)
    for key, value in settings.items():
        both[key] = merged(both.get(key, {}), value) if isinstance(value, Mapping) else value
    return both


def planned(
    checkout: Path,
    settings: Mapping[str, Any] | None = None,
    *arguments: str,
    env: Mapping[str, str] | None = None,
) -> list[tuple[str, dict[str, str]]]:
    """List the jobs that a dry run plans, `all` left out: their rules and wildcards."""
    config = merged(CONFIG, settings or {})
    run = run_workflow(
        checkout, config, "--dry-run", *arguments, root=checkout, check=True, env=env
    )
    jobs = []
    for rule, lines in re.findall(JOB, run.stdout, re.M):
        values = re.search(r"^    wildcards: (.*)$", lines, re.M)
        pairs = [pair.split("=", 1) for pair in values[1].split(", ")] if values else []
        if rule != "all":
            jobs.append((rule, dict(pairs)))
    assert Counter(rule for rule, _ in jobs) == tiny.planned(run.stdout), run.stdout
    return jobs


def rules_of(jobs: list[tuple[str, dict[str, str]]]) -> set[str]:
    return {rule for rule, _ in jobs}


# The rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", SOMETHING)
def test_a_change_reruns_the_rules_of_its_row_alone(checkout, row):
    change = CHANGES[row]
    with changed(checkout, change):
        jobs = planned(checkout, change.settings)

    assert rules_of(jobs) == ROWS[row]
    for name, value in change.only.items():
        found = {
            values[name] for rule, values in jobs if name in values and rule not in change.beyond
        }
        assert found == {value}


def test_changes_that_rerun_nothing_rerun_nothing_all_at_once(checkout):
    settings: dict[str, Any] = {}
    with contextlib.ExitStack() as edits:
        for row in NOTHING:
            edits.enter_context(changed(checkout, CHANGES[row]))
            settings = merged(settings, CHANGES[row].settings)

        assert planned(checkout, settings) == []


def test_edits_taken_back_rerun_nothing(checkout):
    # The files are newer than all results; their content is as it was.
    assert planned(checkout) == []


def test_a_fresh_clone_beside_existing_results_reruns_nothing_as_long_as_it_has_their_notes(
    checkout, tmp_path
):
    clone = tmp_path / "elsewhere" / "clone"
    shutil.copytree(checkout, clone, copy_function=shutil.copyfile)  # all times are new
    assert rules_of(planned(clone)) == ROWS[CLONE]

    shutil.rmtree(clone / ".snakemake")
    refused = run_workflow(clone, CONFIG, root=clone)
    assert_one_line(refused, "results/matrix: it was brought here without .snakemake/")
    assert ROWS[NO_NOTES] == frozenset()


def test_what_a_killed_call_has_left_runs_again(checkout, tmp_path):
    clone = tmp_path / "checkout"
    shutil.copytree(checkout, clone)
    left = clone / f"results/matrix/sequence/{TASK}/{tiny.CNN}/seed0/baseline/attacks/greedy"
    name = str((left / "test.parquet").relative_to(clone))
    record = clone / ".snakemake/metadata" / urlsafe_b64encode(name.encode()).decode()
    record.unlink()

    assert {"attack"} <= rules_of(planned(clone)) <= ROWS[next(iter(CHANGES))]


CONDA = """#!/bin/sh
# Says what Snakemake asks of conda; its environments are empty folders.
case "$*" in
    *--version*) echo "conda 24.11.0" ;;
    *channel_priority*) echo '{"get": {"channel_priority": "strict"}}' ;;
    info*) echo '{"conda_prefix": "/nowhere", "platform": "linux-64"}' ;;
    *) while [ "$1" != "--prefix" ]; do shift; done; mkdir -p "$2" ;;
esac
"""


def test_environments_count_with_conda_alone(checkout, tmp_path):
    clone = tmp_path / "checkout"
    shutil.copytree(checkout, clone)
    conda = tmp_path / "bin" / "conda"
    conda.parent.mkdir()
    conda.write_text(CONDA)
    conda.chmod(0o755)
    env = {"PATH": f"{conda.parent}{os.pathsep}{os.environ['PATH']}"}

    first = run_workflow(
        clone, CONFIG, "--touch", "--sdm", "conda", root=clone, check=True, env=env
    )
    with changed(clone, Change(appended={"envs/report.yaml": EDITED})):
        jobs = planned(clone, None, "--sdm", "conda", env=env)

    assert set(tiny.planned(first.stdout + first.stderr)) == ROWS[FIRST_CONDA]
    assert rules_of(jobs) == ROWS[ENVIRONMENT]
