"""How networks of both arms are initialised and optimised with torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

_LARGEST_GRADIENT = 1.0


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Make torch's own draws follow `rng` inside the block, and leave its state as it was.

    Initialisers and dropout take no generator, so the global one is borrowed.
    """
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**63)))
        yield


def adamw(
    module: nn.Module, learning_rate: float, weight_decay: float, fused: bool = False
) -> torch.optim.Optimizer:
    """Make AdamW for what of a module can be trained; only matrices are decayed.

    Parameters
    ----------
    module : Module
        Its parameters that take no gradient are left out.
    learning_rate, weight_decay : float
        Of AdamW.
    fused : bool
        One pass over all parameters in a step: faster for many small ones, and rounded otherwise.
    """
    weights = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in weights if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        fused=fused,
    )


def step(loss: torch.Tensor, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Take one step down a scalar loss, the norm of the module's gradient clipped at 1."""
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(module.parameters(), _LARGEST_GRADIENT)
    optimiser.step()
