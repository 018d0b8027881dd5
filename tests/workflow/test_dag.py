"""The graph of jobs, from dry runs."""

import re

import pytest
import yaml


def test_the_demo_asks_for_every_step(workflow):
    output = workflow(None, "--dry-run", base="demo.yaml", check=True).stdout

    for rule in (
        "download_task",
        "prepare_task",
        "train_encoder",
        "tokenize_task",
        "embed",
        "harden",
    ):
        assert re.search(rf"^{rule} +\d", output, flags=re.M), rule
    assert "fetch_encoder" not in output


def test_the_experiment_on_all_of_gue_has_as_many_jobs_as_the_readme_says(workflow, repository):
    catalogue = yaml.safe_load((repository / "config/config.yaml").read_text())["tasks"]
    tasks = [
        name
        for name, task in catalogue.items()
        if task["source"]["kind"] == "huggingface" and task.get("split") != "grouped"
    ]
    n_stages = len(tasks) * 3 * (1 + 4 * 5)  # seeds; the baseline, rounds of each defence
    promised = re.search(r"are\s+([\d,]+) jobs", (repository / "README.md").read_text())
    assert promised

    config = {"run": {"tasks": tasks, "datasets": []}}
    output = workflow(config, "--dry-run", "--quiet", "rules", check=True).stdout

    total = re.search(r"^total +(\d+)$", output, flags=re.M)
    assert total
    assert len(tasks) == 28
    assert int(total[1]) == int(promised[1].replace(",", ""))
    assert int(total[1]) < min(20_000, 10 * n_stages)
    assert re.search(r"^fetch_encoder +1$", output, flags=re.M)


@pytest.mark.parametrize("encoder", ["cnn", "dnabert2", "native"])
def test_an_encoder_that_reads_tokens_is_checked_before_its_training(workflow, encoder):
    source = {"kind": "huggingface", "repo": "somebody/model", "revision": "0123abc"}
    native = {"kind": "hf", "source": source, "frozen": True}
    config = {"run": {"encoders": [encoder]}, "encoders": {"native": native}}
    output = workflow(config, "--dry-run", check=True).stdout

    block = re.search(r"^rule fine_tune:\n +input: (.*)$", output, flags=re.M)
    # A cnn reads the bases themselves.
    assert block and ("input_check.json" in block[1]) == (encoder != "cnn")


@pytest.mark.parametrize(
    ("samples", "size", "shards"), [(500, 1000, 1), (500, 100, 5), (None, 1000, 6), (7, 2, 4)]
)
def test_shards_follow_from_the_configuration(workflow, samples, size, shards):
    config = {
        "run": {
            "encoders": ["cnn"],
            "seeds": [0],
            "attacks": ["genetic"],
            "defences": [],
            "datasets": [],
        },
        "sampling": {"attack_samples": samples},
        "compute": {"shard_size": size},
    }

    output = workflow(config, "--dry-run", "--quiet", "rules", check=True).stdout

    found = re.search(r"^attack_shard +(\d+)$", output, flags=re.M)
    # A search in one shard is a part of the attack.
    assert int(found[1]) == shards if found else shards == 1
    assert re.search(r"^attack +1$", output, flags=re.M)


def test_no_job_asks_a_cluster_for_more_time_than_the_site_gives(workflow, repository):
    config = {"run": {"encoders": ["cnn"], "seeds": [0]}, "compute": {"max_runtime": 100}}
    slurm = ("--profile", repository / "profiles/slurm", "--sdm", "env-modules")

    output = workflow(config, "--dry-run", *slurm, base="demo.yaml", check=True).stdout

    jobs = re.findall(r"^rule (\w+):\n(?: .*\n)+?.*runtime=(\d+)", output, flags=re.M)
    # What runs where the call is made asks nobody.
    asked = [int(minutes) for rule, minutes in jobs if not rule.startswith("download")]
    assert max(asked) == 100
    assert min(asked) < 100


@pytest.mark.parametrize("mode", ["soft", "off"])
def test_attacks_depend_on_the_files_of_further_motifs(workflow, tmp_path, mode):
    (tmp_path / "mine.jaspar").write_text(">MA0001.1\nA [1]\nC [1]\nG [1]\nT [1]\n")
    config = {
        "run": {"encoders": ["cnn"], "seeds": [0], "datasets": []},
        "hardening": {"rounds": 1, "convergence_threshold": 0},
        "constraints": {"motifs": {"mode": mode, "jaspar": ["mine.jaspar"]}},
    }

    output = workflow(config, "--dry-run", check=True).stdout

    for rule in ("attack", "attack_round"):
        block = re.search(rf"^rule {rule}:\n +input: (.*)$", output, flags=re.M)
        assert block, rule
        assert "mine.jaspar" in block[1].split(", ")


def test_transfer_reaches_other_encoders_and_other_data_but_no_other_division(workflow):
    config = {
        "run": {
            "tasks": ["prom_300_all", "prom_300_all_grouped", "prom_300_tata", "virus_covid"],
            "encoders": ["cnn", "dnabert2"],
            "seeds": [0],
            "attacks": ["transfer"],
            "defences": [],
            "datasets": [],
        }
    }
    target = "results/main/sequence/prom_300_all/cnn/seed0/baseline/transfer/transfer.parquet"

    output = workflow(config, target, "--dry-run", check=True).stdout

    block = re.search(r"^rule transfer:\n +input: (.*)$", output, flags=re.M)
    assert block
    tables = re.findall(r"sequence/(\w+/\w+)/seed0/baseline/attacks/genetic/test.parquet", block[1])
    # The grouped task has the same rows: the model was trained on many of them.
    assert tables == ["prom_300_all/cnn", "prom_300_all/dnabert2", "prom_300_tata/cnn"]
