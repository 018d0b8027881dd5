"""How much each feature matters to a model's decision: SHAP, or permutation of a black box."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.expression import judging
from genosiege.expression.fimba import Order, stratified
from genosiege.expression.fimba_options import Fimba
from genosiege.expression.judging import Predictor, Values
from genosiege.expression.samples import Samples

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

METHODS = ("shap", "permutation")
"""What explains a model."""
COLUMNS = ("method", "gene", "importance", "rank", "n_samples", "n_queries")
"""Columns of the table of importances."""

_ROWS = 4096
_CELLS = 16_000_000
_SAMPLES_AT_ONCE = 64


class Explanation(NamedTuple):
    """Importances ≥ 0 of each feature for each sample, (n, p), and what they cost.

    `n_queries` is the number of samples that `predict_proba` was asked about. SHAP looks into
    the model instead and asks nothing.
    """

    values: NDArray[np.float64]
    n_queries: int


class Importances(NamedTuple):
    """The table of global importances, and per method those of each attacked sample, (n, p)."""

    table: "pd.DataFrame"
    per_sample: dict[str, NDArray[np.float32]]


def explain(
    model: Predictor,
    samples: Samples,
    background: Samples | None,
    method: str,
    *,
    seed: int = 0,
    repeats: int = 5,
    gradient_samples: int = 200,
) -> Explanation:
    """Explain the model's decision on each sample.

    Parameters
    ----------
    model : Predictor
        For `shap` a model with `kind` random_forest (and `estimator`) or xgboost (and `booster`),
        a network with `module`, or one with `shap_values(samples, background)` of its own, (n, p);
        for `permutation` any model.
    samples : Samples
        n samples to be explained.
    background : Samples or None
        Training samples that stand for the absence of a feature. Networks need them; a forest
        takes those of its own leaves without them; boosted trees always do. `permutation`
        draws values from them, or without them permutes each feature among `samples`.
    method : str
        `shap` or `permutation`.
    seed : int
        Seed of the run; each sample has a random stream of its own.
    repeats : int
        `permutation`: values put in the place of each feature of each sample.
    gradient_samples : int
        Gradients per sample of a network.

    Returns
    -------
    Explanation
        `shap`: |SHAP values| of the probability of class 1 (forest) or its log odds (others).
        `permutation`: |fall of the true class's probability|, mean over the repeats, when the
        feature takes another sample's value. For a linear model both tend to
        |w| · |x − mean(x)|.

    Raises
    ------
    InputError
        If the method is unknown, no sample is given, or a model cannot be explained so.

    Notes
    -----
    Lundberg et al. (2020), Nat. Mach. Intell. 2, 56–67 (trees); Erion et al. (2021), Nat. Mach.
    Intell. 3, 620–631 (expected gradients); Breiman (2001), Mach. Learn. 45, 5–32 (permutation).
    """
    if method not in METHODS:
        raise InputError(f'importance method "{method}": choose among {", ".join(METHODS)}.')
    if not len(samples):
        raise InputError("importance: there is no sample to explain; give one at least.")
    if method == "permutation":
        return _permutation(model, samples, background, repeats, seed)
    kind = getattr(model, "kind", "")
    if kind == "random_forest":
        return Explanation(_forest(model, samples, background), 0)
    if kind == "xgboost":
        return Explanation(_boosting(model, samples), 0)
    if not _needs_background(model):
        raise InputError(f'importance: SHAP of a model of kind "{kind}"; take permutation.')
    if background is None or not len(background):
        raise InputError("importance: SHAP of a network needs background samples; give some.")
    if hasattr(model, "shap_values"):
        return Explanation(np.abs(model.shap_values(samples, background)), 0)
    return Explanation(_network(model, samples, background, gradient_samples, seed), 0)


def _needs_background(model: Predictor) -> bool:
    return hasattr(model, "module") or hasattr(model, "shap_values")


def ranking(importance: NDArray[np.floating]) -> Order:
    """Order features by falling importance, equal ones as they stand; along the last axis."""
    order: Order = np.argsort(-importance, axis=-1, kind="stable")
    return order


def importances(
    model: Predictor, train: Samples, attacked: Samples, options: Fimba, seed: int
) -> Importances:
    """Explain a model as the options of the attack ask for.

    Parameters
    ----------
    model : Predictor
        A fitted model.
    train : Samples
        The training split: what is explained for a global importance and the background.
    attacked : Samples
        The test samples that `fimba.attacked` drew; explained only for `per_sample`.
    options : Fimba
        Which features and importances, and how many samples.
    seed : int
        Seed of the run.

    Returns
    -------
    Importances
        Table with `COLUMNS`, by method and rank; empty if all features are random. Global
        importance is the mean over the explained training samples.
    """
    import pandas as pd

    explained = train.take(_drawn(train, options.explain_samples, seed, "explain_samples"))
    background = train.take(_drawn(train, options.background_samples, seed, "background"))
    looked_into = background if _needs_background(model) else None
    settings: dict[str, Any] = {
        "seed": seed,
        "repeats": options.permutation_repeats,
        "gradient_samples": options.gradient_samples,
    }
    tables, per_sample = [], {}
    for method in (method for method in METHODS if method in options.features):
        others = looked_into if method == "shap" else None
        found = explain(model, explained, others, method, **settings)
        tables.append(_table(method, found, train.genes))
        if "per_sample" in options.importance:
            others = looked_into if method == "shap" else background
            own = explain(model, attacked, others, method, **settings)
            log.info("%s, per sample: %d queries", method, own.n_queries)
            per_sample[method] = own.values.astype(np.float32)
    empty = pd.DataFrame({name: [] for name in COLUMNS})
    table = pd.concat(tables, ignore_index=True) if tables else empty
    return Importances(table, per_sample)


def rankings(
    table: "pd.DataFrame",
    per_sample: Mapping[str, NDArray[np.float32]],
    genes: tuple[str, ...],
) -> dict[tuple[str, str], Order]:
    """Turn importances, as `importances` gave them, into the orders that `fimba.attack` takes.

    Parameters
    ----------
    table : DataFrame
        Columns method, gene, rank.
    per_sample : mapping of str to ndarray, shape (n, p)
        Importances for each attacked sample by method; may be empty.
    genes : tuple of str, length p
        The features in their order.

    Returns
    -------
    dict of (features, importance) to ndarray of int
        (p,) for `global`, (n, p) for `per_sample`.

    Raises
    ------
    InputError
        If the genes of a method are not those given.
    """
    column = {gene: number for number, gene in enumerate(genes)}
    found: dict[tuple[str, str], Order] = {}
    for method, rows in table.groupby("method"):
        listed = rows.sort_values("rank")["gene"].tolist()
        if sorted(listed) != sorted(genes):
            raise InputError(f"importance, {method}: its genes are not the model's; explain again.")
        order = np.array([column[gene] for gene in listed], dtype=np.intp)
        found[str(method), "global"] = order
    for method, values in per_sample.items():
        found[method, "per_sample"] = ranking(values)
    return found


def _drawn(train: Samples, n: int, seed: int, purpose: str) -> Order:
    return stratified(train.labels, n, runtime.stream(seed, purpose))


def _table(method: str, explanation: Explanation, genes: tuple[str, ...]) -> "pd.DataFrame":
    import pandas as pd

    mean = explanation.values.mean(axis=0)
    order = ranking(mean)
    return pd.DataFrame(
        {
            "method": method,
            "gene": [genes[column] for column in order],
            "importance": mean[order],
            "rank": np.arange(1, len(order) + 1),
            "n_samples": len(explanation.values),
            "n_queries": explanation.n_queries,
        }
    )


def _blocks(n: int, size: int, what: str) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, start + size)
        log.info("%s: %d of %d", what, min(start + size, n), n)


def _forest(model: Any, samples: Samples, background: Samples | None) -> NDArray[np.float64]:
    import shap

    explainer = (
        shap.TreeExplainer(model.estimator, feature_perturbation="tree_path_dependent")
        if background is None
        else shap.TreeExplainer(
            model.estimator, background.values, feature_perturbation="interventional"
        )
    )
    found = np.empty(samples.values.shape)
    for part in _blocks(len(samples), _SAMPLES_AT_ONCE, "SHAP of the forest, samples"):
        # The sums are checked against the forest's output: a version of scikit-learn that
        # keeps its trees otherwise would be noticed.
        values = explainer.shap_values(samples.values[part], check_additivity=True)
        found[part] = np.abs(np.asarray(values)[..., 1])
    return found


def _boosting(model: Any, samples: Samples) -> NDArray[np.float64]:
    import xgboost

    booster = model.booster
    # What predicts are the trees up to the best one, where training stopped early.
    best = booster.attr("best_iteration")
    trees = (0, 0 if best is None else int(best) + 1)
    found = np.empty(samples.values.shape)
    for part in _blocks(len(samples), _ROWS, "contributions of the boosted trees, samples"):
        data = xgboost.DMatrix(samples.values[part], feature_names=booster.feature_names)
        contributions = booster.predict(data, pred_contribs=True, iteration_range=trees)
        found[part] = np.abs(contributions[:, :-1])
    return found


def _network(
    model: Any, samples: Samples, background: Samples, gradient_samples: int, seed: int
) -> NDArray[np.float64]:
    import shap
    import torch

    module: torch.nn.Module = model.module
    place = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
    training = module.training

    class Margin(torch.nn.Module):
        """Log odds of class 1, (n, 1): the difference of the two logits."""

        def __init__(self) -> None:
            super().__init__()
            self.classifier = module

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.classifier(values)
            return logits[:, 1:] - logits[:, :1]

    found = np.empty(samples.values.shape)
    try:
        with _legacy_state_kept():
            explainer = shap.GradientExplainer(
                Margin(), torch.from_numpy(background.values).to(place)
            )
            for row, name in enumerate(samples.ids.tolist()):
                # One by one, with a seed of its own: no sample depends on which others are there.
                own = int(runtime.stream(seed, name, "gradients").integers(2**31))
                one = torch.from_numpy(samples.values[row : row + 1]).to(place)
                values = explainer.shap_values(one, nsamples=gradient_samples, rseed=own)
                found[row] = np.abs(np.asarray(values)).reshape(-1)
                if (row + 1) % _SAMPLES_AT_ONCE == 0 or row + 1 == len(samples):
                    log.info("SHAP of the network, samples: %d of %d", row + 1, len(samples))
    finally:
        module.train(training)
    return found


@contextmanager
def _legacy_state_kept() -> Iterator[None]:
    """Leave numpy's global generator as it was: shap's explainer of gradients seeds it."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _permutation(
    model: Predictor, samples: Samples, background: Samples | None, repeats: int, seed: int
) -> Explanation:
    if repeats < 1:
        raise InputError(f"importance: {repeats} repeats of a permutation; take 1 at least.")
    source, donors = _donors(samples, background, repeats, seed)
    n, p = samples.values.shape
    repeats = len(donors)
    before = judging.answers(model, samples.values, samples.labels).p_true
    found = np.empty((n, p))
    labels = np.tile(samples.labels, repeats)
    at_once = max(1, min(_ROWS, _CELLS // p) // (n * repeats))
    for part in _blocks(p, at_once, "permutation, features"):
        columns = np.arange(p)[part]
        values = np.broadcast_to(samples.values, (len(columns), repeats, n, p)).copy()
        for position, column in enumerate(columns):
            values[position, :, :, column] = source[donors, column]
        tiled = np.tile(labels, len(columns))
        after = judging.answers(model, values.reshape(-1, p), tiled).p_true
        falls = before - after.reshape(len(columns), repeats, n)
        found[:, columns] = np.abs(falls.mean(axis=1)).T
    return Explanation(found, n + n * p * repeats)


def _donors(
    samples: Samples, background: Samples | None, repeats: int, seed: int
) -> tuple[Values, Order]:
    """Say whose values take the place of a sample's own: rows (repeats, n) of the values given."""
    n = len(samples)
    if background is None:
        shuffled = [runtime.stream(seed, r, "permutation").permutation(n) for r in range(repeats)]
        return samples.values, np.array(shuffled, dtype=np.intp)
    if not len(background):
        raise InputError("importance: permutation has no background sample; give some or None.")
    size = min(repeats, len(background))
    drawn = [
        runtime.stream(seed, name, "permutation").choice(len(background), size, replace=False)
        for name in samples.ids.tolist()
    ]
    return background.values, np.array(drawn, dtype=np.intp).T
