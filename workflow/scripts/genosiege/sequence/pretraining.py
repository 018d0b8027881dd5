"""How a small DNABERT-2 is trained from scratch.

Apart from the encoder itself, so that a change of it leaves what uses an encoder alone.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from genosiege.optimisation import seeded
from genosiege.sequence import classifier
from genosiege.sequence.dnabert2 import Architecture, DnaBert2
from genosiege.sequence.dnabert2_encoder import fresh_generator
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.networks import Classifier, Pooled, make_head
from genosiege.sequence.splits import Split
from genosiege.sequence.tokenizer import BpeTokenizer

log = logging.getLogger(__name__)


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
        network = DnaBert2.fresh(architecture, fresh_generator())
        head = make_head(architecture.hidden_size, n_classes)
    whole = Classifier(Pooled(network, architecture.hidden_size, "cls"), head, frozen=False)
    model = SequenceModel(tokenizer, whole, n_classes, spec, None)
    log.info("%d tokens, %s", tokenizer.vocab_size, architecture)
    classifier.fit(model, train, dev, training, rng, device)
    return network.eval(), tokenizer
