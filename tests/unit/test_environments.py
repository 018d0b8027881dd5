"""One version of each package: the lock file, the environments, what the scripts import."""

import ast
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
import rule_imports
import yaml
from rattler import Channel, MatchSpec, Version, VersionSpec
from rattler.exceptions import InvalidMatchSpecError
from rule_imports import ROOT, SCRIPTS, UNKNOWN, Rule, normal

from genosiege import code_digest, workflow_code

ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
RULES = rule_imports.rules()

# conda-forge's name -> the name on PyPI, where they differ. pytorch-gpu and pytorch-cpu hold
# nothing but the pytorch of their own version.
PYPI = {
    "pytorch": "torch",
    "pytorch-gpu": "torch",
    "pytorch-cpu": "torch",
    "matplotlib-base": "matplotlib",
}
# What no script imports -> why it is in an environment all the same. Neither is on PyPI.
NOT_IMPORTED = {
    "python": "runs the scripts; the lock file is for any Python from 3.11 on",
    "cuda-version": "says for which CUDA pytorch-gpu is taken",
}
# Functions that share their name with one that is called -> why they never run there.
UNCALLED: Mapping[str, Mapping[tuple[str, str], str]] = {
    "sequence": {
        ("genosiege/data/download.py", "fetch"): "an encoder's files come by hub.fetch, no url",
    },
}

of_each_environment = pytest.mark.parametrize(
    "environment", ENVIRONMENTS, ids=lambda path: path.stem
)
of_each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    lines = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): number for name, number in lines}


def pin(dependency: str) -> tuple[str, VersionSpec]:
    """Read conda's name and the versions of a dependency; refuse one that leaves them open."""
    spec = MatchSpec(dependency, strict=True)
    exact = re.fullmatch(r"\d+(\.\d+)+\.\*", str(spec.version))
    narrow = re.fullmatch(r">=\d+(\.\d+)+,<\d+(\.\d+)*", str(spec.version))
    if not exact and not narrow:
        raise ValueError(f"{dependency}: this is neither name=version nor name>=version,<version")
    return spec.name.normalized, VersionSpec(str(spec.version))


def dependencies(environment: Path) -> list[str]:
    return yaml.safe_load(environment.read_text())["dependencies"]


def pins(environment: Path) -> dict[str, VersionSpec]:
    """Map the packages of an environment, as PyPI calls them, to their versions."""
    return {
        normal(PYPI.get(name, name)): number for name, number in map(pin, dependencies(environment))
    }


def needs(rule: Rule) -> dict[str, set[str]]:
    return rule_imports.packages(rule.script, uncalled=UNCALLED.get(rule.environment.stem, {}))


def test_the_lock_pins_every_package_exactly():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    wrong = [
        line
        for line in lines
        if line and not line.startswith("#") and not re.fullmatch(r"[\w.-]+==[\w.]+", line)
    ]

    assert not wrong
    assert not [name for name in locked() if "nvidia" in name]


def test_this_environment_is_the_locked_one():
    different = {
        name: (wanted, version(name))
        for name, wanted in locked().items()
        if version(name).split("+")[0] != wanted
    }

    assert not different


@of_each_environment
def test_an_environment_has_the_lock_files_versions(environment):
    lock = {name: number.partition(".post")[0] for name, number in locked().items()}
    every = pins(environment)
    ours = {name: every[name] for name in every if name not in NOT_IMPORTED}

    assert every["python"] == VersionSpec("3.12.*")
    assert [name for name in ours if not ours[name].matches(Version(lock[name]))] == []


def test_a_range_holds_a_version_as_conda_compares_them():
    spec = pin("transformers>=5.13.1,<5.16")[1]

    assert [spec.matches(Version(v)) for v in ("5.13.1", "5.15.9", "5.13.0", "5.16")] == [
        True, True, False, False
    ]  # fmt: skip


def test_each_pin_stands_in_the_table_of_what_was_seen():
    page = (ROOT / "envs/README.md").read_text()
    seen = dict(re.findall(r"^\| ([\w.-]+) \| `(.+?)` \| .+ \|$", page, flags=re.M))
    written = [one for environment in ENVIRONMENTS for one in dependencies(environment)]

    assert set(written) == {name + version for name, version in seen.items()}


@of_each_environment
def test_an_environment_names_each_package_once_with_one_version(environment):
    named = [pin(dependency)[0] for dependency in dependencies(environment)]

    assert len(pins(environment)) == len(named)


@pytest.mark.parametrize("dependency", ["numpy=>2", "numpy==", "numpy=2..4", "nu mpy=2.4", "=2.4"])
def test_what_is_no_match_spec_is_refused(dependency):
    with pytest.raises(InvalidMatchSpecError):
        pin(dependency)


@pytest.mark.parametrize("dependency", ["numpy", "numpy>=2.4", "numpy<3", "numpy!=2.4.1"])
def test_a_dependency_that_leaves_its_version_open_is_refused(dependency):
    with pytest.raises(ValueError, match="this is neither name=version"):
        pin(dependency)


@of_each_environment
def test_an_environment_uses_the_two_channels_in_this_order(environment):
    channels = yaml.safe_load(environment.read_text())["channels"]

    assert channels == ["conda-forge", "bioconda", "nodefaults"]
    assert [Channel(name).name for name in channels] == channels


@of_each_environment
def test_pytorch_is_built_for_cuda_where_a_rule_takes_a_gpu(environment):
    takes_gpu = any(rule.uses_gpu for rule in RULES if rule.environment == environment)
    named = {pin(dependency)[0] for dependency in dependencies(environment)}

    wanted = {"pytorch-gpu", "cuda-version"} if takes_gpu else set()
    assert named & {"pytorch", "pytorch-cpu", "pytorch-gpu", "cuda-version"} == wanted


