"""Pretrained weights from elsewhere: read without running code, checked by name and shape."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from torch import Tensor

from genosiege import files
from genosiege.errors import InputError


def read(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Read named tensors from a `.safetensors` file, or from a `.bin` that PyTorch wrote.

    Parameters
    ----------
    path : path-like
        The file. A `.bin` is read with `weights_only=True`: it can run nothing.

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds anything but tensors.
    """
    if Path(path).suffix == ".safetensors":
        return files.read_tensors(path)
    return files.read_pickled_tensors(path)


def check(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: str | PathLike[str]
) -> None:
    """Make sure that a checkpoint holds exactly the tensors a model has.

    Parameters
    ----------
    given : mapping of str to Tensor
        What was read from `path`.
    wanted : mapping of str to Tensor
        The model's own; only names and shapes are looked at.
    path : path-like
        For the message.

    Raises
    ------
    InputError
        Naming the first tensor that is missing, of another shape, or unexpected.
    """
    for name, tensor in wanted.items():
        if name not in given:
            raise InputError(
                f"{path}, {name}: this tensor is missing; use a checkpoint of this model."
            )
        if given[name].shape != tensor.shape:
            raise InputError(
                f"{path}, {name}: shape {tuple(given[name].shape)}, expected "
                f"{tuple(tensor.shape)}; use the config.json that belongs to the checkpoint."
            )
    for name in given:
        if name not in wanted:
            raise InputError(
                f"{path}, {name}: this tensor is not part of the model; use another checkpoint."
            )
