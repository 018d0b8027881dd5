"""Modules that rules name by their kinds, and shards."""

from pathlib import Path

import pytest

from genosiege import code_digest, workflow_code
from genosiege.sequence import encoders


def test_the_registry_of_encoders_is_free_of_its_kinds(repository):
    scripts = repository / "workflow/scripts"
    registry = code_digest.module_file("genosiege.sequence.encoders", scripts)
    assert registry is not None
    kinds = {
        code_digest.module_file(module, scripts)
        for module in workflow_code.ENCODER_MODULES.values()
    }

    assert not kinds & set(code_digest.closure([registry], scripts))


@pytest.mark.parametrize(
    "script", ["tokenize_task", "embed", "evaluate", "attack_shard", "transfer"]
)
@pytest.mark.parametrize("kind", workflow_code.ENCODER_MODULES)
def test_what_only_uses_an_encoder_has_no_code_of_training(repository, script, kind):
    scripts = repository / "workflow/scripts"
    module = code_digest.module_file(workflow_code.ENCODER_MODULES[kind], scripts)
    assert module is not None

    found = code_digest.closure([scripts / f"{script}.py", module], scripts)

    assert not {"pretraining", "classifier"} & {path.stem for path in found}


def used(repository: Path, script: str, module: str) -> set[str]:
    """Name the modules of a job's code, from the package on."""
    root = repository / "workflow/scripts"
    files = code_digest.files_of_job(f"{script} {module}", root)
    return {".".join(path.relative_to(root).with_suffix("").parts) for path in files}


@pytest.mark.parametrize("script", ["train_expression_model", "fimba"])
@pytest.mark.parametrize("kind", workflow_code.MODEL_MODULES)
def test_a_model_of_expression_depends_on_its_own_module_alone(repository, script, kind):
    mine = workflow_code.MODEL_MODULES[kind]
    assert used(repository, script, mine) & set(workflow_code.MODEL_MODULES.values()) == {mine}


@pytest.mark.parametrize("module", workflow_code.FORMAT_MODULES.values())
def test_a_dataset_depends_on_the_reader_of_its_format(repository, module):
    readers = set(workflow_code.FORMAT_MODULES.values())
    found = used(repository, "prepare_expression", module) & readers
    # Toil and GEO are tables of genes, too.
    assert module in found
    assert "genosiege.expression.reading.annotated" not in found - {module}


@pytest.mark.parametrize("script", ["fine_tune", "harden", "embed"])
@pytest.mark.parametrize("kind", workflow_code.ENCODER_MODULES)
def test_training_depends_on_the_module_of_its_kind_alone(repository, script, kind):
    scripts = repository / "workflow/scripts"
    mine = workflow_code.ENCODER_MODULES[kind]
    used = {path.stem for path in code_digest.files_of_job(f"{script} {mine}", scripts)}
    modules = {module.rpartition(".")[2] for module in workflow_code.ENCODER_MODULES.values()}

    assert {script, "encoders", "files"} <= used
    assert used & modules == {mine.rpartition(".")[2]}


def test_kinds_of_encoders_have_the_modules_that_the_registry_imports(repository):
    registry = {kind: f"genosiege.sequence.{name}" for kind, name in encoders.MODULES.items()}

    assert registry == workflow_code.ENCODER_MODULES
    for module in registry.values():
        assert code_digest.module_file(module, repository / "workflow/scripts") is not None


@pytest.mark.parametrize(
    ("sizes", "shard_size", "shards"),
    [
        ([500, None, None], 1000, 1),
        ([1001, None, None], 1000, 2),
        ([None, 47356, None], 1000, 48),
        ([None, 5920, 600], 100, 6),
        ([500, 60, None], 7, 9),
        ([None, None, None], 10, 3),
        ([0], 10, 1),
    ],
)
def test_shards_follow_from_the_smallest_known_size(sizes, shard_size, shards):
    assert workflow_code.shard_count(sizes, shard_size, otherwise=3) == shards


def test_a_kind_names_its_module():
    entries = {"fast": {"kind": "cnn"}, "search": {"kind": "genetic"}}

    assert workflow_code.kind_modules(entries, "fast", "encoder") == ["genosiege.sequence.cnn"]
    assert workflow_code.kind_modules(entries, "search", "attack") == [
        "genosiege.sequence.attacks.genetic"
    ]


def test_the_workflow_knows_the_modules_that_the_registries_import():
    from genosiege.expression import models, reading

    formats = {kind: f"{reading.__name__}.{name}" for kind, name in reading.MODULES.items()}

    assert formats == workflow_code.FORMAT_MODULES
    assert models.MODULES == workflow_code.MODEL_MODULES
