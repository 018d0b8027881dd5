"""A variational autoencoder of expression: its network, what it gives, and its files."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from genosiege import files, runtime
from genosiege.errors import InputError
from genosiege.expression.models import genes_digest
from genosiege.expression.samples import Samples
from genosiege.expression.scaling import LIMIT

OUTPUTS = ("linear", "tanh")
"""What a decoder may end with."""

_FORMAT = "genosiege-vae-1"
_MEAN = "mean_expression"
_ROWS_PER_BATCH = 1024

Values = NDArray[np.float32]


class Network(nn.Module):
    """Encoder and decoder of fully connected layers, tanh between them.

    Parameters
    ----------
    n_genes : int
        Length p of a sample.
    widths : sequence of int
        Hidden layers of the encoder from the input on; the decoder has them in reverse.
    latent : int
        Length of z.
    output : str
        What the decoder ends with: `linear`, or `tanh`, which cannot leave (-1, 1).
    """

    def __init__(self, n_genes: int, widths: Sequence[int], latent: int, output: str) -> None:
        super().__init__()
        self.encoder = _stack([n_genes, *widths])
        self.mean = nn.Linear(widths[-1], latent)
        self.log_variance = nn.Linear(widths[-1], latent)
        last: list[nn.Module] = [nn.Linear(widths[0], n_genes)]
        if output == "tanh":
            last.append(nn.Tanh())
        self.decoder = nn.Sequential(*_stack([latent, *reversed(widths)]), *last)

    def posterior(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give mean and log variance, (n, latent) each, of z given values (n, p)."""
        hidden = self.encoder(values)
        return self.mean(hidden), self.log_variance(hidden)

    def forward(
        self, values: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give reconstruction (n, p), mean and log variance (n, latent).

        `noise` (n, latent) is standard normal: z = mean + exp(log variance / 2) · noise.
        """
        mean, log_variance = self.posterior(values)
        decoded = self.decoder(mean + torch.exp(log_variance / 2) * noise)
        return decoded, mean, log_variance


def _stack(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.Tanh()]
    return nn.Sequential(*layers)


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of N(mean, exp(log variance)) from N(0, 1).

    Parameters
    ----------
    mean, log_variance : Tensor, shape (n, latent)
        Of the posteriors.

    Returns
    -------
    Tensor, shape (n,)
        In nats, summed over the latent dimensions.

    Notes
    -----
    Kingma & Welling (2014), arXiv 1312.6114, appendix B. The published code of FIMBA takes
    σ² + μ² - ln σ - ½, which pulls σ² to ½, not to 1; it is not repeated here.
    """
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1)


@dataclass(frozen=True, eq=False)
class Vae:
    """A trained autoencoder of the samples of one dataset.

    Attributes
    ----------
    network : Network
        In evaluation mode; nothing here draws random numbers.
    genes : tuple of str, length p
        What its inputs are.
    mean_expression : ndarray of float32, shape (p,)
        Mean of the samples it was trained on: what a reconstruction has to beat.
    widths : tuple of int
        Hidden layers of the encoder.
    latent : int
        Length of z.
    output : str
        `linear` or `tanh`.
    """

    network: Network
    genes: tuple[str, ...]
    mean_expression: Values
    widths: tuple[int, ...]
    latent: int
    output: str

    def encode(self, values: Values) -> Values:
        """Give the means (n, latent) of the posteriors of samples (n, p)."""
        with self._working() as place:
            parts = [
                self.network.posterior(torch.from_numpy(part).to(place))[0].cpu().numpy()
                for part in _batches(values, len(self.genes))
            ]
        return np.concatenate([np.empty((0, self.latent), np.float32), *parts])

    def decode(self, latent: Values) -> Values:
        """Give expression (n, p), clipped as prepared data are (±1.5), of points (n, latent)."""
        with self._working() as place:
            parts = [
                self.network.decoder(torch.from_numpy(part).to(place)).cpu().numpy()
                for part in _batches(latent, self.latent)
            ]
        decoded = np.concatenate([np.empty((0, len(self.genes)), np.float32), *parts])
        clipped: Values = decoded.clip(-LIMIT, LIMIT)
        return clipped

    def reconstruct(self, values: Values) -> Values:
        """Give what the posterior means of samples (n, p) decode to, (n, p)."""
        return self.decode(self.encode(values))

    def interpolate(self, values: Values, targets: Values, t: float) -> Values:
        """Decode the point at share `t` of the way from each sample to its target.

        Parameters
        ----------
        values, targets : ndarray of float32, shape (n, p)
            Row by row, a sample and what it is moved to.
        t : float
            0 gives the sample's reconstruction, 1 the target's.

        Returns
        -------
        ndarray of float32, shape (n, p)
            decode((1 - t) · z(sample) + t · z(target)), z the posterior's mean.
        """
        start, end = self.encode(values), self.encode(targets)
        return self.decode(np.float32(1 - t) * start + np.float32(t) * end)

    def check(self, samples: Samples) -> None:
        """Refuse samples of other genes than those it was trained on."""
        if samples.genes != self.genes:
            raise InputError(
                f"VAE of {len(self.genes)} genes, samples of {len(samples.genes)}: these are not "
                "the same genes in the same order; train the VAE on this dataset."
            )

    @contextmanager
    def _working(self) -> Iterator[torch.device]:
        with torch.inference_mode():
            yield next(self.network.parameters()).device


