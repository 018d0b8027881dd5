"""A random forest of samples, kept with skops."""

import importlib
import importlib.abc
import io
import json
import sys
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.expression import model_options
from genosiege.expression.models import Model, untrained
from genosiege.expression.samples import Samples

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

_SECTION = "models, random_forest"
# The only type beyond those that skops itself trusts: it holds arrays, and runs nothing.
_TRUSTED = ["sklearn.tree._tree.Tree"]
# Rows that one thread takes at a time.
_ROWS = 4096
# The first moment that a zip file can name: equal forests are to give equal files.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ADAPTERS = [f"sklearn.externals.array_api_compat.{name}" for name in ("torch", "cupy", "dask")]


@dataclass(frozen=True)
class Options:
    """Options of a forest, named as in the configuration.

    Attributes
    ----------
    trees : int
        Number of trees.
    max_depth : int or None
        Most splits on the way to a leaf; None for no limit.
    max_features : str, float, int or None
        Genes that a split chooses from: `sqrt`, `log2`, a share (float), a number (int), or
        None for all.
    min_samples_leaf : int
        Fewest training samples in a leaf.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    trees: int = 300
    max_depth: int | None = None
    max_features: str | float | int | None = "sqrt"
    min_samples_leaf: int = 1

    def __post_init__(self) -> None:
        model_options.check_count(_SECTION, "trees", self.trees)
        model_options.check_count(_SECTION, "min_samples_leaf", self.min_samples_leaf)
        if self.max_depth is not None:
            model_options.check_count(_SECTION, "max_depth", self.max_depth)
        chosen = self.max_features
        if isinstance(chosen, str) and chosen not in ("sqrt", "log2"):
            raise InputError(f'{_SECTION}, max_features "{chosen}": choose sqrt or log2.')
        if type(chosen) is float:
            model_options.check_share(_SECTION, "max_features", chosen)
        elif chosen is not None and not isinstance(chosen, str):
            model_options.check_count(_SECTION, "max_features", chosen)


class Forest(Model):
    """A random forest whose classes weigh the same; see `Options` and `make`."""

    format = "skops"
    packages = ("scikit-learn", "skops")

    def __init__(self, options: Options, n_features: int, seed: int, threads: int) -> None:
        super().__init__("random_forest", options, n_features, seed, threads)
        self._estimator: RandomForestClassifier | None = None
        self._shares: list[NDArray[np.float64]] = []

    @property
    def estimator(self) -> "RandomForestClassifier":
        """The trained scikit-learn forest."""
        if self._estimator is None:
            raise untrained(self.kind)
        return self._estimator

    @property
    def needs_dev(self) -> bool:
        """A forest does not stop early."""
        return False

    def _fit(self, train: Samples, dev: Samples) -> None:
        from sklearn.ensemble import RandomForestClassifier

        options: Options = self.options
        forest = RandomForestClassifier(
            options.trees,
            max_depth=options.max_depth,
            max_features=options.max_features,
            min_samples_leaf=options.min_samples_leaf,
            class_weight="balanced",
            random_state=self.seed,
            n_jobs=self.threads,
        )
        # The number of threads belongs to this process, not to what was learnt.
        self._take(forest.fit(train.values, train.labels).set_params(n_jobs=None))

    def _take(self, forest: "RandomForestClassifier") -> None:
        self._estimator = forest
        self._shares = [tree.tree_.value[:, 0, 1].copy() for tree in forest.estimators_]

    def _positive(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        # The mean over trees of the leaves' shares, as `predict_proba` of scikit-learn has it,
        # but always summed in the order of the trees, and without its checks at each call.
        trees = [tree.tree_ for tree in self.estimator.estimators_]

        def mean(start: int) -> NDArray[np.float64]:
            rows = values[start : start + _ROWS]
            total = np.zeros(len(rows))
            for tree, shares in zip(trees, self._shares, strict=True):
                total += shares[tree.apply(rows)]
            return total / len(trees)

        starts = range(0, len(values), _ROWS)
        if self.threads == 1 or len(starts) == 1:
            return np.concatenate([mean(start) for start in starts])
        with ThreadPoolExecutor(self.threads) as pool:
            return np.concatenate(list(pool.map(mean, starts)))

    def facts(self) -> dict[str, Any]:
        """Give the number of trees and of their nodes."""
        return {"n_trees": len(self._shares), "n_nodes": sum(map(len, self._shares))}

    def to_bytes(self) -> bytes:
        """Give the forest as skops writes it, less what differs between equal forests."""
        estimator = self.estimator
        return _canonical(_skops().dumps(estimator))

    def from_bytes(self, content: bytes, facts: Mapping[str, Any]) -> None:
        """Take a forest that `to_bytes` gave.

        Raises
        ------
        InputError
            If it holds any other type, is damaged, or is a forest of other genes or classes.
        """
        skops = _skops()
        try:
            forest = skops.loads(content, trusted=_TRUSTED)
        # Damage shows as one of many exceptions, according to the byte that is wrong.
        except Exception as error:
            first = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise InputError(
                f"this is no forest as skops keeps it ({first}); train it again."
            ) from error
        _check(forest, self.n_features)
        self._take(forest)


def make(kind: str, options: Mapping[str, Any], n_features: int, seed: int, threads: int) -> Forest:
    """Make an untrained forest; see `models.create`."""
    taken = model_options.take(Options, options, _SECTION)
    if type(taken.max_features) is int and taken.max_features > n_features:
        raise InputError(
            f"{_SECTION}, max_features {taken.max_features}: the data have {n_features} genes; "
            "give a smaller number, or null for all."
        )
    return Forest(taken, n_features, seed, threads)


class _Unneeded(importlib.abc.MetaPathFinder):
    """Refuses the adapters of scikit-learn to other array libraries, which import these."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Raise for an adapter; leave any other module to the next finder."""
        if fullname in _ADAPTERS:
            raise ModuleNotFoundError(f"{fullname} is not needed here")