def test_every_script_is_a_rules():
    directives = [
        line
        for file in rule_imports.rule_files()
        for line in file.read_text().splitlines()
        if re.match(r"\s+(script|run|notebook|wrapper):", line)
    ]

    assert len(RULES) == len(directives)
    assert {rule.script for rule in RULES} == set(SCRIPTS.glob("*.py"))


@of_each_rule
def test_a_rule_with_a_script_names_its_environment(rule):
    assert rule.environment in ENVIRONMENTS


def test_every_environment_is_used_by_a_rule():
    assert {rule.environment for rule in RULES} == set(ENVIRONMENTS)


@of_each_rule
def test_a_rules_environment_has_what_its_script_imports(rule):
    has = pins(rule.environment)

    assert {name: places for name, places in needs(rule).items() if name not in has} == {}


@of_each_environment
def test_an_environment_has_only_what_its_scripts_import(environment):
    needed = {name for rule in RULES if rule.environment == environment for name in needs(rule)}

    assert set(pins(environment)) - needed <= set(NOT_IMPORTED)


@pytest.mark.parametrize(
    ("environment", "function"),
    [(environment, function) for environment, given in UNCALLED.items() for function in given],
    ids=lambda value: value if isinstance(value, str) else value[1],
)
def test_a_function_is_excepted_only_where_its_imports_are_missing(environment, function):
    path = ROOT / f"envs/{environment}.yaml"
    others = set(UNCALLED[environment]) - {function}
    scripts = {rule.script for rule in RULES if rule.environment == path}
    needed = {name for script in scripts for name in rule_imports.packages(script, uncalled=others)}

    assert needed - set(pins(path))


def test_all_that_is_imported_by_a_name_from_a_table_is_known():
    files = {file for rule in RULES for file in rule_imports.files_of(rule.script)}
    importing = {
        part.file for file in files for part in rule_imports.parts(file) if UNKNOWN in part.imports
    }

    assert importing == set(rule_imports.REGISTRIES)


def named_in_cards(module: str) -> Iterator[str]:
    """Give the packages whose versions a model's card tells: a class lists them as `packages`."""
    tree = ast.parse(code_digest.module_file(module, SCRIPTS).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "packages":
            yield from ast.literal_eval(node.value)


def test_the_packages_in_a_models_card_are_in_its_environment():
    named = {
        name for module in workflow_code.MODEL_MODULES.values() for name in named_in_cards(module)
    }

    assert "scikit-learn" in named
    assert named <= set(pins(ROOT / "envs/expression.yaml"))


# How imports are found ------------------------------------------------------------------

FILES = {
    "genosiege/__init__.py": "",
    "genosiege/shared.py": (
        "from typing import TYPE_CHECKING\n\nimport numpy\n\n"
        "if TYPE_CHECKING:\n    import deap\n\n"
        "def light():\n    import pandas\n    return Frame().show()\n\n"
        "def heavy():\n    import torch\n    getattr(torch, 'later')()\n    return Network()\n\n"
        "def later():\n    import xgboost\n\n"
        "class Frame:\n"
        "    def __init__(self):\n        import pyarrow\n\n"
        "    def show(self):\n        import matplotlib.pyplot\n\n"
        "    def hide(self):\n        import scipy\n\n"
        "class Network(dict):\n"
        "    def forward(self):\n        import shap\n"
    ),
    "genosiege/table.py": (
        "import importlib\n\nNAME = 'genosiege.named'\n\n"
        "def load(kind):\n"
        "    importlib.import_module(NAME)\n"
        "    importlib.import_module('skops.io')\n"
        "    return importlib.import_module(f'genosiege.{kind}').make()\n"
    ),
    "genosiege/named.py": "import h5py\n",
    "genosiege/kind.py": "def make():\n    from sklearn import tree\n",
    "light.py": "from genosiege import shared\n\nshared.light()\n",
    "heavy.py": "from genosiege.shared import heavy as work\n\nwork()\n",
    "loading.py": "from genosiege import table\n\ntable.load('kind')\n",
}
TABLE = {"genosiege/table.py": ["genosiege.kind"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "genosiege").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def found(root: Path, script: str, **options: object) -> set[str]:
    return set(rule_imports.packages(root / script, root, TABLE, **options))


def test_an_import_counts_where_its_function_may_run(root):
    assert found(root, "light.py") == {"numpy", "pandas", "pyarrow", "matplotlib"}
    assert found(root, "heavy.py") == {"numpy", "torch", "shap", "xgboost"}


def test_an_import_by_name_counts_with_the_modules_of_a_table(root):
    assert found(root, "loading.py") == {"h5py", "skops", "scikit-learn"}


def test_an_excepted_function_does_not_run(root):
    uncalled = {("genosiege/shared.py", "light")}

    assert found(root, "light.py", uncalled=uncalled) == {"numpy"}


def test_a_rule_is_read_with_its_script_and_environment(tmp_path):
    (tmp_path / "Snakefile").write_text("rule all:\n    input: []\n")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.smk").write_text(
        "checkpoint one:\n    resources:\n        gpu=1,\n    conda:\n"
        '        "../../envs/a.yaml"\n    script:\n        "../scripts/a.py"\n\n\n'
        'rule two:\n    script:\n        "../scripts/a.py"\n'
    )

    one, two = rule_imports.rules(tmp_path)

    script = tmp_path / "scripts/a.py"
    assert one == Rule("one", script, tmp_path.parent / "envs/a.yaml", uses_gpu=True)
    assert two == Rule("two", script, None, uses_gpu=False)
