"""A small convolutional network on folded samples."""

from dataclasses import dataclass

from torch import nn

from genosiege.expression import model_options
from genosiege.expression.folding import Fold

_SECTION = "models, cnn"


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network, named as in the configuration.

    Attributes
    ----------
    channels : tuple of int
        Width of each convolution; each halves the sides of the picture.
    hidden : int
        Width of the layer before the logits.
    dropout : float
        Share of that layer's inputs that training blanks, in [0, 1).

    Raises
    ------
    InputError
        If a value is out of range.
    """

    channels: tuple[int, ...] = (16, 32, 64)
    hidden: int = 128
    dropout: float = 0.2

    def __post_init__(self) -> None:
        model_options.check_counts(_SECTION, "channels", self.channels)
        model_options.check_count(_SECTION, "hidden", self.hidden)
        model_options.check_dropout(_SECTION, self.dropout)


class Cnn(nn.Sequential):
    """The network: values (n, p) to logits (n, 2).

    The last convolution's cells are kept apart, not averaged: where a gene stands says which
    gene it is.

    Parameters
    ----------
    architecture : Architecture
        Its sizes.
    n_features : int
        Number of genes.
    """

    def __init__(self, architecture: Architecture, n_features: int) -> None:
        a, fold = architecture, Fold(n_features)
        layers: list[nn.Module] = [fold]
        rows, columns = fold.grid
        for before, after in zip((1, *a.channels), a.channels, strict=False):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                # A side of one cell stays as it is.
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            rows, columns = -(-rows // 2), -(-columns // 2)
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Dropout(a.dropout),
            nn.Linear(a.channels[-1] * rows * columns, a.hidden),
            nn.ReLU(),
            nn.Linear(a.hidden, 2),
        )
