"""The schema's defaults are the library's: each is written down twice and must not part."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from genosiege import schema, workflow_code
from genosiege.data import planted, simulate, simulate_expression
from genosiege.detection.options import Detection
from genosiege.expression import datasets, models
from genosiege.expression.adversarial_training import AdversarialTraining
from genosiege.expression.comparison_attacks import Comparison
from genosiege.expression.fimba_options import Fimba
from genosiege.expression.poisoning import Poisoning
from genosiege.expression.vae_training import Training
from genosiege.sequence import classifier, cnn
from genosiege.sequence.kmer_tokenizer import TokenOptions

SCHEMA = Path(__file__).parents[2] / "workflow/schemas/config.schema.yaml"


@pytest.fixture
def filled() -> dict[str, Any]:
    config: dict[str, Any] = {
        "run": {"tasks": ["simulated"], "encoders": ["cnn"]},
        "tasks": {"simulated": {"source": {"kind": "simulate"}}},
        "encoders": {
            "cnn": {"kind": "cnn"},
            "scratch": {"kind": "dnabert2", "architecture": {}, "pretraining": {}},
            "words": {"kind": "hf", "source": {"kind": "path", "path": "a"}, "tokens": {}},
        },
        "attacks": {kind: {"kind": kind} for kind in ("genetic", "greedy", "random")},
        "datasets": {
            assay: {"format": "csv", "matrix": {"kind": "simulate", "assay": assay}}
            for assay in ("bulk", "single_cell")
        },
        "models": {kind: {"kind": kind} for kind in workflow_code.MODEL_MODULES},
    }
    schema.validate(config, SCHEMA)
    return config


def test_defaults_are_filled_into_missing_sections_and_catalogue_entries(filled):
    assert filled["run"] == {
        "tasks": ["simulated"],
        "encoders": ["cnn"],
        "name": "main",
        "seeds": [0, 1, 2],
        "attacks": ["genetic", "greedy", "gradient", "random", "transfer"],
        "defences": [],
        "datasets": [],
        "models": [],
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
    # Those of the expression arm show what is mostly changed.
    shown = ("fimba", "vae", "poisoning", "expression_hardening", "comparison", "detection")
    for section in shown:
        assert written[section].items() <= filled[section].items()


def test_simulation_defaults_are_the_librarys(filled):
    source = dict(filled["tasks"]["simulated"]["source"])
    del source["kind"]
    assert source.pop("generator") == "promoters"
    assert source == asdict(simulate.Parameters())

    source = {"kind": "simulate", "generator": "planted"}
    config = {"run": {"tasks": ["t"]}, "tasks": {"t": {"source": source}}}
    schema.validate(config, SCHEMA)
    assert planted.parameters(source) == planted.Parameters()
    assert len(source) == 2 + len(asdict(planted.Parameters()))


def test_cnn_defaults_are_the_librarys(filled):
    assert filled["encoders"]["cnn"]["architecture"] == asdict(cnn.Architecture())


def test_token_defaults_are_the_librarys(filled):
    assert TokenOptions.of(filled["encoders"]["words"]) == TokenOptions()
    assert "tokens" not in filled["encoders"]["cnn"]


def test_training_defaults_are_the_librarys(filled):
    assert filled["encoders"]["cnn"]["training"] == asdict(classifier.Training())


def test_pretraining_has_a_seed_and_the_options_of_training_but_patience(filled):
    training = asdict(classifier.Training())
    del training["patience"]

    assert filled["encoders"]["scratch"]["pretraining"] == {"seed": 0, **training}


def test_entries_share_no_default(filled):
    training = [filled["encoders"][name]["training"] for name in ("cnn", "scratch")]
    training[0]["epochs"] = 99

    assert training[1]["epochs"] != 99


def test_null_switches_the_search_for_the_smallest_k_off():
    config = {"run": {"tasks": ["a"]}, "fimba": {"smallest_k": None}}

    schema.validate(config, SCHEMA)

    assert config["fimba"]["smallest_k"] is None


@pytest.mark.parametrize("assay", ["bulk", "single_cell"])
def test_defaults_of_simulated_expression_are_the_librarys(filled, assay):
    source = filled["datasets"][assay]["matrix"]

    assert simulate_expression.parameters(source) == simulate_expression.ASSAYS[assay]()


def test_defaults_of_a_dataset_are_the_librarys(filled):
    entry = filled["datasets"]["bulk"]

    assert datasets.Preparation.from_mapping(entry) == datasets.Preparation.from_mapping(
        {"values": "log"}
    )


@pytest.mark.parametrize("kind", workflow_code.MODEL_MODULES)
def test_defaults_of_a_model_are_the_librarys(filled, kind):
    given = models.create(filled["models"][kind], n_features=20, seed=0)

    assert given.options == models.create({"kind": kind}, n_features=20, seed=0).options


@pytest.mark.parametrize(
    ("section", "options"),
    [("fimba", Fimba), ("poisoning", Poisoning), ("vae", Training),
     ("expression_hardening", AdversarialTraining), ("comparison", Comparison),
     ("detection", Detection)],
)  # fmt: skip
def test_defaults_of_what_the_expression_arm_does_are_the_librarys(filled, section, options):
    apart = {"models"} | {"vae": {"fractions", "targets", "k", "t"}, "detection": {"attacks"}}.get(
        section, set()
    )
    given = {key: value for key, value in filled[section].items() if key not in apart}

    assert options.from_mapping(given) == options()
