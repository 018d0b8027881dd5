"""The demo through `snakemake --profile slurm`: every rule once, and the tables of a local run."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from calling import REPOSITORY
from cluster import Cluster
from submitting import assert_success, on_slurm, on_this_machine, result_tables

pytestmark = pytest.mark.slurm

# The demo with one model of each arm. A threshold above 0 makes each round a decision.
CONFIG = {
    "run": {
        "encoders": ["dnabert2_small"],
        "attacks": ["genetic", "transfer", "latent_pgd"],
        "defences": ["adversarial_only"],
        "datasets": ["simulated_tcga"],
        "models": ["cnn"],
    },
    "sampling": {"attack_samples": 12},
    "compute": {"shard_size": 6, "precision": "fp32", "batching": "per_sequence", "device": "cpu"},
    "hardening": {
        "rounds": 1,
        "train_attack_samples": 12,
        "examples_per_round": 8,
        "convergence_threshold": 0.01,
    },
    "expression_hardening": {"models": ["cnn"], "rounds": 1},
    "comparison": {"models": ["cnn"]},
    "poisoning": {"models": ["cnn"]},
    "detection": {"models": ["cnn"]},
}
ELSEWHERE = {"fetch_encoder"}
"""Rules that the demo has no use for: its encoders are trained here."""
WITHOUT_GPU = {"fine_tune", "evaluate"}
"""Rules whose GPU depends on the model: a head on features that are made once needs none."""


class Job(NamedTuple):
    """One line of sacct."""

    rule: str
    state: str
    n_gpus: int


class Rule(NamedTuple):
    """What a rule says of where it runs."""

    is_local: bool
    has_gpu: bool


def rules() -> dict[str, Rule]:
    """Read every rule of the workflow."""
    text = "\n".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
    found = {}
    for block in re.split(r"^(?:rule|checkpoint) ", text, flags=re.M)[1:]:
        block = block.partition("\nuse rule ")[0]
        found[block.partition(":")[0]] = Rule("localrule: True" in block, "gpu=" in block)
    variants = re.findall(r"^use rule (\w+) as (\w+) with:", text, flags=re.M)
    return found | {name: found[of] for of, name in variants}


def jobs(cluster: Cluster, folder: Path) -> list[Job]:
    """Ask sacct for all jobs that a checkout submitted."""
    asked = "--format=Comment%200,State%40,AllocTRES%200,WorkDir%300"
    answer = cluster.call("sacct", "-X", "--noheader", "--parsable2", asked)
    rows = [line.split("|") for line in answer.splitlines()]
    found = []
    for comment, state, allocated, workdir in rows:
        if workdir == str(folder):
            rule = re.match(r"rule_(\w+?)(?:_wildcards_.*)?$", comment)
            gpus = re.search(r"gres/gpu=(\d+)", allocated)
            assert rule, comment
            found.append(Job(rule[1], state, int(gpus[1]) if gpus else 0))
    return found


@pytest.fixture(scope="module")
def run(cluster, checkout):
    """The demo's folder after its run on the cluster."""
    folder = checkout("demo")
    finished = on_slurm(cluster, folder, CONFIG, base="demo.yaml")
    assert_success(finished)
    return folder


def test_every_rule_ran_as_a_job_or_here_and_all_jobs_completed(cluster, run):
    found = jobs(cluster, run)
    remote = {name for name, rule in rules().items() if not rule.is_local}

    assert {job.rule for job in found} == remote - ELSEWHERE
    assert {job.state for job in found} == {"COMPLETED"}


def test_rules_that_use_a_gpu_were_given_one_and_no_others(cluster, run):
    known = rules()
    for job in jobs(cluster, run):
        has_gpu = known[job.rule].has_gpu and job.rule not in WITHOUT_GPU
        assert job.n_gpus == has_gpu, job


def test_the_tables_are_those_of_a_run_on_one_machine(run, checkout):
    folder = checkout("here")
    assert_success(on_this_machine(folder, CONFIG, base="demo.yaml"))

    there, here = result_tables(run), result_tables(folder)
    assert len(here) > 60
    assert sorted(there) == sorted(here)
    assert [name for name in here if here[name] != there[name]] == []


def test_a_second_call_has_nothing_to_do(cluster, run):
    again = on_slurm(cluster, run, CONFIG, base="demo.yaml")

    assert_success(again)
    assert "Nothing to be done" in again.stdout + again.stderr
