"""One version of each package: the lock file, the environments, the scripts' imports."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from genosiege import workflow_code

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# conda-forge's name -> the name on PyPI, where they differ
PYPI = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
# what is imported -> the package on PyPI that has it, where they differ
PACKAGE = {
    "Bio": "biopython",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(name): version for name, version in pins}


def pins(environment: Path) -> dict[str, str]:
    content = yaml.safe_load(environment.read_text())
    specs = [spec.split("=") for spec in content["dependencies"]]
    return {normal(PYPI.get(name, name)): version for name, version in specs}


def rules() -> list[tuple[str, str]]:
    """Give (environment, script) of every rule that has a script."""
    found = []
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^(?:rule|checkpoint) ", file.read_text(), flags=re.M)[1:]:
            script = re.search(r'script:\s+"\.\./scripts/(\w+)\.py"', rule)
            environment = re.search(r'conda:\s+"\.\./\.\./envs/(\w+)\.yaml"', rule)
            if script:
                assert environment, f"{script[1]}: its rule names no environment"
                found.append((environment[1], script[1]))
    return found


def imported_packages(path: Path) -> set[str]:
    """Name the packages from outside that are imported with a file.

    Imports inside functions stay out: they are there for environments that have less.
    """
    names = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef):
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module)
        waiting.extend(ast.iter_child_nodes(node))
    tops = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"genosiege"}
    return {normal(PACKAGE.get(top, top)) for top in tops}


def files_of(script: str) -> list[Path]:
    """List a script's files, with every kind that a registry among them may import."""
    scripts = ROOT / "workflow/scripts"
    sequence = scripts / "genosiege/sequence"
    files = workflow_code.closure([scripts / f"{script}.py"], scripts)
    if sequence / "encoders.py" in files:
        modules = workflow_code.ENCODER_MODULES.values()
        files += [file for name in modules if (file := workflow_code.module_file(name, scripts))]
    if sequence / "attacks/__init__.py" in files:
        files += (sequence / "attacks").glob("*.py")
    return workflow_code.closure(files, scripts)


def test_the_lock_pins_every_package_exactly():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    wrong = [
        line
        for line in lines
        if line and not line.startswith("#") and not re.fullmatch(r"[\w.-]+==[\w.]+", line)
    ]

    assert not wrong
    assert not [name for name in locked() if "nvidia" in name]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_has_the_lock_files_versions(environment):
    lock = locked()
    ours = pins(environment)

    assert ours.pop("python") == "3.12"
    assert ours == {name: lock.get(name) for name in ours}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_uses_the_two_channels_in_this_order(environment):
    channels = yaml.safe_load(environment.read_text())["channels"]

    assert channels == ["conda-forge", "bioconda", "nodefaults"]


def test_this_environment_is_the_locked_one():
    from importlib.metadata import version

    different = {
        name: (pin, version(name))
        for name, pin in locked().items()
        if version(name).split("+")[0] != pin
    }

    assert not different


def test_every_environment_is_used_by_a_rule():
    assert {path.stem for path in ENVIRONMENTS} == {environment for environment, _ in rules()}


@pytest.mark.parametrize(("environment", "script"), rules())
def test_a_rules_environment_has_what_its_script_imports(environment, script):
    needed = set().union(*(imported_packages(path) for path in files_of(script)))

    assert needed <= set(pins(ROOT / f"envs/{environment}.yaml"))
