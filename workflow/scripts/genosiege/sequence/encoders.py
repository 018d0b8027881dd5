"""The registry of encoders, and the one interface through which a model is made, kept and read.

A kind of encoder is a module of this folder with two functions: `make_tokenizer`, and `make`,
which gives an `Encoder`, or a whole `Classifier` where the checkpoint brings its own head; and a
third one, `position_limit`, where there is a limit. It is imported by name, so that a job depends
on the kind it uses only.
"""

import importlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch

from genosiege import files, runtime
from genosiege.errors import InputError
from genosiege.kinds.encoders import ENCODERS as MODULES
from genosiege.optimisation import seeded
from genosiege.sequence.networks import Classifier, Encoder, make_head
from genosiege.sequence.position_limits import PositionLimit
from genosiege.sequence.tokenizer import Tokenizer

log = logging.getLogger(__name__)

# What of an encoder's configuration decides the meaning of stored weights.
_IDENTITY = ("kind", "frozen", "train", "pooling", "architecture", "tokens", "truth")


class Location(NamedTuple):
    """Where a pretrained encoder lies: its weights, its architecture, its tokenizer."""

    weights: Path
    config: Path
    tokenizer: Path


class _Kind(Protocol):
    """What a kind's module offers."""

    def make_tokenizer(self, spec: Mapping[str, Any], location: Location | None) -> Tokenizer:
        """Make the tokenizer alone."""

    def make(
        self, spec: Mapping[str, Any], location: Location | None, weights: bool
    ) -> Encoder | Classifier:
        """Make the encoder; without `weights` the values may be anything."""


@dataclass
class SequenceModel:
    """A model from strings to logits, in two parts: tokenizer and classifier.

    Attributes
    ----------
    tokenizer : Tokenizer
        Gives token ids; its `pad_id` fills short rows.
    classifier : Classifier
        (input_ids (B, T), attention_mask (B, T)) → logits (B, `n_classes`) float32.
    n_classes : int
        Number of classes.
    spec : mapping
        The encoder's entry in the catalogue.
    encoder_digest : str or None
        SHA-256 of the frozen encoder's weights file; None where nothing is frozen.
    encoder_files : mapping
        SHA-256 of every file of the encoder that the model cannot be read without, by name.
    file : str
        What it was read from, for errors: its own file, or the encoder's where only that was
        read; empty where nothing was.
    """

    tokenizer: Tokenizer
    classifier: Classifier
    n_classes: int
    spec: Mapping[str, Any]
    encoder_digest: str | None
    encoder_files: Mapping[str, str] = field(default_factory=dict)
    file: str = ""

    @property
    def width(self) -> int:
        """Number of features between encoder and head."""
        return int(getattr(self.classifier.encoder, "width", self.n_classes))

    @property
    def frozen(self) -> bool:
        """Whether the encoder's weights never change."""
        return self.classifier.frozen


def keeps_own_head(spec: Mapping[str, Any]) -> bool:
    """Whether the checkpoint's own head is used as it is."""
    return spec.get("train") == "none"


def is_frozen(spec: Mapping[str, Any]) -> bool:
    """Whether the encoder's weights never change, so that models keep their head only."""
    return bool(spec.get("frozen", False)) or keeps_own_head(spec)


def locate(paths: Sequence[str]) -> Location | None:
    """Tell weights, architecture and tokenizer apart among the files of an encoder.

    Parameters
    ----------
    paths : sequence of str
        A folder of a fetched checkpoint; or the weights, architecture and tokenizer files
        of one trained here; or nothing.

    Raises
    ------
    InputError
        If the weights are missing.
    """
    if not paths:
        return None
    if len(paths) == 1:
        folder = Path(paths[0])
        location = Location(
            folder / "model.safetensors", folder / "config.json", folder / "tokenizer.json"
        )
    else:
        location = Location(*(Path(path) for path in paths[:3]))
    if not location.weights.is_file():
        raise InputError(
            f"{location.weights}: there is no such checkpoint; make it or correct the path."
        )
    return location


