"""What every classifier is made of: an encoder, a pooling, a head."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from genosiege.errors import InputError


class Encoder(nn.Module):
    """A network from token ids (B, T) and their mask (B, T) to features (B, `width`)."""

    width: int

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give the features; positions where `attention_mask` is False have no influence."""
        raise NotImplementedError

    @property
    def embedding(self) -> nn.Module:
        """The module that makes vectors (B, T, h) of token ids (B, T), called once a forward.

        What gradients are taken of: nothing before it can be differentiated.
        """
        raise NotImplementedError


class OneHot(nn.Module):
    """An embedding without weights: id i becomes the unit vector i, or zeros beyond the last.

    Parameters
    ----------
    n_ids : int
        Number of ids.
    width : int
        Length of a vector; ids from `width` on have none of their own.
    """

    table: torch.Tensor

    def __init__(self, n_ids: int, width: int) -> None:
        super().__init__()
        # A constant: it follows the device and the precision, but is not stored.
        self.register_buffer("table", torch.eye(n_ids, width), persistent=False)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Give unit vectors of shape (..., `width`)."""
        return F.embedding(input_ids, self.table)


class Classifier(nn.Module):
    """An encoder with a head on its features.

    Parameters
    ----------
    encoder : Module
        Gives features of shape (B, width).
    head : Module
        Gives logits of shape (B, C).
    frozen : bool
        Keep the encoder's weights as they are: no gradients, and evaluation mode always.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, frozen: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.frozen = frozen
        if frozen:
            encoder.requires_grad_(False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give logits of shape (B, C), always float32."""
        features = self.encoder(input_ids, attention_mask).float()
        return cast(torch.Tensor, self.head(features))

    @property
    def embedding(self) -> nn.Module:
        """The encoder's embedding of token ids; see `Encoder.embedding`."""
        return cast(Encoder, self.encoder).embedding

    def lower_precision(self, dtype: torch.dtype) -> None:
        """Cast the encoder's weights; the head, which costs nothing, stays in float32."""
        self.encoder.to(dtype)

    def train(self, mode: bool = True) -> "Classifier":
        """Set the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self


class Pooled(Encoder):
    """Features of one vector per sequence, out of a network's last hidden state.

    Parameters
    ----------
    network : Module
        Called with (input_ids, attention_mask); gives hidden states (B, T, width).
    width : int
        Size of a hidden state.
    pooling : str
        `cls` the first position, `last` the last real one, `mean` the mean of the real ones.

    Raises
    ------
    InputError
        If there is no such pooling.
    """

    def __init__(self, network: nn.Module, width: int, pooling: str) -> None:
        super().__init__()
        if pooling not in ("cls", "mean", "last"):
            raise InputError(f'pooling "{pooling}": choose cls, mean or last.')
        self.network = network
        self.width = width
        self.pooling = pooling

    @property
    def embedding(self) -> nn.Module:
        """The network's own embedding of token ids."""
        return cast(nn.Module, self.network.embedding)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give features of shape (B, width)."""
        hidden: torch.Tensor = self.network(input_ids, attention_mask)
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.pooling == "last":
            last = attention_mask.sum(dim=1) - 1
            return hidden[torch.arange(len(hidden), device=hidden.device), last]
        real = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


def make_head(width: int, n_classes: int) -> nn.Sequential:
    """Dropout .1 → Linear(h, h/2) → ReLU → Dropout .1 → Linear(h/2, n_classes)."""
    return nn.Sequential(
        nn.Dropout(0.1),
        nn.Linear(width, width // 2),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(width // 2, n_classes),
    )
