"""DNABERT-2 as an encoder of the registry, and how a small one is trained from scratch."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from genosiege import files
from genosiege.errors import InputError
from genosiege.sequence import classifier
from genosiege.sequence.dnabert2 import Architecture, DnaBert2
from genosiege.sequence.encoders import Location, SequenceModel, seeded
from genosiege.sequence.networks import Classifier, Encoder, Pooled, make_head
from genosiege.sequence.splits import Split
from genosiege.sequence.tokenizer import BpeTokenizer, Tokenizer

log = logging.getLogger(__name__)


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
    generator = _generator()
    if weights:
        network = DnaBert2.from_checkpoint(architecture, location.weights, generator)
    else:
        network = DnaBert2.fresh(architecture, generator)
    return Pooled(network, architecture.hidden_size, "cls")


def pretrain(
    spec: Mapping[str, Any],
    n_classes: int,
    train: Split,
    dev: Split,
    rng: np.random.Generator,
    device: torch.device | None = None,
) -> tuple[DnaBert2, BpeTokenizer]:
    """Train tokenizer and encoder from scratch: supervised, through a head that is thrown away.

    No masked language model comes first: on a few thousand sequences it teaches little. So
    the encoder has seen the labels of the train split, and its epoch was chosen on dev.

    Parameters
    ----------
    spec : mapping
        The catalogue entry with `architecture` and `pretraining`.
    n_classes : int
        Number of classes of the task.
    train, dev : Split
        The tokenizer learns from the train split only.
    rng : numpy.random.Generator
        For weights, order and dropout.
    device : torch.device, optional
        Where to train.

    Returns
    -------
    tuple of DnaBert2 and BpeTokenizer
        The encoder in evaluation mode, and its tokenizer.
    """
    options = {name: value for name, value in spec["pretraining"].items() if name != "seed"}
    training = classifier.Training.from_config(options)
    # A fixed length of training: the encoder is made once, so there is no time to save.
    training = replace(training, patience=training.epochs)
    tokenizer = BpeTokenizer.train(train.sequences, spec["architecture"]["vocab_size"])
    architecture = Architecture(**{**spec["architecture"], "vocab_size": tokenizer.vocab_size})
    with seeded(rng):
        network = DnaBert2.fresh(architecture, _generator())
        head = make_head(architecture.hidden_size, n_classes)
    whole = Classifier(Pooled(network, architecture.hidden_size, "cls"), head, frozen=False)
    model = SequenceModel(tokenizer, whole, n_classes, spec, None)
    log.info("%d tokens, %s", tokenizer.vocab_size, architecture)
    classifier.fit(model, train, dev, training, rng, device)
    return network.eval(), tokenizer


def save(network: DnaBert2, tokenizer: BpeTokenizer, location: Location) -> None:
    """Write weights, sizes and tokenizer as `make` reads them."""
    files.write_tensors(network.state_dict(), location.weights)
    network.architecture.to_json(location.config)
    tokenizer.save(location.tokenizer)


def _generator() -> torch.Generator:
    # Of torch's own state, which `seeded` has set.
    return torch.Generator().manual_seed(int(torch.randint(2**62, ()).item()))


def _required(location: Location | None) -> Location:
    if location is None:
        raise InputError(
            "an encoder of kind dnabert2 needs a checkpoint: give it a source in the catalogue, "
            "or architecture and pretraining."
        )
    return location
