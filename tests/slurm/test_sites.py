"""Sites differ: no database, no `--gpus`, partitions of their own, arrays of jobs."""

from pathlib import Path

import long_search
import pytest
import yaml
from cluster import Cluster
from submitting import assert_success, on_slurm

pytestmark = pytest.mark.slurm

# One stage of two shards; nothing to wait for.
QUICK = long_search.settings(generations=5, patience=5)


def jobs(cluster: Cluster, folder: Path, column: str) -> dict[str, list[str]]:
    """Ask sacct for a column of all jobs of a checkout, by rule."""
    asked = f"--format=Comment%200,{column}%200,WorkDir%300"
    found: dict[str, list[str]] = {}
    for line in cluster.call("sacct", "-X", "--noheader", "--parsable2", asked).splitlines():
        comment, value, workdir = line.split("|")
        if workdir == str(folder):
            rule = comment.removeprefix("rule_").partition("_wildcards_")[0]
            found.setdefault(rule, []).append(value)
    return found


def test_jobs_go_to_the_partitions_of_the_sites_own_file(cluster, checkout):
    folder = checkout("partitions")
    file = folder / "profiles/slurm/partitions.yaml"
    # The example as it is shipped: the cluster's partitions have its names.
    assert set(yaml.safe_load(file.read_text())["partitions"]) == {"cpu", "gpu"}
    config = ("--slurm-partition-config", "profiles/slurm/partitions.yaml")
    assert_success(on_slurm(cluster, folder, QUICK, *config))

    partitions = jobs(cluster, folder, "Partition")
    assert set(partitions["attack_shard"]) == {"gpu"}
    assert set(partitions["prepare_task"]) == {"cpu"}


def test_gpus_can_be_asked_for_as_gres(cluster, checkout):
    folder = checkout("gres")
    profile = folder / "profiles/slurm/profile.yaml"
    readme = (folder / "profiles/README.md").read_text()
    # As the README says.
    line = next(line for line in readme.splitlines() if line.strip().startswith("sed "))
    before, after = line.split("'")[1].removeprefix("s/").removesuffix("/").split("/")
    profile.write_text(profile.read_text().replace(before, after))
    assert_success(on_slurm(cluster, folder, QUICK))

    asked = jobs(cluster, folder, "ReqTRES")
    assert all("gres/gpu=1" in tres for tres in asked["attack_shard"])
    assert not any("gres/gpu" in tres for tres in asked["prepare_task"])


def test_shards_can_be_submitted_as_an_array(cluster, checkout):
    folder = checkout("arrays")
    run = on_slurm(cluster, folder, QUICK, "--slurm-array-jobs", "attack_shard")
    assert_success(run)

    assert "Submitted array job" in run.stdout + run.stderr
    assert len(jobs(cluster, folder, "JobID")["attack_shard"]) == 2
