"""What a rule's script may import, read from its code and the library's, and nothing of it run.

An import inside a function counts where the function may run: where its name is mentioned in what
may run, beginning with what runs at import. Names are compared bare, so a few functions count that
are never called; none is missed, but one that is called by a name put together at run time.
"""

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

from genosiege import code_digest, workflow_code
from genosiege.kinds import detectors

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflow"
SCRIPTS = WORKFLOW / "scripts"

ATTACKS = SCRIPTS / "genosiege/sequence/attacks"
REGISTRIES: Mapping[str, Iterable[str]] = {
    "genosiege/sequence/encoders.py": workflow_code.ENCODER_MODULES.values(),
    "genosiege/sequence/attacks/__init__.py": [
        workflow_code.attack_module(path.stem) for path in ATTACKS.glob("[!_]*.py")
    ],
    "genosiege/expression/models.py": workflow_code.MODEL_MODULES.values(),
    "genosiege/expression/reading/__init__.py": workflow_code.FORMAT_MODULES.values(),
    "genosiege/detection/detectors.py": [
        f"genosiege.detection.{name}" for name in detectors.EXPRESSION.values()
    ],
    "genosiege/detection/sequence_detectors.py": [
        f"genosiege.detection.{name}" for name in detectors.SEQUENCE.values()
    ],
}
"""The files that import modules by a name from a table, and all these modules."""

UNKNOWN = "?"
"""Stands for a module whose name is not in the code that imports it."""


class Rule(NamedTuple):
    """A rule with a script."""

    name: str
    script: Path
    environment: Path | None
    uses_gpu: bool


class Part(NamedTuple):
    """A function, or what runs when a file is imported; that has no name."""

    file: str
    name: str
    owner: str
    """The class of a method."""
    inherits: bool
    """Whether that class has a base."""
    mentions: frozenset[str]
    imports: frozenset[str]


def rules(workflow: Path = WORKFLOW) -> list[Rule]:
    """List all rules and checkpoints that have a script."""
    found = []
    for file in rule_files(workflow):
        # The text before the first rule, then name and body of each.
        texts = re.split(r"^\s*(?:rule|checkpoint)\s+(\w+):", file.read_text(), flags=re.M)
        for name, body in zip(texts[1::2], texts[2::2], strict=True):
            script, environment = (_path(keyword, body, file) for keyword in ("script", "conda"))
            uses_gpu = re.search(r"^\s+gpu=", body, flags=re.M) is not None
            if script:
                found.append(Rule(name, script, environment, uses_gpu))
    return found


def rule_files(workflow: Path = WORKFLOW) -> list[Path]:
    return [workflow / "Snakefile", *sorted(workflow.glob("rules/*.smk"))]


def _path(keyword: str, body: str, file: Path) -> Path | None:
    given = re.search(rf'^\s+{keyword}:\s+"([^"{{}}]+)"', body, flags=re.M)
    return (file.parent / given[1]).resolve() if given else None


def packages(
    script: Path,
    root: Path = SCRIPTS,
    registries: Mapping[str, Iterable[str]] = REGISTRIES,
    uncalled: Collection[tuple[str, str]] = (),
) -> dict[str, set[str]]:
    """Map the packages that a script may import, as PyPI calls them, to the places that do.

    `uncalled` are (file, function) that are mentioned, as it seems, but never called.
    """
    files = files_of(script, root, registries)
    waiting = [part for file in files for part in parts(file, root)]
    waiting = [part for part in waiting if (part.file, part.name) not in uncalled]
    mentioned: set[str] = set()
    found: dict[str, set[str]] = {}
    while running := [part for part in waiting if _may_run(part, mentioned)]:
        waiting = [part for part in waiting if part not in running]
        for part in running:
            mentioned |= part.mentions
            for package in filter(None, map(package_of, part.imports)):
                found.setdefault(package, set()).add(f"{part.file} {part.name}".strip())
    return found


def files_of(
    script: Path, root: Path = SCRIPTS, registries: Mapping[str, Iterable[str]] = REGISTRIES
) -> list[Path]:
    """List a script's files, with every module that one of them imports by name."""
    files: list[Path] = []
    more = code_digest.closure([script], root)
    while files != more:
        files = more
        names = {name for file in files for part in parts(file, root) for name in part.imports}
        names.update(*(registries.get(str(file.relative_to(root)), ()) for file in files))
        ours = [name for name in names if name.split(".")[0] == code_digest.PACKAGE]
        found = filter(None, (code_digest.module_file(name, root) for name in ours))
        more = code_digest.closure([*files, *found], root)
    return files


def _may_run(part: Part, mentioned: set[str]) -> bool:
    # Python calls `__init__` and the like by itself, a base class what it is made for (`forward`).
    by_itself = part.name.startswith("__") or part.inherits
    return not part.name or part.name in mentioned or (by_itself and part.owner in mentioned)


@cache
def _import_names() -> Mapping[str, list[str]]:
    return packages_distributions()


def package_of(module: str) -> str:
    """Name the package of a module; nothing for Python's own modules and the library's."""
    top = module.split(".")[0]
    if top in sys.stdlib_module_names or top in (code_digest.PACKAGE, UNKNOWN):
        return ""
    return normal(_import_names().get(top, [top])[0])


def normal(name: str) -> str:
    """Spell a package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def parts(file: Path, root: Path = SCRIPTS) -> list[Part]:
    """Take a file apart."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    texts = {
        target.id: str(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    at_import: list[ast.AST] = []
    name = str(file.relative_to(root))
    functions: list[Part] = []
    for node in tree.body:
        owner, members, bases = "", [node], []
        if isinstance(node, ast.ClassDef):
            owner, members, bases = node.name, node.body, node.bases
            at_import += [*bases, *node.keywords, *node.decorator_list]
        for member in members:
            if isinstance(member, ast.FunctionDef):
                read = _read(member.body, texts)
                functions.append(Part(name, member.name, owner, bool(bases), *read))
                defaults = [*member.args.defaults, *filter(None, member.args.kw_defaults)]
                at_import += [*member.decorator_list, *defaults]
            else:
                at_import.append(member)
    return [Part(name, "", "", False, *_read(at_import, texts)), *functions]


def _read(
    body: Iterable[ast.AST], texts: Mapping[str, str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Give the names that some code mentions, and the modules that it imports."""
    mentions: set[str] = set()
    imports: set[str] = set()
    for node in _that_run(body):
        if isinstance(node, ast.Name | ast.Attribute):
            if isinstance(node.ctx, ast.Load):
                mentions.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            mentions |= {alias.name for alias in node.names if alias.asname}
            if node.module and not node.level:
                imports.add(node.module)
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            if called in ("importlib.import_module", "import_module", "__import__", "parts.run"):
                imports.add(_text(node.args[0], texts))
            elif called == "getattr":
                mentions.add(_text(node.args[1], texts))
    return frozenset(mentions), frozenset(imports)


def _that_run(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _text(node: ast.expr, texts: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return texts.get(node.id, UNKNOWN) if isinstance(node, ast.Name) else UNKNOWN
