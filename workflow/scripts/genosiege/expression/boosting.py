"""Gradient-boosted trees of samples, by XGBoost's own interface and in its own format."""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.expression import model_options
from genosiege.expression.models import Model, untrained
from genosiege.expression.samples import Samples

if TYPE_CHECKING:
    import xgboost

_SECTION = "models, xgboost"


@dataclass(frozen=True)
class Options:
    """Options of boosted trees, named as in the configuration.

    Attributes
    ----------
    trees : int
        Most rounds of boosting, with one tree each.
    max_depth : int
        Most splits on the way to a leaf.
    learning_rate : float
        Share of each tree's answer that is added, in (0, 1].
    subsample, colsample : float
        Shares of the samples and of the genes that each tree sees, in (0, 1].
    patience : int or None
        Rounds without a smaller class-weighted log loss on the dev split after which boosting
        stops; the trees up to the best round are kept. None keeps all trees.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    trees: int = 200
    max_depth: int = 4
    learning_rate: float = 0.1
    subsample: float = 1.0
    colsample: float = 1.0
    patience: int | None = 20

    def __post_init__(self) -> None:
        for name in ("trees", "max_depth"):
            model_options.check_count(_SECTION, name, getattr(self, name))
        for name in ("learning_rate", "subsample", "colsample"):
            model_options.check_share(_SECTION, name, getattr(self, name))
        if self.patience is not None:
            model_options.check_count(_SECTION, "patience", self.patience)


class Boosting(Model):
    """Boosted trees whose classes weigh the same; see `Options` and `make`.

    Trained on a GPU where there is one. They always predict on the CPU, where a few rows
    cost nothing, so that a model's answers are the same on every machine.
    """

    format = "ubj"
    packages = ("xgboost",)

    def __init__(self, options: Options, n_features: int, seed: int, threads: int) -> None:
        super().__init__("xgboost", options, n_features, seed, threads)
        self._booster: xgboost.Booster | None = None
        self.best_iteration: int | None = None

    @property
    def booster(self) -> "xgboost.Booster":
        """The trained booster: the trees up to the best round, and no others."""
        if self._booster is None:
            raise untrained(self.kind)
        return self._booster

    @property
    def needs_dev(self) -> bool:
        """Whether boosting stops early."""
        options: Options = self.options
        return options.patience is not None

    def _fit(self, train: Samples, dev: Samples) -> None:
        import xgboost

        options: Options = self.options
        # Weighs a positive so much that both classes of the training split weigh the same.
        weight = float((train.labels == 0).sum() / (train.labels == 1).sum())
        parameters = {
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "tree_method": "hist",
            "device": "cuda" if _has_cuda() else "cpu",
            "nthread": self.threads,
            "seed": self.seed,
            "max_depth": options.max_depth,
            "learning_rate": options.learning_rate,
            "subsample": options.subsample,
            "colsample_bytree": options.colsample,
            "scale_pos_weight": weight,
        }
        evaluated = []
        if options.patience is not None:
            # The evaluation does not know of `scale_pos_weight`: rows carry it.
            weights = np.where(dev.labels == 1, weight, 1.0)
            evaluated = [(xgboost.DMatrix(dev.values, dev.labels, weight=weights), "dev")]
        booster = xgboost.train(
            parameters,
            xgboost.DMatrix(train.values, train.labels),
            options.trees,
            evals=evaluated,
            early_stopping_rounds=options.patience,
            verbose_eval=False,
        )
        best = options.trees - 1 if options.patience is None else booster.best_iteration
        self._take(booster[: best + 1], best)

    def _take(self, booster: "xgboost.Booster", best_iteration: int) -> None:
        booster.set_attr(best_iteration=None, best_score=None)
        booster.set_param({"device": "cpu", "nthread": self.threads})
        self._booster, self.best_iteration = booster, best_iteration

    def _positive(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(self.booster.inplace_predict(values), dtype=np.float64)

    def facts(self) -> dict[str, Any]:
        """Give the numbers of trees and of nodes, and the best round, counted from 0."""
        trees = self.booster.get_dump()
        return {
            "n_trees": len(trees),
            "n_nodes": sum(tree.count("\n") for tree in trees),
            "best_iteration": self.best_iteration,
        }

    def to_bytes(self) -> bytes:
        """Give the booster as universal binary JSON."""
        return bytes(self.booster.save_raw("ubj"))

    def from_bytes(self, content: bytes, facts: Mapping[str, Any]) -> None:
        """Take a booster that `to_bytes` gave.

        Raises
        ------
        InputError
            If it is damaged, or a booster of other genes or for something else.
        """
        import xgboost

        booster = xgboost.Booster()
        try:
            booster.load_model(bytearray(content))
        except xgboost.core.XGBoostError as error:
            raise InputError(
                "this is no model in XGBoost's binary format; train it again."
            ) from error
        if booster.num_features() != self.n_features:
            raise InputError("this is no model of these genes; train it again.")
        best = facts.get("best_iteration")
        if type(best) is not int or booster.num_boosted_rounds() != best + 1:
            raise InputError("the number of its trees is not the described one; train it again.")
        self._take(booster, best)


def make(
    kind: str, options: Mapping[str, Any], n_features: int, seed: int, threads: int
) -> Boosting:
    """Make untrained boosted trees; see `models.create`."""
    return Boosting(model_options.take(Options, options, _SECTION), n_features, seed, threads)


@cache
def _has_cuda() -> bool:
    """Whether XGBoost was built for CUDA and the driver shows a device; asked without torch."""
    import xgboost

    if not xgboost.build_info().get("USE_CUDA"):
        return False
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return (
        driver.cuInit(0) == 0
        and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
        and count.value > 0
    )