def _digests(paths: Sequence[str], location: Location | None, frozen: bool) -> dict[str, str]:
    if location is None:
        return {}
    # A fetched tokenizer may be more than one file.
    found = Path(paths[0]).glob("[!.]*") if len(paths) == 1 else iter(location)
    read = [path for path in found if path.suffix in (".json", ".txt") and path.is_file()]
    # Weights that were trained further are in the model's own file.
    return {path.name: files.sha256(path) for path in [*[location.weights] * frozen, *sorted(read)]}


def make_tokenizer(spec: Mapping[str, Any], paths: Sequence[str]) -> Tokenizer:
    """Make an encoder's tokenizer without the encoder; arguments and errors as for `build`."""
    return _module(spec).make_tokenizer(spec, locate(paths))


def position_limit(spec: Mapping[str, Any], paths: Sequence[str]) -> PositionLimit:
    """Tell how many tokens an encoder takes, without its weights; arguments as for `build`."""
    module = _module(spec)
    limit = getattr(module, "position_limit", None)
    # Those of this library count distances, or have no positions.
    return limit(spec, locate(paths)) if limit else PositionLimit(None)


def build(
    spec: Mapping[str, Any],
    paths: Sequence[str],
    n_classes: int,
    rng: np.random.Generator | None = None,
) -> SequenceModel:
    """Make a model whose encoder is as published and whose head, if ours, is fresh.

    Parameters
    ----------
    spec : mapping
        The encoder's entry in the catalogue.
    paths : sequence of str
        See `locate`.
    n_classes : int
        Number of classes of the task.
    rng : numpy.random.Generator, optional
        For the fresh weights; without it they are the same each time.

    Raises
    ------
    InputError
        If the checkpoint is missing, damaged or of another shape, or its own head has
        another number of classes.
    """
    return _assemble(spec, paths, n_classes, rng, weights=True)


def _module(spec: Mapping[str, Any]) -> _Kind:
    kind = str(spec["kind"])
    if kind not in MODULES:
        raise InputError(f'encoder kind "{kind}": choose one of {", ".join(MODULES)}.')
    return cast(_Kind, importlib.import_module(f"genosiege.sequence.{MODULES[kind]}"))


def _assemble(
    spec: Mapping[str, Any],
    paths: Sequence[str],
    n_classes: int,
    rng: np.random.Generator | None,
    weights: bool,
) -> SequenceModel:
    module = _module(spec)
    location = locate(paths)
    frozen = is_frozen(spec)
    with seeded(rng or runtime.stream("encoders", "fresh weights")):
        tokenizer = module.make_tokenizer(spec, location)
        made = module.make(spec, location, weights)
        if isinstance(made, Encoder):
            if frozen and location is None:
                raise InputError(
                    f"encoder kind {spec['kind']}: only a pretrained encoder can be frozen."
                )
            made = Classifier(made, make_head(made.width, n_classes), frozen)
    digests = _digests(paths, location, frozen)
    digest = digests[location.weights.name] if frozen and location is not None else None
    file = str(location.weights) if location is not None else ""
    model = SequenceModel(tokenizer, made.eval(), n_classes, dict(spec), digest, digests, file)
    _check_classes(model, paths)
    return model


def _check_classes(model: SequenceModel, paths: Sequence[str]) -> None:
    own = getattr(model.classifier, "n_classes", model.n_classes)
    if own != model.n_classes:
        raise InputError(
            f"{paths[0]}: its own head has {own} classes, the task has {model.n_classes}; "
            "correct n_classes or train a head of ours."
        )


def count_parameters(model: SequenceModel) -> dict[str, int]:
    """Count weights: `trainable`, `frozen`, `total`."""
    frozen = sum(p.numel() for p in model.classifier.parameters() if not p.requires_grad)
    total = sum(p.numel() for p in model.classifier.parameters())
    return {"trainable": total - frozen, "frozen": frozen, "total": total}


