"""ResNet on folded samples: the published network with one input channel and two classes."""

from dataclasses import dataclass

import torch
from torch import nn

from genosiege.expression import model_options
from genosiege.expression.folding import Fold

_SECTION = "models, resnet"


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network, named as in the configuration; by default those of ResNet-18.

    Attributes
    ----------
    widths : tuple of int
        Channels of each stage; each but the first halves the sides of the picture.
    blocks : tuple of int
        Number of residual blocks of each stage.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        model_options.check_counts(_SECTION, "widths", self.widths)
        model_options.check_counts(_SECTION, "blocks", self.blocks, len(self.widths))


class Block(nn.Module):
    """Two convolutions and a way around them, which is projected where the shape changes.

    Parameters
    ----------
    before, after : int
        Channels.
    stride : int
        Of the first convolution and of the projection.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.around: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.around = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )
        self.relu = nn.ReLU()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Give the next hidden state."""
        out: torch.Tensor = self.relu(self.body(hidden) + self.around(hidden))
        return out


class ResNet(nn.Sequential):
    """The network: values (n, p) to logits (n, 2).

    Parameters
    ----------
    architecture : Architecture
        Its sizes.
    n_features : int
        Number of genes.

    Notes
    -----
    He et al. (2016), Deep residual learning for image recognition, CVPR, table 1, option B,
    with the initialisation of He et al. (2015), Delving deep into rectifiers, ICCV.
    """

    def __init__(self, architecture: Architecture, n_features: int) -> None:
        widths = architecture.widths
        stages: list[nn.Module] = []
        before = widths[0]
        for stage, (width, n_blocks) in enumerate(zip(widths, architecture.blocks, strict=True)):
            for block in range(n_blocks):
                stages.append(Block(before, width, 2 if stage > 0 and block == 0 else 1))
                before = width
        super().__init__(
            Fold(n_features),
            nn.Conv2d(1, widths[0], 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            *stages,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(before, 2),
        )
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
