"""The code that a job runs, as one digest: a parameter of its rule.

A rule names its script and the modules that a registry imports by name; what these import of the
library, directly or not, belongs to it. An edited line reruns the jobs that import it, and no
others; a comment reruns nothing (see `syntax`).
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from genosiege import syntax
from genosiege.errors import InputError

PACKAGE = "genosiege"
KEPT = Path(".snakemake/genosiege.code.json")
"""Where a run keeps what it has read: the code of its jobs, and what spares the next to read it."""


class Code(NamedTuple):
    """What one file says, and the dotted names that it may import."""

    digest: str
    imports: tuple[str, ...]


_Stamp = tuple[int, ...]
_kept: dict[Path, tuple[_Stamp | None, Code]] = {}


def of_job(script: str, modules: Iterable[str], root: Path) -> str:
    """Name the code of a job: a digest, and what it is the digest of.

    Parameters
    ----------
    script : str
        Name of the script, without its ending.
    modules : iterable of str
        Dotted names of modules that it imports by a name from a table; those without a file
        add nothing.
    root : Path
        The folder of the scripts, which holds the package `genosiege`.

    Returns
    -------
    str
        `digest script module module …`; see `files_of_job` for the way back.

    Raises
    ------
    FileNotFoundError
        If there is no such script.
    """
    named = " ".join([script, *modules])
    said = hashlib.sha256()
    for path in files_of_job(named, root):
        said.update(f"{path.relative_to(root).as_posix()} {read(path).digest}\n".encode())
    return f"{said.hexdigest()[:32]} {named}"


def files_of_job(named: str, root: Path) -> list[Path]:
    """List the files of the code that `of_job` names behind its digest, sorted."""
    script, *modules = named.split()
    files = [module_file(module, root) for module in modules]
    return closure([root / f"{script}.py", *filter(None, files)], root)


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
        if path not in found:
            found.add(path)
            waiting.extend(_imported_files(path, root))
    return sorted(found)


def module_file(name: str, root: Path) -> Path | None:
    """Find the file of a dotted module name, or None where there is none."""
    stem = root.joinpath(*name.split("."))
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _imported_files(path: Path, root: Path) -> tuple[Path, ...]:
    """List the library's files that one file imports itself, parents included."""
    files: dict[Path, None] = {}
    inside = path.is_relative_to(root / PACKAGE)
    package = list(path.relative_to(root).parent.parts) if inside else []
    names = [_absolute(name, package) for name in read(path).imports]
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


def _absolute(name: str, package: list[str]) -> str:
    """Give the full name of what is imported, which may begin with points."""
    bare = name.lstrip(".")
    level = len(name) - len(bare)
    return ".".join([*package[: len(package) - level + 1], bare]) if level else name


# What is read -------------------------------------------------------------------------


def read(path: Path) -> Code:
    """Read one file: once in a process, so that a plan holds together while files change."""
    return _read(path)[1]


@cache
def _read(path: Path) -> tuple[_Stamp, Code]:
    found = path.stat()
    # The last is set by the system alone: no copy of times deceives it.
    stamp = (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    kept, code = _kept.get(path, ((), None))
    if code is not None and kept in (stamp, None):
        return stamp, code
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return stamp, Code(syntax.digest(tree), tuple(dict.fromkeys(_imported_names(tree))))


def forget() -> None:
    """Forget what this process has read: what it reads next is what there is then."""
    _kept.clear()
    _read.cache_clear()
    _imported_files.cache_clear()


def _imported_names(tree: ast.AST) -> Iterator[str]:
    """Give every name that an import may load.

    `from a import b` is `a.b`, and `from . import c` is `.c`.
    """
    for node in _nodes_that_run(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            # `b` may be a module or a mere name of `a`: a name has no file and drops out.
            if node.module:
                yield base
            yield from (
                f"{base}.{alias.name}" if node.module else base + alias.name for alias in node.names
            )


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


# What a run keeps ---------------------------------------------------------------------


def recall(root: Path, kept: Path = KEPT, trusting: bool = False) -> None:
    """Take what the last run has read.

    Parameters
    ----------
    root : Path
        The folder of the scripts.
    kept : Path
        What `keep` has written; where it cannot be read, all is read anew.
    trusting : bool
        Whether a file that was written since counts as it was: a job is planned on what its
        call has read. Else it is read anew.
    """
    forget()
    try:
        content = json.loads(kept.read_text(encoding="utf-8"))
        # What another way of reading has found is no answer.
        entries = content["files"] if content["reader"] == _reader() else {}
        for path, (stamp, said, imports) in entries.items():
            code = Code(said, tuple(imports))
            _kept[root / path] = (None if trusting else tuple(stamp), code)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        _kept.clear()


def changed(root: Path) -> list[str]:
    """Name the files that say something else than what was recalled, from the scripts' folder."""
    return [
        path.relative_to(root).as_posix()
        for path in _files(root)
        if path in _kept and read(path).digest != _kept[path][1].digest
    ]


def keep(root: Path, kept: Path = KEPT) -> None:
    """Keep what all files say, as this process has read them."""
    entries = {path.relative_to(root).as_posix(): _read(path) for path in _files(root)}
    found = {path: [stamp, *code] for path, (stamp, code) in entries.items()}
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Not `files.whole`, whose other imports every reading of the rules would wait for.
    temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"reader": _reader(), "files": found}))
    os.replace(temporary, kept)


@cache
def _reader() -> str:
    """Tell this way of reading from others: the digest of what reads."""
    said = hashlib.sha256()
    for path in (__file__, syntax.__file__):
        said.update(Path(path).read_bytes())
    return said.hexdigest()


def _files(root: Path) -> list[Path]:
    return sorted([*root.glob("*.py"), *root.glob(f"{PACKAGE}/**/*.py")])


# What a job checks --------------------------------------------------------------------


def check(code: str, root: Path) -> None:
    """Hold the code that there is against the code that a job was planned on.

    Parameters
    ----------
    code : str
        What `of_job` gave to the plan.
    root : Path
        The folder of the scripts.

    Raises
    ------
    InputError
        If it says something else now.
    """
    recall(root)
    script, *modules = code.split()[1:]
    try:
        if of_job(script, modules, root) == code:
            return
        names = ", ".join(changed(root)) or "the library"
    # In the midst of an edit.
    except (OSError, SyntaxError) as error:
        names = str(error)
    raise InputError(
        f"{names}: this code has changed since the workflow was called, and the job may have "
        "run a part of each; call the workflow again."
    )
