"""FIMBA on TCGA breast gives the reference values of ../shared/README.md."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.utils.class_weight import compute_sample_weight

from genosiege.expression import fimba, importance, scaling, targets
from genosiege.expression.fimba_options import Fimba
from genosiege.expression.samples import Samples

CLOSE = 0.03
# Accuracy and balanced accuracy: clean, then with k features moved as FIMBA chooses them and
# as chance does (mean of five sets). With all features moved the two are the same.
CLEAN = (0.990, 0.971)
REFERENCE = {
    ("random_forest", "opposite"): {
        10: (0.969, 0.925, 0.990, 0.974),
        50: (0.775, 0.802, 0.988, 0.968),
        100: (0.468, 0.614, 0.975, 0.935),
        260: (0.235, 0.458, 0.235, 0.458),
    },
    ("random_forest", "error"): {
        10: (0.980, 0.942, 0.992, 0.979),
        50: (0.911, 0.926, 0.991, 0.976),
        100: (0.734, 0.848, 0.986, 0.971),
        260: (0.669, 0.811, 0.669, 0.811),
    },
    ("xgboost", "opposite"): {
        10: (0.734, 0.767, 0.990, 0.971),
        50: (0.410, 0.570, 0.984, 0.956),
        100: (0.410, 0.570, 0.948, 0.924),
        260: (0.410, 0.570, 0.410, 0.570),
    },
    ("xgboost", "error"): {
        10: (0.962, 0.967, 0.990, 0.971),
        50: (0.922, 0.955, 0.990, 0.971),
        100: (0.922, 0.955, 0.989, 0.975),
        260: (0.922, 0.955, 0.922, 0.955),
    },
}
# False positives and false negatives out of fold.
ERRORS = {"random_forest": (3, 2), "xgboost": (5, 6)}
OPTIONS = Fimba.from_mapping(
    {"k": [10, 50, 100, "all"], "values": ["interpolated"], "explain_samples": 594}
)


class BalancedForest:
    """300 trees on bootstraps that hold about as many samples of either class.

    That is scikit-learn's forest with balanced class weights, random_state 0, from version 1.9
    on, where the references come from. Before, the weights count in the choice of splits only,
    and the forest is another one: each tree is then fitted again on what 1.9 draws for it.
    """

    def fit(self, values: np.ndarray, labels: np.ndarray) -> RandomForestClassifier:
        forest = RandomForestClassifier(300, class_weight="balanced", random_state=0)
        forest.fit(values, labels)
        if tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9):
            return forest
        n, weights = len(labels), compute_sample_weight("balanced", labels)
        for tree in forest.estimators_:
            legacy = np.random.RandomState(tree.random_state)
            rows = legacy.choice(n, n, p=weights / weights.sum())
            tree.fit(values, labels, sample_weight=np.bincount(rows, minlength=n))
        return forest


class BoostedTrees:
    def fit(self, values: np.ndarray, labels: np.ndarray) -> Any:
        from xgboost import XGBClassifier

        weight = (labels == 0).sum() / (labels == 1).sum()
        trees = XGBClassifier(
            n_estimators=200, max_depth=4, learning_rate=0.1, scale_pos_weight=weight, n_jobs=1
        )
        return trees.fit(values, labels)


MAKERS: dict[str, Callable[[], Any]] = {"random_forest": BalancedForest, "xgboost": BoostedTrees}


@pytest.fixture(scope="module")
def splits(shared: Path) -> tuple[Samples, Samples]:
    table = pd.read_csv(shared / "data" / "expression" / "tcga_breast.csv.gz")
    values = table.iloc[:, 2:].to_numpy(np.float32)
    rows = train_test_split(
        np.arange(len(table)), test_size=0.33, stratify=table["label"], random_state=0
    )
    scaled = scaling.fit(values[rows[0]]).transform(values)
    whole = Samples(
        table["sample"].to_numpy().astype(np.str_), scaled,
        table["label"].to_numpy(np.int64), tuple(table.columns[2:]),
    )  # fmt: skip
    return whole.take(rows[0]), whole.take(rows[1])


def attacked(kind: str, train: Samples, test: Samples) -> tuple[pd.DataFrame, tuple[int, int]]:
    estimator = MAKERS[kind]().fit(train.values, train.labels)
    model = SimpleNamespace(
        kind=kind,
        estimator=estimator,
        booster=estimator.get_booster() if kind == "xgboost" else None,
        predict_proba=estimator.predict_proba,
    )
    predicted = np.empty_like(train.labels)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for rest, fold in folds.split(train.values, train.labels):
        part = MAKERS[kind]().fit(train.values[rest], train.labels[rest])
        predicted[fold] = part.predict(train.values[fold])
    out_of_fold = pd.DataFrame({"id": train.ids, "label": train.labels, "predicted": predicted})
    made = targets.make(OPTIONS.targets, train, out_of_fold)
    explained = importance.importances(model, train, test, OPTIONS, seed=0)
    rankings = importance.rankings(explained.table, explained.per_sample, train.genes)
    errors = tuple(len(made["error"].for_class(label)) for label in (0, 1))
    return fimba.attack(model, test, train, made, rankings, OPTIONS, seed=0), errors


def rates(table: pd.DataFrame, column: str = "correct_after") -> tuple[float, float]:
    """Accuracy and balanced accuracy, means over the sets of features."""
    by_set = table.groupby("feature_set")[column].mean()
    by_class = table.groupby(["feature_set", "label"])[column].mean()
    return float(by_set.mean()), float(by_class.mean())


@pytest.mark.real
@pytest.mark.parametrize("kind", list(MAKERS))
def test_every_cell_agrees_with_the_reference(kind, splits):
    table, errors = attacked(kind, *splits)

    assert errors == ERRORS[kind]
    assert rates(table, "correct_before") == pytest.approx(CLEAN, abs=CLOSE)
    for aim in OPTIONS.targets:
        for k, expected in REFERENCE[kind, aim].items():
            rows = table[(table["targets"] == aim) & (table["k"] == k)]
            guided, random = rows["features"] == "shap", rows["features"] == "random"
            found = (*rates(rows[guided]), *rates(rows[random]))
            assert found == pytest.approx(expected, abs=CLOSE), (aim, k)
