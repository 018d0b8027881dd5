"""The files a script is made of, found by reading its imports."""

from pathlib import Path

import pytest

from genosiege import workflow_code
from genosiege.sequence import encoders

FILES = {
    "genosiege/__init__.py": "",
    "genosiege/alone.py": "import os\n",
    "genosiege/base.py": "",
    "genosiege/deep/__init__.py": "from genosiege import base\n",
    "genosiege/deep/leaf.py": "from . import twin\nfrom ..alone import anything\n",
    "genosiege/deep/twin.py": "",
    "genosiege/late.py": "def f():\n    from genosiege.deep import twin\n    return twin\n",
    "genosiege/typed.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from genosiege import alone\n"
        "else:\n    from genosiege import base\n"
    ),
    "genosiege/ring_a.py": "import genosiege.ring_b\n",
    "genosiege/ring_b.py": "from genosiege import ring_a\n",
    "script.py": "from genosiege.deep import leaf\n",
    "late_script.py": "from genosiege import late\n",
    "typed_script.py": "from genosiege import typed\n",
    "ring_script.py": "from genosiege.ring_a import x\n",
    "plain_script.py": "import json\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def names(root: Path, *starts: str) -> set[str]:
    found = workflow_code.closure([root / start for start in starts], root)
    return {str(path.relative_to(root)) for path in found}


def test_relative_imports_and_package_init_files_are_followed(root):
    assert names(root, "script.py") == {
        "script.py",
        "genosiege/__init__.py",
        "genosiege/deep/__init__.py",  # its own import follows
        "genosiege/base.py",
        "genosiege/deep/leaf.py",
        "genosiege/deep/twin.py",
        "genosiege/alone.py",
    }


def test_an_import_inside_a_function_counts(root):
    assert "genosiege/deep/twin.py" in names(root, "late_script.py")


def test_an_import_for_type_checking_does_not_count_but_its_else_does(root):
    found = names(root, "typed_script.py")

    assert "genosiege/alone.py" not in found
    assert "genosiege/base.py" in found


def test_circular_imports_end(root):
    assert {"genosiege/ring_a.py", "genosiege/ring_b.py"} <= names(root, "ring_script.py")


def test_a_script_without_the_library_is_alone(root):
    assert names(root, "plain_script.py") == {"plain_script.py"}


def test_a_module_to_start_from_brings_its_packages(root):
    assert names(root, "genosiege/deep/twin.py") == {
        "genosiege/deep/twin.py",
        "genosiege/deep/__init__.py",
        "genosiege/base.py",
        "genosiege/__init__.py",
    }


def test_a_start_that_is_missing_is_an_error(root):
    with pytest.raises(FileNotFoundError):
        workflow_code.closure([root / "absent.py"], root)


def test_the_registry_of_encoders_is_free_of_its_kinds(repository):
    scripts = repository / "workflow/scripts"
    registry = workflow_code.module_file("genosiege.sequence.encoders", scripts)
    assert registry is not None
    kinds = {
        workflow_code.module_file(module, scripts)
        for module in workflow_code.ENCODER_MODULES.values()
    }

    assert not kinds & set(workflow_code.closure([registry], scripts))


@pytest.mark.parametrize(
    "script", ["tokenize_task", "embed", "evaluate", "attack_shard", "rescore"]
)
@pytest.mark.parametrize("kind", workflow_code.ENCODER_MODULES)
def test_what_only_uses_an_encoder_has_no_code_of_training(repository, script, kind):
    scripts = repository / "workflow/scripts"
    module = workflow_code.module_file(workflow_code.ENCODER_MODULES[kind], scripts)
    assert module is not None

    found = workflow_code.closure([scripts / f"{script}.py", module], scripts)

    assert not {"pretraining", "classifier"} & {path.stem for path in found}


def test_kinds_of_encoders_have_the_modules_that_the_registry_imports(repository):
    registry = {kind: f"genosiege.sequence.{name}" for kind, name in encoders.MODULES.items()}

    assert registry == workflow_code.ENCODER_MODULES
    for module in registry.values():
        assert workflow_code.module_file(module, repository / "workflow/scripts") is not None


@pytest.mark.parametrize(
    ("sizes", "shard_size", "shards"),
    [
        ([500, None, None], 1000, 1),
        ([1001, None, None], 1000, 2),
        ([None, 47356, None], 1000, 48),
        ([None, 5920, 600], 100, 6),
        ([500, 60, None], 7, 9),
        ([None, None, None], 10, 1),
        ([0], 10, 1),
    ],
)
def test_shards_follow_from_the_smallest_known_size(sizes, shard_size, shards):
    assert workflow_code.shard_count(sizes, shard_size) == shards


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
