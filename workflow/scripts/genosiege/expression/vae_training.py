"""Training of the variational autoencoder on a share of the training split."""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.expression.model_options import check_count, check_counts, check_number, take
from genosiege.expression.samples import Samples

if TYPE_CHECKING:
    import torch

    from genosiege.expression.vae import Network, Vae

log = logging.getLogger(__name__)

PUBLISHED_WIDTHS = (2100, 1600, 1200, 800, 512)
"""Hidden layers of the encoder, for `PUBLISHED_GENES` genes."""
PUBLISHED_GENES = 2881
AUTO = "auto"
_OUTPUTS = ("linear", "tanh")


@dataclass(frozen=True)
class Training:
    """Options of one training, named as in the configuration.

    Attributes
    ----------
    widths : tuple of int, or "auto"
        Hidden layers of the encoder from the input on. `auto`: the published ones for the
        published 2,881 genes and more, in proportion below, none narrower than 2 · `latent`.
    latent : int
        Length of z.
    epochs : int
        Passes over the training samples; the best one on dev is kept.
    batch_size : int
        Samples per step. (Not published.)
    learning_rate : float
        Of Adam, constant.
    beta : float
        Weight of the divergence against the squared error.
    output : str
        What the decoder ends with: `linear` (prepared data reach ±1.5), or `tanh` as in the
        published code, which cannot leave (-1, 1).

    Raises
    ------
    InputError
        If a value is out of range.
    """

    widths: tuple[int, ...] | str = PUBLISHED_WIDTHS
    latent: int = 32
    epochs: int = 50
    batch_size: int = 64
    learning_rate: float = 1e-5
    beta: float = 1.0
    output: str = "linear"

    def __post_init__(self) -> None:
        if self.widths != AUTO:
            check_counts("vae", "widths", self.widths)
        for name in ("latent", "epochs", "batch_size"):
            check_count("vae", name, getattr(self, name))
        check_number("vae", "learning_rate", self.learning_rate, above=True)
        check_number("vae", "beta", self.beta, above=False)
        if self.output not in _OUTPUTS:
            raise InputError(f"vae, output {self.output!r}: choose linear or tanh.")

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any] | None) -> "Training":
        """Take the options given, and the defaults for the rest."""
        return take(cls, options, "vae")

    def layers(self, n_genes: int) -> tuple[int, ...]:
        """Give the hidden layers for so many genes."""
        if not isinstance(self.widths, str):
            return self.widths
        scale = min(1.0, n_genes / PUBLISHED_GENES)
        return tuple(max(round(width * scale), 2 * self.latent) for width in PUBLISHED_WIDTHS)


class Epoch(NamedTuple):
    """Losses of one pass, means per sample.

    `train_error` and `dev_error` are squared errors summed over the genes, `…_divergence` is in
    nats; a loss is error + beta · divergence. Those of dev are after the pass, with one fixed draw
    of the noise.
    """

    epoch: int
    train_error: float
    train_divergence: float
    train_loss: float
    dev_error: float
    dev_divergence: float
    dev_loss: float


class Trained(NamedTuple):
    """A VAE, and what its description says of its training beside its shape."""

    vae: "Vae"
    report: dict[str, Any]


def train(train: Samples, dev: Samples, fraction: int, options: Training, seed: int) -> Trained:
    """Train on a stratified share of the training split, for an attacker who knows no more.

    Parameters
    ----------
    train, dev : Samples
        Of the same genes. The same share of dev chooses the epoch, as far as it has one sample.
    fraction : int
        Per cent, 1 to 100. A smaller share is part of a larger one of the same seed.
    options : Training
        See there.
    seed : int
        Whose random streams these are.

    Returns
    -------
    Trained
        The VAE of the epoch with the smallest dev loss (the first of equals), on the GPU where
        there is one.

    Raises
    ------
    InputError
        If the share holds no sample of a class, the splits' genes differ, dev is empty, or the
        loss is no number any more.

    Notes
    -----
    Per sample, the loss is the squared error summed over the genes + beta · the divergence summed
    over z, with one draw of z; a step takes its mean over the batch. FIMBA's code sums over
    the batch, too, which Adam does not notice, and keeps the last epoch.
    """
    from genosiege.expression.vae import Vae

    if train.genes != dev.genes:
        raise InputError("vae: train and dev are of other genes; prepare the data again.")
    known = train.take(share(train.labels, fraction, seed, "train"))
    judges = dev.take(share(dev.labels, fraction, seed, "dev", at_least=1))
    if not len(judges):
        raise InputError("vae: the dev split is empty; change the split's fractions.")
    widths = options.layers(len(train.genes))
    network = _initial(len(train.genes), widths, options, seed).to(runtime.device())
    history = _run(network, known.values, judges.values, options, seed)
    vae = Vae(
        network=network.eval(),
        genes=train.genes,
        mean_expression=known.values.mean(axis=0, dtype=np.float64).astype(np.float32),
        widths=widths,
        latent=options.latent,
        output=options.output,
    )
    report = {
        "options": {**asdict(options), "widths": options.widths},
        "seed": seed,
        "fraction": fraction,
        "n_train": len(known),
        "n_train_positive": int(known.labels.sum()),
        "n_dev": len(judges),
        "best_epoch": min(history, key=lambda epoch: epoch.dev_loss).epoch,
        "history": [epoch._asdict() for epoch in history],
    }
    return Trained(vae, report)


