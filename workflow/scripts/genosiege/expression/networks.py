"""The three networks of expression: made by kind, trained, kept as safetensors."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import torch as safetensors
from scipy.special import expit
from torch import nn

from genosiege import optimisation, runtime
from genosiege.errors import InputError
from genosiege.expression import cnn, model_options, network_training, resnet, vit
from genosiege.expression.models import Model, untrained
from genosiege.expression.network_training import Training
from genosiege.expression.samples import Samples

_N_FEATURES = "n_features"

Architecture = cnn.Architecture | resnet.Architecture | vit.Architecture

_ARCHITECTURES: dict[str, type[Architecture]] = {
    "cnn": cnn.Architecture,
    "resnet": resnet.Architecture,
    "vit": vit.Architecture,
}


@dataclass(frozen=True)
class Options:
    """Sizes of a network and options of its training."""

    architecture: Architecture
    training: Training


class Network(Model):
    """A network on folded samples whose classes weigh the same; see `Options` and `make`."""

    format = "safetensors"
    packages = ("torch", "safetensors")

    def __init__(
        self, kind: str, options: Options, n_features: int, seed: int, threads: int
    ) -> None:
        super().__init__(kind, options, n_features, seed, threads)
        self.device = runtime.device()
        self._module: nn.Module | None = None
        self._found: dict[str, int] = {}

    @property
    def module(self) -> nn.Module:
        """The trained network, (n, p) float32 → (n, 2) logits, on `device`."""
        if self._module is None:
            raise untrained(self.kind)
        return self._module

    def entry(self) -> dict[str, Any]:
        """Give the complete entry: kind, sizes, `training`."""
        options: Options = self.options
        sizes = asdict(options.architecture)
        return {"kind": self.kind, **sizes, "training": asdict(options.training)}

    def _build(self) -> nn.Module:
        sizes = self.options.architecture
        if isinstance(sizes, cnn.Architecture):
            return cnn.Cnn(sizes, self.n_features)
        if isinstance(sizes, resnet.Architecture):
            return resnet.ResNet(sizes, self.n_features)
        return vit.Vit(sizes, self.n_features)

    def _fit(self, train: Samples, dev: Samples) -> None:
        options: Options = self.options
        with optimisation.seeded(runtime.stream(self.seed, self.kind, "weights")):
            module = self._build()
        rng = runtime.stream(self.seed, self.kind, "fit")
        module.to(self.device)
        history = network_training.fit(module, train, dev, options.training, rng)
        self._module = module
        self._found = {
            "best_epoch": network_training.best_epoch(history).epoch,
            "n_epochs": len(history),
        }

    def _positive(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        out = network_training.logits(self.module, values)
        return np.asarray(expit(out[:, 1] - out[:, 0]))

    def facts(self) -> dict[str, Any]:
        """Give the number of parameters, the epoch that was kept and how many there were."""
        return {"n_parameters": sum(p.numel() for p in self.module.parameters()), **self._found}

    def to_bytes(self) -> bytes:
        """Give all parameters and running means as safetensors."""
        # A ResNet's shapes do not tell how many genes it has seen, so that is kept as well.
        state = {**self.module.state_dict(), _N_FEATURES: torch.tensor(self.n_features)}
        return safetensors.save({k: t.detach().cpu().contiguous() for k, t in state.items()})

    def from_bytes(self, content: bytes, facts: Mapping[str, Any]) -> None:
        """Take the tensors that `to_bytes` gave.

        Raises
        ------
        InputError
            If they are damaged, or those of another network.
        """
        with optimisation.seeded(runtime.stream(self.seed, self.kind, "weights")):
            module = self._build()
        try:
            state = safetensors.load(content)
            n_features = state.pop(_N_FEATURES, torch.tensor(0))
            module.load_state_dict(state)
        except SafetensorError as error:
            raise InputError("this is no whole safetensors file; train the model again.") from error
        except RuntimeError as error:
            raise InputError(
                f"the tensors are not those of this {self.kind}; train it again."
            ) from error
        if not torch.equal(n_features, torch.tensor(self.n_features)):
            raise InputError("the network was trained on another number of genes; train it again.")
        found = {name: facts.get(name) for name in ("best_epoch", "n_epochs")}
        self._found = {name: value for name, value in found.items() if type(value) is int}
        self._module = module.to(self.device).eval()


def make(
    kind: str, options: Mapping[str, Any], n_features: int, seed: int, threads: int
) -> Network:
    """Make an untrained network; see `models.create`."""
    sizes = {name: value for name, value in options.items() if name != "training"}
    return Network(
        kind,
        Options(
            architecture=model_options.take(_ARCHITECTURES[kind], sizes, f"models, {kind}"),
            training=model_options.take(
                Training, options.get("training"), f"models, {kind}, training"
            ),
        ),
        n_features,
        seed,
        threads,
    )
