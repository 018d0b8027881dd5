"""The smallest run that has every rule in it, and how to read what Snakemake plans."""

import re
from typing import Any

NAME = "tiny"
SEEDS = (0, 1)
ATTACKED = 12
ATTACK_SEEDS = (0, 1)
SHARD_SIZE = 8
SHARDS = 2
TASK = "simulated"
CNN = "tiny_cnn"
DATASET = "hard"
DNABERT2 = "tiny_dnabert2"

SEARCHES = ("genetic", "greedy")
LATENT = ("latent_fgsm",)
ATTACKS = (*SEARCHES, *LATENT, "transfer")
FRONT_PAGE = ("tell_findings", "sum_up_times")
"""Rules that follow the tables of every arm."""

CONFIG: dict[str, Any] = {
    "run": {
        "name": NAME,
        "seeds": list(SEEDS),
        "tasks": [TASK],
        "encoders": [DNABERT2, CNN],
        "attacks": list(ATTACKS),
        "defences": [],
        "datasets": [],
    },
    "sampling": {"attack_samples": ATTACKED, "attack_seeds": list(ATTACK_SEEDS)},
    "compute": {"shard_size": SHARD_SIZE, "precision": "fp32", "batching": "per_sequence"},
    "tasks": {
        TASK: {
            "source": {
                "kind": "simulate",
                "n_train": 120,
                "n_dev": 40,
                "n_test": 40,
                "length": 80,
                "tss_index": 59,
            },
            "tss_index": 59,
        }
    },
    "encoders": {
        CNN: {
            "kind": "cnn",
            "architecture": {"channels": 8, "blocks": 1},
            "training": {"epochs": 3, "batch_size": 16, "learning_rate": 0.01},
        },
        DNABERT2: {
            "kind": "dnabert2",
            "architecture": {
                "vocab_size": 64,
                "hidden_size": 24,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 48,
            },
            "pretraining": {"epochs": 2},
            "training": {"epochs": 5, "learning_rate": 0.003},
        },
    },
    "attacks": {
        "genetic": {"population": 10, "generations": 10, "query_budget": 200},
        "greedy": {"query_budget": 300, "max_edits": 2},
        "latent_fgsm": {"epsilons": [0.1, 1.0]},
    },
    "detection": {"models": [], "sequence": []},
}
"""An overlay for `config/config.yaml`."""

EXPRESSION: dict[str, Any] = {
    "datasets": {
        DATASET: {
            "format": "csv",
            "matrix": {
                "kind": "simulate",
                "assay": "bulk",
                "samples": 120,
                "genes": 30,
                "strength": 0.4,
                "study_effect": 0,
            },
            "id": "id",
            "donor": "donor",
            "site": "site",
            "study": "study",
        }
    },
    "models": {
        "random_forest": {"trees": 10},
        "xgboost": {"trees": 10, "max_depth": 2},
        "cnn": {"channels": [4], "hidden": 8, "training": {"epochs": 2}},
    },
}
"""Catalogues of the expression arm, for an overlay that runs it."""


def stage(encoder: str, seed: int = 0) -> str:
    """Name the folder of a baseline model."""
    return f"results/{NAME}/sequence/{TASK}/{encoder}/seed{seed}/baseline"


def attack_table(encoder: str, seed: int = 0, attack: str = "genetic") -> str:
    """Name the table of an attack."""
    return f"{stage(encoder, seed)}/attacks/{attack}/test.parquet"


def planned(output: str) -> dict[str, int]:
    """Read how many jobs of each rule a dry run plans, `all` left out; {} is nothing."""
    if "Nothing to be done" in output:
        return {}
    jobs = re.search(r"Job stats:\n(.*?)\ntotal", output, flags=re.S)
    assert jobs, output
    rows = [line.split() for line in jobs[1].splitlines()[2:]]
    return {rule: int(count) for rule, count in rows if rule != "all"}
