"""The models of expression behind one interface: made, trained, kept and read back.

A kind of model is a module with a function `make`, which gives a `Model`. It is imported by
name, when one is made: a job with a forest loads neither torch nor XGBoost.
"""

import hashlib
import importlib
import importlib.metadata
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genosiege import files
from genosiege.errors import InputError
from genosiege.expression.samples import Samples
from genosiege.kinds.models import MODELS as MODULES


class Model(ABC):
    """A classifier of samples into 0 (normal, healthy) and 1 (tumour, infected).

    Parameters
    ----------
    kind : str
        A key of `kinds.models.MODELS`.
    options : dataclass
        Checked options of that kind.
    n_features : int
        Number of genes, p.
    seed : int
        All draws follow from it.
    threads : int
        Most threads to use; results do not depend on it where the kind allows that.
    """

    format: ClassVar[str]
    """How the weights are kept."""

    packages: ClassVar[tuple[str, ...]]
    """The distributions whose versions belong to the weights."""

    def __init__(self, kind: str, options: Any, n_features: int, seed: int, threads: int) -> None:
        self.kind = kind
        self.options = options
        self.n_features = n_features
        self.seed = seed
        self.threads = threads

    def entry(self) -> dict[str, Any]:
        """Give the complete entry: the kind and all options, as `create` takes them."""
        return {"kind": self.kind, **asdict(self.options)}

    def fit(self, train: Samples, dev: Samples) -> None:
        """Train from scratch, both classes weighing the same.

        Parameters
        ----------
        train : Samples
            With at least one sample of each class.
        dev : Samples
            What decides when to stop, for the kinds that stop early.

        Raises
        ------
        InputError
            If a class has no sample, or the number of genes is another one.
        """
        for name, part in (("train", train), ("dev", dev)):
            if len(part.genes) != self.n_features:
                raise InputError(
                    f"{name} has {len(part.genes)} genes, the model {self.n_features}: train it "
                    "on the data that it was made for."
                )
        if len(np.unique(train.labels)) < 2:
            raise InputError(
                f"training: {len(train)} samples of one class only; add samples of the other."
            )
        if self.needs_dev and not len(dev):
            raise InputError("training: the dev split is empty, but decides when to stop; fill it.")
        self._fit(train, dev)

    def predict_proba(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the probabilities of both classes.

        Parameters
        ----------
        values : ndarray of float32, shape (n, p)
            Scaled expression.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            Each row sums to 1.

        Raises
        ------
        InputError
            If the shape does not fit, a value is not finite or the model is not trained.
        """
        values = np.ascontiguousarray(values, dtype=np.float32)
        if values.ndim != 2 or values.shape[1] != self.n_features:
            raise InputError(
                f"values of shape {values.shape}: the model takes rows of {self.n_features} genes; "
                "give it the data that it was made for."
            )
        if not np.isfinite(values).all():
            raise InputError("expression: a value is missing or infinite; prepare the data again.")
        positive = self._positive(values) if len(values) else np.empty(0)
        return np.stack([1 - positive, positive], axis=1)

    def decide(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """Give the class of the larger probability, 0 in a tie; shape (n,)."""
        return decisions(self.predict_proba(values)[:, 1])

    @property
    def needs_dev(self) -> bool:
        """Whether training looks at the dev split."""
        return True

    @abstractmethod
    def _fit(self, train: Samples, dev: Samples) -> None:
        """Train; see `fit`."""

    @abstractmethod
    def _positive(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the probability of class 1 for checked, contiguous values of n > 0 rows."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Give what training found, for the description: sizes, where it stopped."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """Give the trained weights in `format`; equal models give equal bytes."""

    @abstractmethod
    def from_bytes(self, content: bytes, facts: Mapping[str, Any]) -> None:
        """Take trained weights; refuse what does not fit with an `InputError`."""


def decisions(p_positive: NDArray[np.floating]) -> NDArray[np.int64]:
    """Give the class of the larger probability, 0 in a tie, from that of class 1; shape (n,)."""
    return (np.asarray(p_positive, dtype=np.float64) > 0.5).astype(np.int64)


def untrained(kind: str) -> InputError:
    """Make the error of a model that is used before it is trained."""
    return InputError(f"model {kind}: it is not trained yet; train it or load it first.")


def create(entry: Mapping[str, Any], n_features: int, seed: int, threads: int = 1) -> Model:
    """Make an untrained model.

    Parameters
    ----------
    entry : mapping
        `kind`, and options of that kind, as in the configuration.
    n_features : int
        Number of genes.
    seed : int
        All draws follow from it.
    threads : int
        Most threads to use; the networks take those that torch is bound to.

    Raises
    ------
    InputError
        If there is no such kind or option, or a value is out of range.
    """
    kind = entry.get("kind")
    if kind not in MODULES:
        raise InputError(f'models, kind "{kind}": choose one of {", ".join(MODULES)}.')
    if n_features < 1:
        raise InputError("models: the data have no gene; keep at least one.")
    options = {name: value for name, value in entry.items() if name != "kind"}
    module = importlib.import_module(MODULES[kind])
    model: Model = module.make(kind, options, n_features, seed, threads)
    return model


def fresh(model: Model) -> Model:
    """Make an untrained model with the same options and seed."""
    return create(model.entry(), model.n_features, model.seed, model.threads)


def genes_digest(genes: Sequence[str]) -> str:
    """Digest of the names of genes and their order, in hexadecimal."""
    return hashlib.sha256(json.dumps(list(genes)).encode()).hexdigest()


def save(
    model: Model,
    weights: str | os.PathLike[str],
    description: str | os.PathLike[str],
    genes: Sequence[str],
) -> None:
    """Keep a trained model, without pickle.

    Parameters
    ----------
    model : Model
        Trained.
    weights : path-like
        Takes the weights, in the format of the kind.
    description : path-like
        Takes JSON: kind, format, options, seed, number and digest of the genes, digest of
        the weights, sizes, where training stopped, versions of packages.
    genes : sequence of str, length p
        The genes of the training data, in their order.

    Raises
    ------
    InputError
        If the model is not trained, or the number of genes is another one.
    """
    if len(genes) != model.n_features:
        raise InputError(f"{weights}: {len(genes)} genes for a model of {model.n_features}.")
    content = model.to_bytes()
    with files.whole(weights) as temporary:
        temporary.write_bytes(content)
    files.write_json(
        {
            "kind": model.kind,
            "format": model.format,
            "options": {k: v for k, v in model.entry().items() if k != "kind"},
            "seed": model.seed,
            "n_features": model.n_features,
            "genes_sha256": genes_digest(genes),
            "weights_sha256": hashlib.sha256(content).hexdigest(),
            **model.facts(),
            "packages": {name: importlib.metadata.version(name) for name in model.packages},
        },
        description,
    )


def load(
    weights: str | os.PathLike[str],
    description: str | os.PathLike[str],
    genes: Sequence[str] | None = None,
    threads: int = 1,
) -> Model:
    """Read a model that `save` kept.

    Parameters
    ----------
    weights, description : path-like
        Both files.
    genes : sequence of str, optional
        The genes of the data that the model will see: checked against those it knows.
    threads : int
        As in `create`.

    Raises
    ------
    InputError
        If a file is missing or damaged, or the two, or the genes, do not belong together.
    """
    told = files.read_json(description)
    try:
        entry = {**told["options"], "kind": told["kind"]}
        model = create(entry, told["n_features"], told["seed"], threads)
        known = {name: told[name] for name in ("format", "weights_sha256", "genes_sha256")}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{description}: this does not describe a model ({error}); train it again."
        ) from error
    if known["format"] != model.format:
        raise InputError(
            f'{description}: format "{known["format"]}" of a {model.kind}, which is kept as '
            f"{model.format}; train it again."
        )
    if genes is not None and genes_digest(genes) != known["genes_sha256"]:
        raise InputError(
            f"{weights}: the model was trained on other genes or another order of them; "
            "train it on these data."
        )
    try:
        content = Path(weights).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{weights}: there is no such model; train it first.") from error
    if hashlib.sha256(content).hexdigest() != known["weights_sha256"]:
        raise InputError(
            f"{weights}: the weights are not those that {description} describes; train it again."
        )
    try:
        model.from_bytes(content, told)
    except InputError as error:
        raise InputError(f"{weights}: {error}") from error
    return model
