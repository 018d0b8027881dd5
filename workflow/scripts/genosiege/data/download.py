"""Bring a task's files and an encoder's files to this machine, checked and whole.

Sources are mappings with a `kind`:

* `huggingface`: repo, revision, path. A file that is in the hub's cache already is taken
  from there. The environment's HF_ENDPOINT and HF_TOKEN count.
* `url`: url, sha256, size (optional).
* `path`: a local file, or a folder for an encoder or of the layout `class_folders`.
  `layout: fasta` makes a table of FASTA, from these three kinds.
* `simulate`: parameters of `simulate.Parameters`, or of `planted.Parameters` with `generator:
  planted`, or an `assay` and those of `simulate_expression`.

`sha256` and `size` are one value, or a mapping by split or file name.
"""

import gzip
import importlib
import logging
import os
import re
import shutil
import uuid
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genosiege import calls, files
from genosiege.data import hub, transfer
from genosiege.errors import InputError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

Source = Mapping[str, Any]

CLASS_FOLDERS = "genosiege.data.class_folders"
"""The module that reads the layout `class_folders`."""
FASTA = "genosiege.data.fasta"
"""The module that reads the layout `fasta`."""

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
CONFIG = "config.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "special_tokens_map.json",
    "merges.txt",
)
ENCODER_FILES = (*WEIGHTS, CONFIG, *TOKENIZER_FILES)


