"""Which files of the library a script is made of.

A rule takes these files as inputs, so that a changed module reruns what imports it and
nothing else.
"""

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from genosiege.kinds.encoders import ENCODERS
from genosiege.kinds.models import MODELS

PACKAGE = "genosiege"

ENCODER_MODULES = {kind: f"genosiege.sequence.{name}" for kind, name in ENCODERS.items()}
"""The module of each kind of encoder; the registry imports it by name."""

MODEL_MODULES = MODELS
"""The module of each kind of model of expression; it has a function `make`."""

FORMAT_MODULES = {
    "toil": "genosiege.expression.reading.toil",
    "geo_lung": "genosiege.expression.reading.geo_lung",
    "csv": "genosiege.expression.reading.table",
    "h5ad": "genosiege.expression.reading.annotated",
}
"""The reader of each format of expression data."""


TRUTH_MODULES = ["genosiege.data.planted", "genosiege.data.planted_posterior"]
"""What knows the truth of planted tasks; `sequence.known_truth` imports it by name."""


def prefer_in_jobs(scripts: Path) -> None:
    """Put a folder first on the import path of all processes started from now on.

    Snakemake gives the folder of the scripts to its jobs last, after an installed copy of
    the library, but its own environment whole.
    """
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in others if path not in ("", str(scripts))]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(scripts), *kept])


def attack_module(kind: str) -> str:
    """Name the module of a kind of attack; the registry imports it by name."""
    return f"genosiege.sequence.attacks.{kind}"


def closure(starts: Iterable[Path], root: Path) -> list[Path]:
    """Find all files of the library that some files import, directly or not.

    Parameters
    ----------
    starts : iterable of Path
        Scripts or modules to start from; they belong to the answer.
    root : Path
        The folder that holds the package folder `genosiege`.

    Returns
    -------
    list of Path
        Sorted and without repetition. Imports inside functions count, and so does the
        `__init__.py` of every package on the way to a module. Imports under
        `if TYPE_CHECKING:` do not: they never run. Nor do the tables of kinds: they tell a
        job which modules it has, and a rule names those.

    Raises
    ------
    FileNotFoundError
        If one of `starts` does not exist.
    """
    found: set[Path] = set()
    waiting = [Path(start) for start in starts]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting.extend(imported_files(path, root))
    return sorted(found)


def module_file(name: str, root: Path) -> Path | None:
    """Find the file of a dotted module name, or None where there is none."""
    stem = root.joinpath(*name.split("."))
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def imported_files(path: Path, root: Path) -> tuple[Path, ...]:
    """List the library's files that one file imports itself, parents included."""
    files: dict[Path, None] = {}
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    inside = root in path.parents and path.is_relative_to(root / PACKAGE)
    package = list(path.relative_to(root).parent.parts) if inside else []
    names = list(_imported_names(tree, package))
    if inside:
        # A module started from by its path still runs its packages' __init__.py.
        names.append(".".join(path.relative_to(root).with_suffix("").parts))
    for name in names:
        parts = name.split(".")
        if parts[0] != PACKAGE or parts[1:2] == ["kinds"]:
            continue
        for length in range(1, len(parts) + 1):
            file = module_file(".".join(parts[:length]), root)
            if file is not None and file != path:
                files[file] = None
    return tuple(files)


def _imported_names(tree: ast.AST, package: list[str]) -> Iterator[str]:
    """Give every dotted name that an import may load, `from a import b` as `a.b`."""
    for node in _nodes_that_run(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            # `b` may be a module or a mere name of `a`: a name has no file and drops out.
            yield ".".join(base)
            yield from (".".join([*base, alias.name]) for alias in node.names)


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a syntax tree like `ast.walk`, without the bodies of `if TYPE_CHECKING:`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        else:
            # No expression has an import in it.
            waiting.extend(n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.expr))


def shard_count(known_sizes: Iterable[int | None], shard_size: int) -> int:
    """Count the shards of a sample from the configuration alone.

    Parameters
    ----------
    known_sizes : iterable of int or None
        Upper limits of the sample's size; None says nothing. The smallest counts.
    shard_size : int
        Sequences in a shard, at least 1.

    Returns
    -------
    int
        At least 1; 1 where no limit is known.
    """
    limits = [size for size in known_sizes if size is not None]
    if not limits:
        return 1
    return max(1, -(-min(limits) // shard_size))


def kind_modules(entries: Mapping[str, Mapping[str, object]], name: str, what: str) -> list[str]:
    """Name the module that the kind of one catalogue entry adds.

    Parameters
    ----------
    entries : mapping
        The catalogue, `encoders` or `attacks`.
    name : str
        The entry.
    what : str
        "encoder" or "attack".

    Returns
    -------
    list of str
        Dotted module names; a module that does not exist has no file and adds nothing.
    """
    kind = str(entries[name]["kind"])
    return [ENCODER_MODULES[kind] if what == "encoder" else attack_module(kind)]
