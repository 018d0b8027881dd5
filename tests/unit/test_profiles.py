"""What a profile says of the rules is what the rules say, and no profile overrules another."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake_executor_plugin_slurm.partitions import read_partition_file

ROOT = Path(__file__).resolve().parents[2]


def profile(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"profiles/{name}/profile.yaml").read_text())


RULE = r"^(?=(?:use rule|rule|checkpoint) )"


def rules() -> dict[str, str]:
    """Give the text of every rule by its name."""
    blocks = [
        block
        for file in sorted((ROOT / "workflow/rules").glob("*.smk"))
        for block in re.split(RULE, file.read_text(), flags=re.M)[1:]
    ]
    found = {block.split()[1].removesuffix(":"): block for block in blocks if block[:3] != "use"}
    for block in blocks:
        # What a rule takes over from another, it takes as it is.
        if variant := re.match(r"use rule (\w+) as (\w+) with:", block):
            found[variant[2]] = found[variant[1]]
    return found


def asked(rule: str, resource: str) -> str:
    found = re.search(rf"^        {resource}=(\w+),$", rule, flags=re.M)
    return found[1] if found else ""


def test_the_link_at_the_root_leads_to_the_profile():
    assert str((ROOT / "slurm").readlink()) == "profiles/slurm"


def test_the_default_profile_overrules_nothing_of_slurms():
    assert not set(profile("default")) & set(profile("slurm"))


def test_every_rule_with_a_gpu_has_more_in_its_next_attempt():
    with_gpu = {name for name, rule in rules().items() if asked(rule, "gpu")}

    assert len(with_gpu) > 20
    assert with_gpu <= set(profile("slurm")["set-resources"])


@pytest.mark.parametrize(("rule", "resources"), profile("slurm")["set-resources"].items())
def test_a_first_attempt_gets_what_the_rule_asks_for(rule, resources):
    known = rules()[rule]

    assert resources == {
        "mem_mb": f"{asked(known, 'mem_mb')} * attempt",
        "runtime": f"min({asked(known, 'runtime')} * attempt, $GENOSIEGE_MAX_RUNTIME)",
    }


def test_every_rule_says_what_it_needs():
    for name, rule in rules().items():
        assert asked(rule, "mem_mb").isdigit(), name
        assert asked(rule, "runtime").isdigit(), name
        assert re.search(r"^    threads: [12]$", rule, flags=re.M), name
        assert '    log:\n        "<logs>/' in rule, name


def test_the_plugin_reads_the_example_of_partitions():
    partitions = {
        each.name: each for each in read_partition_file(ROOT / "profiles/slurm/partitions.yaml")
    }
    first = [entry["runtime"] for entry in profile("slurm")["set-resources"].values()]
    longest = max(int(re.findall(r"\d+", text)[0]) for text in first)

    assert partitions["gpu"].limits.max_gpu > 0
    assert partitions["cpu"].limits.max_gpu == 0
    # Minutes; retries: 2 makes three attempts.
    assert partitions["gpu"].limits.max_runtime >= 3 * longest