def _description(path: str) -> Path:
    return Path(path).with_name("model.json")


def _kept(model: SequenceModel) -> dict[str, torch.Tensor]:
    prefix = "head." if model.frozen else ""
    state = model.classifier.state_dict()
    # Cloned, since safetensors refuses tensors that share memory (tied weights).
    return {name: state[name].clone() for name in state if name.startswith(prefix)}


def save(model: SequenceModel, path: str, extra: Mapping[str, Any]) -> None:
    """Write the weights to `path` and what they are to `model.json` beside it.

    A frozen encoder stays where it is: only the head is written; otherwise all weights are.
    The encoder's files that are needed to read the model go in with their SHA-256.

    Parameters
    ----------
    model : SequenceModel
        What to keep.
    path : str
        A file named `model.safetensors`.
    extra : mapping
        Further facts for `model.json`: how it was trained.
    """
    files.write_tensors(_kept(model), path)
    description = {
        "n_classes": model.n_classes,
        "width": model.width,
        "encoder": _identity(model.spec),
        "encoder_sha256": model.encoder_digest,
        "encoder_files": dict(model.encoder_files),
        "weights_sha256": files.sha256(path),
        "parameters": count_parameters(model),
        **extra,
    }
    files.write_json(description, _description(path))


def _identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: spec[key] for key in _IDENTITY if spec.get(key) is not None}


def load(path: str, spec: Mapping[str, Any], paths: Sequence[str]) -> SequenceModel:
    """Read a model that `save` wrote; never an untrained one.

    Parameters
    ----------
    path : str
        `model.safetensors`, with `model.json` beside it.
    spec : mapping
        The encoder's entry in the catalogue, as when the model was trained.
    paths : sequence of str
        The encoder's files, see `locate`.

    Raises
    ------
    InputError
        If a file is missing or damaged, or the model was trained on another encoder.
    """
    weights = files.read_tensors(path)
    description = files.read_json(_description(path))
    _check_description(description, path, spec)
    model = _assemble(spec, paths, int(description["n_classes"]), None, weights=is_frozen(spec))
    _check_encoder_files(description["encoder_files"], model.encoder_files, path, paths)
    expected = _kept(model)
    wrong = sorted(
        {name for name in expected if name not in weights}
        | {name for name in weights if name not in expected}
        | {n for n in expected if n in weights and expected[n].shape != weights[n].shape}
    )
    if wrong:
        raise InputError(f"{path}: tensor {wrong[0]} does not fit the encoder; train it again.")
    model.classifier.load_state_dict(weights, strict=False)
    model.classifier.eval()
    model.file = path
    log.info("%s: %s", path, count_parameters(model))
    return model


def _check_encoder_files(
    then: Mapping[str, str], now: Mapping[str, str], path: str, paths: Sequence[str]
) -> None:
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            raise InputError(
                f"{path}: was trained on another encoder than {paths[0]} (SHA-256 of {name} "
                "differs); restore that encoder or train the model again."
            )


def _check_description(description: Any, path: str, spec: Mapping[str, Any]) -> None:
    beside = _description(path)
    needed = ("n_classes", "encoder", "encoder_sha256", "encoder_files", "weights_sha256")
    if not isinstance(description, dict) or any(key not in description for key in needed):
        raise InputError(f"{beside}: this describes no model; train the model again.")
    if files.sha256(path) != description["weights_sha256"]:
        raise InputError(
            f"{path}: its SHA-256 is not the one in {beside}: the file is damaged or from "
            "elsewhere; train the model again."
        )
    if description["encoder"] != _identity(spec):
        raise InputError(
            f"{path}: was trained as {description['encoder']}, the configuration says "
            f"{_identity(spec)}; train the model again."
        )
