"""A residual convolutional network on single nucleotides: the fast baseline.

One-hot input, a convolution wide enough for a core-promoter motif, then residual blocks of
dilated convolutions. It has no pretrained weights; `fine_tune` trains it for each seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from genosiege.errors import InputError
from genosiege.sequence.encoders import Location
from genosiege.sequence.networks import Encoder, OneHot
from genosiege.sequence.tokenizer import CharacterTokenizer, Tokenizer

_BASES = 4
# Width of the first convolution: the longest core-promoter motifs with their flanks.
_MOTIF = 15
# Positions that are pooled into one after it.
_POOL = 4


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network.

    Attributes
    ----------
    channels : int
        Width of every layer.
    blocks : int
        Number of residual blocks; the dilation doubles from one to the next.
    kernel_size : int
        Width of the blocks' convolutions, odd.

    Raises
    ------
    InputError
        If a size is out of range.
    """

    channels: int = 96
    blocks: int = 4
    kernel_size: int = 5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                raise InputError(f"architecture, {field.name} {value!r}: give a positive integer.")
        if self.kernel_size % 2 == 0:
            raise InputError(f"architecture, kernel_size {self.kernel_size}: give an odd number.")


class _Block(nn.Module):
    def __init__(self, channels: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.norm_1 = nn.BatchNorm1d(channels)
        self.conv_1 = nn.Conv1d(
            channels, channels, kernel_size, padding="same", dilation=dilation, bias=False
        )
        self.norm_2 = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(0.1)
        self.conv_2 = nn.Conv1d(channels, channels, kernel_size, padding="same", bias=False)

    def forward(self, hidden: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        # Normalisation and bias make padding non-zero, so it is blanked before each convolution.
        inner = self.conv_1(F.relu(self.norm_1(hidden)) * real)
        inner = self.conv_2(self.dropout(F.relu(self.norm_2(inner))) * real)
        total: torch.Tensor = hidden + inner
        return total


class ResidualCnn(Encoder):
    """The network: ids of nucleotides to features.

    Parameters
    ----------
    architecture : Architecture
        Its sizes.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.width = 2 * a.channels
        self.one_hot = OneHot(_BASES + 1, _BASES)
        self.stem = nn.Conv1d(_BASES, a.channels, _MOTIF, padding="same")
        self.blocks = nn.ModuleList(
            _Block(a.channels, a.kernel_size, 2**i) for i in range(a.blocks)
        )
        self.norm = nn.BatchNorm1d(a.channels)

    @property
    def embedding(self) -> nn.Module:
        """The one-hot code of nucleotides; N and padding are zeros."""
        return self.one_hot

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give features of shape (B, 2 · channels): mean and maximum over positions.

        Parameters
        ----------
        input_ids : Tensor of int, shape (B, T)
            A 0, C 1, G 2, T 3, N and padding 4.
        attention_mask : Tensor of bool, shape (B, T)
            True at real positions.
        """
        one_hot = self.one_hot(input_ids).transpose(1, 2)
        real = attention_mask.unsqueeze(1).to(one_hot.dtype)
        hidden = F.relu(self.stem(one_hot)) * real
        hidden = F.max_pool1d(hidden, _POOL, ceil_mode=True)
        real = F.max_pool1d(real, _POOL, ceil_mode=True)
        for block in self.blocks:
            hidden = block(hidden, real)
        hidden = F.relu(self.norm(hidden)) * real
        mean = hidden.sum(dim=2) / real.sum(dim=2).clamp(min=1)
        # Activations are not negative, so the zeros of padding never win.
        return torch.cat([mean, hidden.amax(dim=2)], dim=1)


def make_tokenizer(spec: Mapping[str, Any], location: Location | None) -> Tokenizer:
    """Make the tokenizer: one token per nucleotide."""
    return CharacterTokenizer()


def make(spec: Mapping[str, Any], location: Location | None, weights: bool) -> Encoder:
    """Make an untrained network; `location` and `weights` play no part."""
    options = spec.get("architecture") or {}
    try:
        return ResidualCnn(Architecture(**options))
    except TypeError as error:
        raise InputError(
            f"architecture of a cnn encoder: {error}; see config/README.md."
        ) from error