def _batches(rows: Values, width: int) -> list[Values]:
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise InputError(
            f"VAE: values of shape {rows.shape} do not fit; give rows of {width} numbers."
        )
    return [rows[i : i + _ROWS_PER_BATCH] for i in range(0, len(rows), _ROWS_PER_BATCH)]


def reconstruction(vae: Vae, samples: Samples) -> dict[str, float | int]:
    """Measure how well samples are reconstructed.

    Parameters
    ----------
    vae : Vae
        See there.
    samples : Samples
        Of the same genes, at least one.

    Returns
    -------
    dict
        `n`; `mse`, the mean over samples and genes of the squared error of the reconstruction;
        `mse_of_mean`, the same of the mean expression of the VAE's own training samples: a VAE
        that is not below it has learned nothing of use.
    """
    vae.check(samples)
    if not len(samples):
        raise InputError("VAE, reconstruction: there is no sample; give a split that has some.")
    values = samples.values.astype(np.float64)
    return {
        "n": len(samples),
        "mse": float(np.square(vae.reconstruct(samples.values) - values).mean()),
        "mse_of_mean": float(np.square(vae.mean_expression - values).mean()),
    }


def save(
    vae: Vae,
    weights: str | os.PathLike[str],
    description: str | os.PathLike[str],
    report: Mapping[str, Any],
) -> None:
    """Write the weights as safetensors and what they are as JSON.

    Parameters
    ----------
    vae : Vae
        See there.
    weights, description : path-like
        The two files.
    report : mapping
        What else the description says: how it was trained, how it reconstructs.
    """
    tensors = {**vae.network.state_dict(), _MEAN: torch.from_numpy(vae.mean_expression)}
    files.write_tensors(tensors, weights)
    files.write_json(
        {
            "format": _FORMAT,
            "n_features": len(vae.genes),
            "genes_sha256": genes_digest(vae.genes),
            "widths": list(vae.widths),
            "latent": vae.latent,
            "output": vae.output,
            "n_parameters": sum(part.numel() for part in vae.network.parameters()),
            "weights_sha256": files.sha256(weights),
            **report,
        },
        description,
    )


def load(
    weights: str | os.PathLike[str],
    description: str | os.PathLike[str],
    genes: Sequence[str],
) -> Vae:
    """Read what `save` wrote, on the GPU where there is one.

    Parameters
    ----------
    weights, description : path-like
        The two files.
    genes : sequence of str
        Those of the samples it is to be used on.

    Raises
    ------
    InputError
        If a file is missing or damaged, they do not belong together, or the genes are others.
    """
    known = files.read_json(description)
    needed = {"genes_sha256", "weights_sha256", "widths", "latent", "output"}
    if not isinstance(known, dict) or known.get("format") != _FORMAT or needed - set(known):
        raise InputError(f"{description}: this describes no VAE of GenoSiege; train it again.")
    if known["genes_sha256"] != genes_digest(genes):
        raise InputError(f"{description}: this VAE is of other genes; train it on this dataset.")
    tensors = files.read_tensors(weights)
    if known["weights_sha256"] != files.sha256(weights):
        raise InputError(f"{weights}: these are not the weights of {description}; train it again.")
    widths, latent, output = tuple(known["widths"]), known["latent"], known["output"]
    network = Network(len(genes), widths, latent, output)
    mean = tensors.pop(_MEAN, torch.empty(0))
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if {name: tensor.shape for name, tensor in tensors.items()} != expected or mean.shape != (
        len(genes),
    ):
        raise InputError(f"{weights}: these tensors do not fit {description}; train it again.")
    network.load_state_dict(tensors)
    return Vae(
        network.to(runtime.device()).eval(), tuple(genes), mean.numpy(), widths, latent, output
    )