def fetch(
    source: Source,
    name: str,
    target: str | os.PathLike[str],
    rows: int | None = None,
    encoding: str | None = None,
) -> None:
    """Fetch one file of a source.

    Parameters
    ----------
    source : mapping
        Where it comes from; `{split}` in its path or url stands for `name`.
    name : str
        The split, or whatever else tells the source's files apart.
    target : path-like
        The file to be made.
    rows : int or None
        Rows the CSV file must have below its header.
    encoding : str or None
        How FASTA is written, see `tables.Form`; other files are taken as they are.

    Raises
    ------
    InputError
        If the file cannot be had, or is not the one expected. Nothing is left then.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(target) as temporary:
        kind, fasta = source["kind"], source.get("layout") == "fasta"
        if kind == "huggingface":
            path = _filled(source["path"], name)
            where = hub.fetch(source["repo"], path, source["revision"], "dataset", temporary)
        elif kind == "url":
            where = _filled(source["url"], name)
            _from_url(source, name, where, target, temporary)
        elif kind == "path" and source.get("layout") == "class_folders":
            where = f"{source['path']}, {name}"
            # By name, as for the simulation below.
            importlib.import_module(CLASS_FOLDERS).write(source["path"], name, temporary)
        elif kind == "path" and fasta:
            where = _filled(source["path"], name)
            importlib.import_module(FASTA).write(source["path"], name, temporary, encoding)
        elif kind == "path":
            where = _filled(source["path"], name)
            _copy(Path(where), temporary)
        elif kind == "simulate" and "assay" in source:
            where = f"simulated {source['assay']}"
            expression = importlib.import_module("genosiege.data.simulate_expression")
            expression.write(expression.parameters(source), temporary)
        elif kind == "simulate":
            where = f"simulated {name}"
            # By name, so that a change of the simulation refetches nothing else.
            simulate = (
                importlib.import_module("genosiege.data.planted")
                if generator_module(source) == "genosiege.data.planted"
                else importlib.import_module("genosiege.data.simulate")
            )
            simulate.write(simulate.parameters(source), name, temporary)
        else:
            raise InputError(
                f"source kind {kind}: there is no such kind; choose huggingface, url, path or "
                "simulate."
            )
        _check(source, name, where, temporary)
        if fasta and kind != "path":
            with files.whole(temporary) as table:
                importlib.import_module(FASTA).convert(temporary, where, table, encoding)
        if rows is not None:
            _check_rows(where, temporary, rows)
    log.info("%s: fetched from %s", target, where)


def generator_module(source: Source) -> str:
    """Name the module that simulates a task."""
    planted = source.get("generator") == "planted"
    return f"genosiege.data.{'planted' if planted else 'simulate'}"


def local_inputs(source: Source, name: str) -> list[str]:
    """List what a local source's split is made of, as far as it exists.

    Parameters
    ----------
    source : mapping
        Of any kind.
    name : str
        The split.

    Returns
    -------
    list of str
        The file, or the classes' folders, whose time stamps tell when to fetch again.
    """
    if source["kind"] != "path":
        return []
    if source.get("layout") == "class_folders":
        folders = importlib.import_module(CLASS_FOLDERS)
        return [str(path) for path in folders.class_folders(source["path"], name)]
    if source.get("layout") == "fasta":
        fasta = importlib.import_module(FASTA)
        return [path for path, _ in fasta.class_files(source["path"], name)]
    path = _filled(source["path"], name)
    return [path] if Path(path).is_file() else []


def fetch_encoder(source: Source, folder: str | os.PathLike[str]) -> None:
    """Fetch what an encoder is loaded from into a folder.

    Parameters
    ----------
    source : mapping
        Kind `huggingface` (`path`: folder in the repository) or `path` (a local folder).
        `sha256` belongs to the weights, or is a mapping by file name. A weights file that
        is named there is taken before one that is not.
    folder : path-like
        Made with model.safetensors, config.json and those of the tokenizer's files that
        exist; an older one is replaced. Weights in pytorch_model.bin are rewritten.

    Raises
    ------
    InputError
        If weights or configuration are missing, damaged or not the ones expected, or if
        a digest belongs to no file that is fetched.
        Nothing is left then.
    """
    with _whole_folder(Path(folder)) as temporary:
        weights = _first_weights(source, temporary)
        if weights.name != WEIGHTS[0]:
            tensors = files.read_pickled_tensors(weights, f"{_where(source)}, {weights.name}")
            _write_weights(tensors, temporary / WEIGHTS[0])
            weights.unlink()
        _check_safetensors(temporary / WEIGHTS[0], f"{_where(source)}, {WEIGHTS[0]}")
        _encoder_file(source, CONFIG, temporary / CONFIG)
        fetched = {CONFIG, *WEIGHTS}
        for name in TOKENIZER_FILES:
            try:
                _encoder_file(source, name, temporary / name)
                fetched.add(name)
            except transfer.AbsentError:
                log.info("%s: the source has no %s", folder, name)
        _check_pins(source, fetched)
    log.info("%s: fetched", folder)


def _write_weights(tensors: "Mapping[str, torch.Tensor]", path: Path) -> None:
    from safetensors.torch import save_file

    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage().data_ptr()
        # safetensors refuses tied weights, which share memory: each gets its own.
        separate[name] = tensor.clone() if storage in seen else tensor.contiguous()
        seen.add(storage)
    # transformers asks for this mark.
    save_file(separate, path, metadata={"format": "pt"})


def _check_safetensors(path: Path, where: str) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        # Opening reads the header and compares it with the file's length.
        with safe_open(path, framework="numpy") as archive:
            names = list(archive.keys())
    except SafetensorError as error:
        raise InputError(
            f"{where}: this is no whole safetensors file ({error}); replace it, or take the "
            "encoder from another source."
        ) from error
    if not names:
        raise InputError(f"{where}: this file holds no weights; replace it.")


def _first_weights(source: Source, folder: Path) -> Path:
    digests = source.get("sha256")
    pinned = [name for name in WEIGHTS if isinstance(digests, Mapping) and name in digests]
    # Else weights without a digest would slip past the one that was given.
    names = pinned or WEIGHTS
    for name in names:
        try:
            _encoder_file(source, name, folder / name)
        except transfer.AbsentError:
            continue
        return folder / name
    missing = f"neither {' nor '.join(names)}" if len(names) > 1 else f"no {names[0]}"
    raise InputError(f"{_where(source)}: there is {missing} in it; correct the source.")


def _check_pins(source: Source, fetched: Collection[str]) -> None:
    """Refuse a digest that was compared with nothing."""
    digests = source.get("sha256")
    for name in digests if isinstance(digests, Mapping) else ():
        if name not in fetched:
            raise InputError(
                f"{_where(source)}, sha256/{name}: no such file is fetched, so its digest would "
                "not be checked; correct the name or take it away."
            )


def _encoder_file(source: Source, name: str, target: Path) -> None:
    if source["kind"] == "huggingface":
        path = f"{source['path']}/{name}" if source.get("path") else name
        where = hub.fetch(source["repo"], path, source["revision"], "model", target)
    elif source["kind"] == "path":
        where = str(Path(source["path"]) / name)
        _copy(Path(where), target)
    else:
        raise InputError(
            f"source kind {source['kind']}: an encoder comes from huggingface or path."
        )
    digest = source.get("sha256")
    if isinstance(digest, Mapping) or name in WEIGHTS:
        _check(source, name, where, target)


def _where(source: Source) -> str:
    if source["kind"] == "huggingface":
        return f"{source['repo']} at revision {source['revision']}"
    return str(source["path"])


def _filled(template: str, name: str) -> str:
    # Not str.format: other braces in an address are its own.
    return template.replace("{split}", name)


def _named(source: Source, key: str, name: str) -> Any:
    value = source.get(key)
    return value.get(name) if isinstance(value, Mapping) else value


def _check(source: Source, name: str, where: str, path: Path) -> None:
    """Compare a file with what is known of it."""
    digest = _named(source, "sha256", name)
    if digest is not None:
        found = files.sha256(path)
        if found != digest:
            raise _wrong_digest(where, found, digest)


def _check_rows(where: str, path: Path, expected: int) -> None:
    """Refuse a table with other than so many rows below its header."""
    n = max(_count_lines(path, where) - 1, 0)
    if n != expected:
        raise InputError(
            f"{where}: the file has {n} rows, {expected} are expected; correct the source or "
            "`rows`."
        )


def _count_lines(path: Path, where: str) -> int:
    """Count the lines that are not blank of a file, packed or not, whatever ends them."""
    n, rest = 0, b""
    # What UTF-16 leaves of a line's end is no line.
    blank = b"\x00 \t\n"
    with open(path, "rb") as start:
        packed = start.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else open(path, "rb") as handle:
            while chunk := handle.read(1 << 20):
                *lines, rest = (rest + chunk.replace(b"\r", b"\n")).split(b"\n")
                n += sum(1 for line in lines if line.strip(blank))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{where}: the gzip file is cut short or damaged; fetch it anew."
        ) from error
    return n + bool(rest.strip(blank))


def _wrong_digest(where: str, found: str, expected: str) -> InputError:
    return InputError(
        f"{where}: sha256 is {found}, {expected} is expected; "
        "correct the source or its sha256. The file was not kept."
    )


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise transfer.AbsentError(
            f"{source}: there is no such file; supply it or correct the path."
        )
    shutil.copyfile(source, target)


def _from_url(source: Source, name: str, url: str, target: Path, temporary: Path) -> None:
    import pooch

    digest, size = _named(source, "sha256", name), _named(source, "size", name)
    part = target.with_name(f".{target.name}.part")
    downloader = transfer.ResumingDownloader(part, trusted=digest is not None)
    try:
        pooch.retrieve(
            url,
            known_hash=None if digest is None else f"sha256:{digest}",
            fname=temporary.name,
            path=temporary.parent,
            downloader=downloader,
        )
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        found = re.findall(r"[0-9a-f]{64}", str(error))
        raise _wrong_digest(url, found[-1] if found else "another", str(digest)) from error
    if size is not None and temporary.stat().st_size != size:
        raise InputError(
            f"{url}: the file has {temporary.stat().st_size} bytes, {size} are expected; "
            "correct the url or `size`."
        )


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`, and rename it to `folder` on success."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_behind in folder.parent.glob(f".{folder.name}.{'[0-9a-f]' * 32}"):
        shutil.rmtree(left_behind, ignore_errors=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        yield temporary
        calls.check()
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
