"""What a model gives for tokenized sequences: features and logits.

Apart from training, so that a change of it makes no features and no attacks again.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from genosiege.sequence.answers import check_finite
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
    """Give logits (n, C) of tokenized sequences, in batches of similar length; unchecked."""
    return _in_batches(model.classifier, model, tokens, batch_size, device)


def try_out(
    model: SequenceModel,
    sequences: Sequence[str],
    ids: Sequence[str] | None = None,
    device: torch.device | None = None,
) -> None:
    """Ask a model about a few sequences before it is trained further.

    Raises
    ------
    InputError
        If an answer is not finite: else the training would be blamed for it.
    """
    if sequences:
        logits = predict(model, model.tokenizer.encode(sequences), device=device)
        check_finite(logits, model.file, _naming(ids))


def encode(
    model: SequenceModel,
    tokens: Tokens,
    batch_size: int = 128,
    device: torch.device | None = None,
    ids: Sequence[str] | None = None,
) -> NDArray[np.float32]:
    """Give the encoder's features (n, h) of tokenized sequences: what a head is trained on.

    Raises
    ------
    InputError
        If one is not finite; `ids` tell whose.
    """
    features = _in_batches(model.classifier.encoder, model, tokens, batch_size, device)
    check_finite(features, model.file, _naming(ids))
    return features


def head_logits(
    model: SequenceModel, features: NDArray[np.float32], ids: Sequence[str] | None = None
) -> NDArray[np.float32]:
    """Give logits (n, C) of cached features (n, h); errors as for `encode`."""
    head = model.classifier.head
    with borrowed(head, None) as place, torch.inference_mode():
        logits = head.eval()(torch.from_numpy(features).to(place)).float().cpu().numpy()
    check_finite(logits, model.file, _naming(ids))
    return np.asarray(logits)


def _naming(ids: Sequence[str] | None) -> Callable[[int], str]:
    return lambda row: f"number {row + 1}" if ids is None else str(ids[row])


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
