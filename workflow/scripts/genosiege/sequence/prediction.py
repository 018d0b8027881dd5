"""What a model gives for tokenized sequences: features and logits.

Apart from training, so that a change of it makes no features and no attacks again.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.tokenizer import Tokens

log = logging.getLogger(__name__)

Rows = NDArray[np.int64]


def predict(
    model: SequenceModel,
    tokens: Tokens,
    batch_size: int = 128,
    device: torch.device | None = None,
) -> NDArray[np.float32]:
    """Give logits (n, C) of tokenized sequences, in batches of similar length."""
    return _in_batches(model.classifier, model, tokens, batch_size, device)


def encode(
    model: SequenceModel,
    tokens: Tokens,
    batch_size: int = 128,
    device: torch.device | None = None,
) -> NDArray[np.float32]:
    """Give the encoder's features (n, h) of tokenized sequences: what a head is trained on."""
    return _in_batches(model.classifier.encoder, model, tokens, batch_size, device)


def head_logits(model: SequenceModel, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give logits (n, C) of cached features (n, h)."""
    head = model.classifier.head
    with borrowed(head, None) as place, torch.inference_mode():
        logits = head.eval()(torch.from_numpy(features).to(place))
    return np.asarray(logits.float().cpu().numpy())


def _in_batches(
    network: nn.Module,
    model: SequenceModel,
    tokens: Tokens,
    batch_size: int,
    device: torch.device | None,
) -> NDArray[np.float32]:
    order = np.argsort(tokens.lengths, kind="stable")
    parts: list[NDArray[np.float32]] = []
    with borrowed(network, device) as place, torch.inference_mode():
        network.eval()
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            inputs = batch(tokens, rows, model.tokenizer.pad_id, place)
            parts.append(network(*inputs).float().cpu().numpy())
            if start // batch_size % 100 == 99:
                log.info("%d of %d sequences", start + len(rows), len(order))
    result = np.concatenate(parts)
    restored = np.empty_like(result)
    restored[order] = result
    return restored


def batch(
    tokens: Tokens, rows: Rows, pad_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give what a network takes of these rows: ids and attention mask."""
    input_ids, attention_mask = tokens.padded(rows, pad_id)
    return torch.from_numpy(input_ids).to(device), torch.from_numpy(attention_mask).to(device)


@contextmanager
def borrowed(module: nn.Module, device: torch.device | None) -> Iterator[torch.device]:
    """Move a module to a device; give it back where and in the mode in which it was."""
    home = next(module.parameters()).device
    modes = {part: part.training for part in module.modules()}
    try:
        module.to(device or home)
        yield device or home
    finally:
        module.to(home)
        for part, mode in modes.items():
            part.training = mode