def _skops() -> ModuleType:
    """Import skops, which looks through all of scikit-learn, without loading torch by the way."""
    finder = _Unneeded()
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("skops.io")
    finally:
        sys.meta_path.remove(finder)


def _canonical(archive: bytes) -> bytes:
    """Drop what differs between equal forests: addresses, times, bytes between fields.

    Arrays are named by their order instead of their addresses.
    """
    names: dict[str, str] = {}

    def without_addresses(node: Any) -> Any:
        if isinstance(node, list):
            return [without_addresses(part) for part in node]
        if not isinstance(node, dict):
            return node
        kept = {k: without_addresses(v) for k, v in node.items() if k != "__id__"}
        if isinstance(kept.get("file"), str):
            kept["file"] = names.setdefault(kept["file"], f"{len(names)}.npy")
        return kept

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        schema = json.dumps(without_addresses(json.loads(old.read("schema.json"))))
        for before, after in names.items():
            new.writestr(zipfile.ZipInfo(after, _EPOCH), _blanked(old.read(before)))
        new.writestr(zipfile.ZipInfo("schema.json", _EPOCH), schema)
    return out.getvalue()


def _blanked(npy: bytes) -> bytes:
    """Write an array anew, with zeros between the fields of a node, where memory is left over."""
    array = np.load(io.BytesIO(npy), allow_pickle=False)
    if array.dtype.names is None:
        return npy
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()


def _check(forest: Any, n_features: int) -> None:
    """Refuse a forest that would read outside its arrays, or never end, or mean other classes."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier

    other = InputError("this is no forest of two classes on these genes; train it again.")
    if type(forest) is not RandomForestClassifier:
        raise other
    try:
        sound = list(forest.classes_) == [0, 1] and len(forest.estimators_) > 0
        for tree in forest.estimators_:
            nodes = tree.tree_
            number = np.arange(nodes.node_count)
            inner = nodes.children_left >= 0
            sound &= type(tree) is DecisionTreeClassifier and nodes.n_features == n_features
            sound &= nodes.value.shape == (len(number), 1, 2) and bool((nodes.value >= 0).all())
            sound &= bool((nodes.feature[inner] >= 0).all() and (nodes.feature < n_features).all())
            for children in (nodes.children_left, nodes.children_right):
                # Children stand after their parent, so every way ends at a leaf.
                inside = (children > number) & (children < len(number))
                sound &= bool(np.where(inner, inside, children < 0).all())
    except (AttributeError, TypeError) as error:
        raise other from error
    if not sound:
        raise other
