"""The schema's defaults are the library's: each is written down twice and must not part."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import validate

from genosiege.data import simulate
from genosiege.sequence import classifier, cnn


@pytest.fixture
def filled(repository: Path) -> dict[str, Any]:
    config: dict[str, Any] = {
        "run": {"tasks": ["simulated"], "encoders": ["cnn"]},
        "tasks": {"simulated": {"source": {"kind": "simulate"}}},
        "encoders": {
            "cnn": {"kind": "cnn"},
            "scratch": {"kind": "dnabert2", "architecture": {}, "pretraining": {}},
        },
        "attacks": {kind: {"kind": kind} for kind in ("genetic", "greedy", "random")},
    }
    validate(config, str(repository / "workflow/schemas/config.schema.yaml"))
    return config


def test_defaults_are_filled_into_missing_sections_and_catalogue_entries(filled):
    assert filled["run"] == {
        "tasks": ["simulated"],
        "encoders": ["cnn"],
        "name": "main",
        "seeds": [0, 1, 2],
        "attacks": ["genetic", "greedy", "random"],
        "defences": [],
    }
    assert filled["sampling"]["attack_samples"] == 500
    assert filled["compute"]["shard_size"] == 1000
    assert filled["constraints"]["gc_shift"] == {"mode": "hard", "limit": 0.05}
    assert filled["tasks"]["simulated"]["split"] == "official"
    assert filled["attacks"]["genetic"]["query_budget"] == 10000


def test_config_yaml_writes_the_defaults_of_the_sections_it_shows(filled, repository):
    written = yaml.safe_load((repository / "config/config.yaml").read_text())
    for section in ("sampling", "compute", "certify", "hardening", "constraints"):
        assert written[section] == filled[section]


def test_simulation_defaults_are_the_librarys(filled):
    source = dict(filled["tasks"]["simulated"]["source"])
    del source["kind"]
    assert source == asdict(simulate.Parameters())


def test_cnn_defaults_are_the_librarys(filled):
    assert filled["encoders"]["cnn"]["architecture"] == asdict(cnn.Architecture())


def test_training_defaults_are_the_librarys(filled):
    assert filled["encoders"]["cnn"]["training"] == asdict(classifier.Training())


def test_pretraining_has_a_seed_and_the_options_of_training_but_patience(filled):
    training = asdict(classifier.Training())
    del training["patience"]

    assert filled["encoders"]["scratch"]["pretraining"] == {"seed": 0, **training}