def share(
    labels: NDArray[np.int64], fraction: int, seed: int, split: str, at_least: int = 0
) -> NDArray[np.int64]:
    """Draw a stratified share of a split.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        0 or 1.
    fraction : int
        Per cent, 1 to 100; of each class, that share rounded (a half up).
    seed : int
        Whose stream it is.
    split : str
        Name of the split, for the stream and the error.
    at_least : int
        Take so many of each class that has them, even if the share is less.

    Returns
    -------
    ndarray of int64
        Rows, in order. Those of a smaller fraction are among those of a larger one.

    Raises
    ------
    InputError
        If the fraction is out of range, or no sample of a class is left in it.
    """
    if type(fraction) is not int or not 1 <= fraction <= 100:
        raise InputError(f"vae, fraction {fraction!r}: give per cent, a whole number of 1 to 100.")
    chosen = []
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        n = max((2 * len(rows) * fraction + 100) // 200, at_least)
        if not n:
            raise InputError(
                f"vae, fraction {fraction}: {fraction} % of the {len(rows)} {split} samples of "
                f"class {label} is not one sample; raise the fraction or add samples."
            )
        order = runtime.stream(seed, "vae", f"share of {split}, class {label}").permutation(rows)
        chosen.append(order[:n])
    return np.sort(np.concatenate(chosen))


def _initial(n_genes: int, widths: tuple[int, ...], options: Training, seed: int) -> "Network":
    """Make the untrained network: the same one for every fraction."""
    from genosiege.expression.vae import Network
    from genosiege.optimisation import seeded

    with seeded(runtime.stream(seed, "vae", "initial weights")):
        return Network(n_genes, widths, options.latent, options.output)


def _run(
    network: "Network",
    train: NDArray[np.float32],
    dev: NDArray[np.float32],
    options: Training,
    seed: int,
) -> list[Epoch]:
    """Train, and leave the network in its best state on dev."""
    import torch

    place = next(network.parameters()).device
    known, judges = (torch.from_numpy(part).to(place) for part in (train, dev))
    rng = runtime.stream(seed, "vae", "order and noise")
    dev_noise = _noise(runtime.stream(seed, "vae", "noise on dev"), len(dev), options.latent)
    optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    history: list[Epoch] = []
    best: dict[str, torch.Tensor] = {}
    for epoch in range(1, options.epochs + 1):
        network.train()
        train_error, train_divergence = _pass(network, known, options, rng, optimiser)
        network.eval()
        with torch.inference_mode():
            parts = _losses(network, judges, dev_noise.to(place))
        dev_error, dev_divergence = (float(part.mean()) for part in parts)
        losses = (
            *(train_error, train_divergence, train_error + options.beta * train_divergence),
            *(dev_error, dev_divergence, dev_error + options.beta * dev_divergence),
        )
        if not all(map(math.isfinite, losses)):
            raise InputError(
                f"vae: the loss of epoch {epoch} is no number any more; lower vae: learning_rate."
            )
        if losses[-1] < min((past.dev_loss for past in history), default=math.inf):
            best = {name: t.detach().clone() for name, t in network.state_dict().items()}
        history.append(Epoch(epoch, *losses))
        log.info("epoch %d of %d: loss %.4g, on dev %.4g", epoch, options.epochs, *losses[2::3])
    network.load_state_dict(best)
    return history


def _pass(
    network: "Network",
    values: "torch.Tensor",
    options: Training,
    rng: np.random.Generator,
    optimiser: "torch.optim.Optimizer",
) -> tuple[float, float]:
    """Take one pass over the samples, and give the means of error and divergence in it."""
    import torch

    totals = np.zeros(2)
    order = rng.permutation(len(values))
    for start in range(0, len(order), options.batch_size):
        rows = torch.from_numpy(order[start : start + options.batch_size]).to(values.device)
        noise = _noise(rng, len(rows), options.latent).to(values.device)
        error, divergence = _losses(network, values[rows], noise)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward((error + options.beta * divergence).mean())
        optimiser.step()
        totals += float(error.detach().sum()), float(divergence.detach().sum())
    error_mean, divergence_mean = totals / len(order)
    return float(error_mean), float(divergence_mean)


def _noise(rng: np.random.Generator, n: int, latent: int) -> "torch.Tensor":
    """Draw on the host, so that the noise is the same on every device."""
    import torch

    return torch.from_numpy(rng.standard_normal((n, latent), dtype=np.float32))


def _losses(
    network: "Network", values: "torch.Tensor", noise: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Give squared error, summed over the genes, and divergence of each sample, (n,) each."""
    from genosiege.expression.vae import divergence

    decoded, mean, log_variance = network(values, noise)
    return (decoded - values).square().sum(dim=1), divergence(mean, log_variance)
