"""Files that appear whole or not at all."""

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genosiege import calls
from genosiege.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow
    import torch


@contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, and rename it to `path` on success.

    The temporary name is unique for each attempt, since the orphaned child of a
    killed workflow may still be writing its own. Names that killed attempts left behind are
    removed.

    Parameters
    ----------
    path : path-like
        The file to be made; its folder is created.

    Yields
    ------
    Path
        Where to write. It is removed if the block raises.

    Raises
    ------
    InputError
        If a later call of the workflow has begun meanwhile, whose file `path` now is.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    calls.check()
    for path in _left_behind(target):
        path.unlink(missing_ok=True)
    # The ending stays, as some writers choose their format by it.
    temporary = target.with_name(f".{target.stem}.{uuid.uuid4().hex}{target.suffix}")
    try:
        yield temporary
        calls.check()
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _left_behind(target: Path) -> list[Path]:
    """List temporary names of a file, and temporary names of these."""
    name = rf"\.+{re.escape(target.stem)}(\.[0-9a-f]{{32}})+{re.escape(target.suffix)}"
    return [path for path in target.parent.iterdir() if re.fullmatch(name, path.name)]


def write_json(content: Any, path: str | os.PathLike[str]) -> None:
    """Write `content` as indented JSON, keys in the order given."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        If the file is missing or is no JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; make it or correct the path.") from error
    except ValueError as error:
        raise InputError(f"{path}: this is not JSON ({error}); replace the file.") from error


def write_parquet(
    table: "pd.DataFrame",
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a table without its index; `metadata` is kept in the file's schema."""
    import pyarrow
    import pyarrow.parquet

    arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **(metadata or {})})
    with whole(path) as temporary:
        pyarrow.parquet.write_table(arrow, temporary)


def read_parquet(path: str | os.PathLike[str]) -> "pd.DataFrame":
    """Read a table; errors as for `read_table`."""
    table: pd.DataFrame = read_table(path).to_pandas(use_threads=False)
    return table


def read_table(path: str | os.PathLike[str]) -> "pyarrow.Table":
    """Read a parquet file as an Arrow table.

    On this thread alone: one of Arrow's own that still runs when Python ends aborts the process,
    now and then, after all its work is done (github.com/apache/arrow/issues/34314).

    Raises
    ------
    InputError
        If the file is missing or is no parquet.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            return file.read(use_threads=False)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; make it or correct the path.") from error
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path}: this is not a parquet file; remove it and rerun.") from error


def parquet_metadata(path: str | os.PathLike[str], names: Iterable[str]) -> dict[str, str]:
    """Read what `write_parquet` was given as metadata, of these names, as far as it is there."""
    import pyarrow.parquet

    metadata = pyarrow.parquet.read_schema(path).metadata or {}
    return {n: metadata[n.encode()].decode() for n in names if n.encode() in metadata}


def write_tensors(
    tensors: "Mapping[str, torch.Tensor | np.ndarray]",
    path: str | os.PathLike[str],
) -> None:
    """Write named tensors as safetensors, contiguous and on the host."""
    import torch
    from safetensors.torch import save_file

    host = {
        name: torch.as_tensor(tensor).detach().cpu().contiguous()
        for name, tensor in tensors.items()
    }
    with whole(path) as temporary:
        save_file(host, temporary)


def read_tensors(path: str | os.PathLike[str]) -> "dict[str, torch.Tensor]":
    """Read named tensors from a safetensors file.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such checkpoint; make it or correct the path.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(
            f"{path}: this is no whole safetensors file ({error}); remove it and fetch it again."
        ) from error


def write_arrays(
    arrays: "Mapping[str, np.ndarray]",
    path: str | os.PathLike[str],
) -> None:
    """Write named arrays as safetensors, without torch."""
    from safetensors.numpy import save_file

    with whole(path) as temporary:
        save_file(dict(arrays), temporary)


def read_arrays(path: str | os.PathLike[str]) -> "dict[str, np.ndarray]":
    """Read named arrays from a safetensors file, without torch; errors as for `read_tensors`."""
    import safetensors
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; make it or correct the path.") from error
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: this is not a safetensors file; remove it and rerun.") from error


def read_pickled_tensors(
    path: str | os.PathLike[str], name: str | None = None
) -> "dict[str, torch.Tensor]":
    """Read named tensors from a file that `torch.save` wrote, and nothing but tensors.

    Parameters
    ----------
    path : path-like
        The file. It is read with `weights_only=True`: it can run nothing.
    name : str, optional
        What it is called in an error; by default its path.

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds anything else.
    """
    import torch

    name = name or str(path)
    if not Path(path).is_file():
        raise InputError(f"{name}: there is no such checkpoint; make it or correct the path.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # Damage shows as one of many exceptions, according to the byte that is wrong.
    except Exception as error:
        raise InputError(
            f"{name}: this is no whole file of tensors ({_first_line(error)}); replace it, or take "
            "the encoder from another source."
        ) from error
    if not isinstance(content, Mapping) or not all(map(torch.is_tensor, content.values())):
        raise InputError(
            f"{name}: this is no mapping of names to tensors; save the model's state_dict."
        )
    return dict(content)


def sha256(path: str | os.PathLike[str]) -> str:
    """Digest of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:")[:160] if lines else type(error).__name__
