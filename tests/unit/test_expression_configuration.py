"""Mistakes in the configuration of the expression arm that a schema cannot see."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from refusals import refusal

from genosiege import configuration, expression_configuration, schema


@pytest.fixture(scope="module")
def filled(repository: Path) -> dict[str, Any]:
    """The configuration of the demo's expression arm, with all defaults."""
    config = yaml.safe_load((repository / "config/config.yaml").read_text())
    config["run"] |= {"tasks": [], "encoders": [], "datasets": ["tcga"]}
    schema.validate(config, repository / "workflow/schemas/config.schema.yaml")
    return config


def changed(filled: dict[str, Any], sections: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(filled)
    for section, entries in sections.items():
        for key, value in entries.items():
            if isinstance(value, dict):
                config[section][key] |= value
            else:
                config[section][key] = value
    return config


def test_the_published_configuration_is_in_order(filled, tmp_path):
    configuration.check(filled, tmp_path)
    expression_configuration.check(filled, tmp_path)


@pytest.mark.parametrize(
    ("sections", "start", "part"),
    [
        ({"run": {"models": ["forest"]}}, "config, run/models[0]", "random_forest"),
        ({"run": {"datasets": []}}, "config, run", "tasks"),
        ({"run": {"tasks": ["tf"]}}, "config, run/tasks[0]", "prom_300_all"),
    ],
)
def test_names_exist(filled, tmp_path, sections, start, part):
    message = refusal(configuration.check, changed(filled, sections), tmp_path)

    assert message.startswith(start)
    assert part in message


@pytest.mark.parametrize(
    ("sections", "start", "part"),
    [
        ({"run": {"models": []}}, "config, run/models", "random_forest"),
        ({"datasets": {"tcga": {"matrix": {"kind": "path", "path": "no.gz"}}}},
         "config, datasets/tcga/matrix/path", "no.gz"),
        ({"datasets": {"tcga": {"format": "h5ad"}}}, "config, datasets/tcga/samples", "genes"),
        ({"datasets": {"tcga": {"leaky_preprocessing": True, "resample": 5, "max_per_class": 5}}},
         "config, datasets/tcga/resample", "max_per_class"),
        ({"run": {"seeds": [0, 5]}, "datasets": {"tcga": {"split": "folds"}}},
         "config, run/seeds, [0, 5]", "fold s of 5"),
        ({"datasets": {"tcga": {"resample": 5}}}, "config, datasets/tcga/resample", "leaky"),
        ({"datasets": {"tcga": {"fractions": [0.5, 0.1, 0.1]}}},
         "config, datasets/tcga/fractions", "add up to 1"),
        ({"models": {"vit": {"heads": 5}}}, "config, models/vit/heads", "64"),
        ({"models": {"resnet": {"blocks": [1]}}}, "config, models/resnet/blocks", "4 widths"),
        ({"fimba": {"features": ["random"]}}, "config, fimba/features", "shap"),
        ({"comparison": {"models": ["svm"]}}, "config, comparison/models[0]", "cnn"),
        ({"poisoning": {"models": ["svm"]}}, "config, poisoning/models[0]", "cnn"),
        ({"vae": {"fractions": []}}, "config, poisoning/kinds", "label_flip"),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_refused(filled, tmp_path, sections, start, part):
    message = refusal(expression_configuration.check, changed(filled, sections), tmp_path)

    assert message.startswith(start)
    assert part in message


def test_a_split_by_donor_needs_their_column(filled, tmp_path):
    config = changed(filled, {"datasets": {"tcga": {"format": "csv", "split": "donor"}}})
    del config["datasets"]["tcga"]["samples"]

    message = refusal(expression_configuration.check, config, tmp_path)

    assert message.startswith("config, datasets/tcga/split")


def test_what_is_not_asked_for_needs_nothing(filled, tmp_path):
    sections = {"comparison": {"models": []}, "fimba": {"features": ["random"]},
                "poisoning": {"models": []}, "vae": {"fractions": []}}  # fmt: skip

    expression_configuration.check(changed(filled, sections), tmp_path)


def test_a_model_has_no_name_of_a_folder(filled, tmp_path):
    config = changed(filled, {"run": {"models": ["vae"]}})
    config["models"]["vae"] = config["models"]["random_forest"]

    assert "config, models/vae" in refusal(expression_configuration.check, config, tmp_path)


def test_genes_in_rows_need_a_table_of_samples(filled, tmp_path):
    config = changed(filled, {"datasets": {"tcga": {"format": "csv", "orientation": "genes"}}})
    del config["datasets"]["tcga"]["samples"]

    assert "samples" in refusal(expression_configuration.check, config, tmp_path)
