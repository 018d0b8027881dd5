"""DNABERT-2 as an encoder of the registry."""

from collections.abc import Mapping
from typing import Any

import torch

from genosiege import files
from genosiege.errors import InputError
from genosiege.sequence.dnabert2 import Architecture, DnaBert2
from genosiege.sequence.encoders import Location
from genosiege.sequence.networks import Encoder, Pooled
from genosiege.sequence.tokenizer import BpeTokenizer, Tokenizer


def make_tokenizer(spec: Mapping[str, Any], location: Location | None) -> Tokenizer:
    """Read the checkpoint's BPE tokenizer."""
    return BpeTokenizer.load(_required(location).tokenizer)


def make(spec: Mapping[str, Any], location: Location | None, weights: bool) -> Encoder:
    """Make an encoder whose features are the first position of the last hidden state.

    Parameters
    ----------
    spec : mapping
        The catalogue entry; the sizes come from the checkpoint's own configuration.
    location : Location or None
        Where the checkpoint lies.
    weights : bool
        Whether to read the weights; without them they are fresh.

    Raises
    ------
    InputError
        If the checkpoint is missing, damaged, or does not fit its configuration.
    """
    location = _required(location)
    architecture = Architecture.from_json(location.config)
    generator = fresh_generator()
    if weights:
        network = DnaBert2.from_checkpoint(architecture, location.weights, generator)
    else:
        network = DnaBert2.fresh(architecture, generator)
    return Pooled(network, architecture.hidden_size, "cls")


def save(network: DnaBert2, tokenizer: BpeTokenizer, location: Location) -> None:
    """Write weights, sizes and tokenizer as `make` reads them."""
    files.write_tensors(network.state_dict(), location.weights)
    network.architecture.to_json(location.config)
    tokenizer.save(location.tokenizer)


def fresh_generator() -> torch.Generator:
    """Make a generator that follows torch's own state, which `optimisation.seeded` sets."""
    return torch.Generator().manual_seed(int(torch.randint(2**62, ()).item()))


def _required(location: Location | None) -> Location:
    if location is None:
        raise InputError(
            "an encoder of kind dnabert2 needs a checkpoint: give it a source in the catalogue, "
            "or architecture and pretraining."
        )
    return location
