"""A Vision Transformer on folded samples: patches of genes that attend to each other."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from genosiege.errors import InputError
from genosiege.expression import model_options
from genosiege.expression.folding import Fold

_SECTION = "models, vit"


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network, named as in the configuration.

    Attributes
    ----------
    patch : int
        Side of a square patch of genes.
    hidden : int
        Width of a token.
    layers : int
        Number of blocks.
    heads : int
        Heads of attention; they share `hidden` evenly.
    mlp : int
        Width of a block's inner layer, over `hidden`.
    dropout : float
        Share that training blanks of what each part of a block adds, in [0, 1).

    Raises
    ------
    InputError
        If a value is out of range.
    """

    patch: int = 4
    hidden: int = 64
    layers: int = 4
    heads: int = 4
    mlp: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("patch", "hidden", "layers", "heads", "mlp"):
            model_options.check_count(_SECTION, name, getattr(self, name))
        model_options.check_dropout(_SECTION, self.dropout)
        if self.hidden % self.heads:
            raise InputError(
                f"{_SECTION}, hidden {self.hidden}: give a multiple of heads, {self.heads}."
            )


class Attention(nn.Module):
    """Scaled dot-product attention with several heads, each token over all.

    Parameters
    ----------
    hidden, heads : int
        As in `Architecture`.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Give for tokens (n, T, h) what each takes from all, (n, T, h)."""
        n, length, hidden = tokens.shape
        parts = self.queries_keys_values(tokens).reshape(n, length, 3, self.heads, -1)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = queries @ keys.transpose(-2, -1) / math.sqrt(hidden // self.heads)
        mixed = scores.softmax(dim=-1) @ values
        out: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(n, length, hidden))
        return out


class Block(nn.Module):
    """Attention, then a network on each token, both on normalised tokens and added to them.

    Parameters
    ----------
    architecture : Architecture
        The sizes.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        self.attention = nn.Sequential(
            nn.LayerNorm(a.hidden), Attention(a.hidden, a.heads), nn.Dropout(a.dropout)
        )
        self.mlp = nn.Sequential(
            nn.LayerNorm(a.hidden),
            nn.Linear(a.hidden, a.mlp * a.hidden),
            nn.GELU(),
            nn.Linear(a.mlp * a.hidden, a.hidden),
            nn.Dropout(a.dropout),
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Give the next tokens (n, T, h)."""
        tokens = tokens + self.attention(tokens)
        out: torch.Tensor = tokens + self.mlp(tokens)
        return out


class Vit(nn.Module):
    """The network: values (n, p) to logits (n, 2), read from the class token.

    Parameters
    ----------
    architecture : Architecture
        Its sizes.
    n_features : int
        Number of genes; the rectangle they fill is padded to whole patches.

    Notes
    -----
    Dosovitskiy et al. (2021), An image is worth 16×16 words, ICLR, equations 1 to 4.
    """

    def __init__(self, architecture: Architecture, n_features: int) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.fold = Fold(n_features, a.patch)
        n_patches = self.fold.grid.rows * self.fold.grid.columns // a.patch**2
        self.embedding = nn.Linear(a.patch**2, a.hidden)
        self.class_token = nn.Parameter(torch.zeros(1, 1, a.hidden))
        self.positions = nn.Parameter(torch.zeros(1, n_patches + 1, a.hidden))
        self.blocks = nn.Sequential(*(Block(a) for _ in range(a.layers)))
        self.norm = nn.LayerNorm(a.hidden)
        self.head = nn.Linear(a.hidden, 2)
        for start in (self.class_token, self.positions):
            nn.init.trunc_normal_(start, std=0.02)

    def patches(self, values: torch.Tensor) -> torch.Tensor:
        """Cut folded values (n, p) into square patches, row by row: (n, T, patch²)."""
        side = self.architecture.patch
        tiles = self.fold(values).unfold(2, side, side).unfold(3, side, side)
        cut: torch.Tensor = tiles.reshape(len(values), -1, side**2)
        return cut

    def classify(self, patches: torch.Tensor) -> torch.Tensor:
        """Give logits (n, 2) of patches (n, T, patch²)."""
        first = self.class_token.expand(len(patches), -1, -1)
        tokens = torch.cat([first, self.embedding(patches)], dim=1) + self.positions
        logits: torch.Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return logits

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Give logits (n, 2) of values (n, p)."""
        return self.classify(self.patches(values))
