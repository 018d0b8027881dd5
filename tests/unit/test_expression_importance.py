"""Importances: against closed forms, brute force and shap's own explainers."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from refusals import refusal
from toy_expression_models import Logistic, drawn, network, options, samples

from genosiege import runtime
from genosiege.expression import importance

WEIGHTS = np.array([0.1, -2.0, 0.5, 0.0, 1.0, -0.7])
TRAIN = drawn(0, 60, 6, "train")


def closed_form(explained, background):
    """|w| · |x − mean(background)|: the SHAP values of a linear model."""
    centre = background.values.astype(float).mean(axis=0)
    return np.abs(WEIGHTS * (explained.values.astype(float) - centre))


def fitted(kind, train=TRAIN):
    if kind == "random_forest":
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(20, random_state=0, class_weight="balanced")
        return SimpleNamespace(kind=kind, estimator=forest.fit(train.values, train.labels))
    import xgboost

    data = xgboost.DMatrix(train.values, train.labels)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 15)
    return SimpleNamespace(kind=kind, booster=booster)


def test_shap_of_a_linear_model_is_its_closed_form(one_thread):
    mean = samples(TRAIN.values.mean(axis=0)[None], [0], "mean")

    found = importance.explain(network(WEIGHTS), TRAIN, mean, "shap", gradient_samples=3)

    np.testing.assert_allclose(found.values, closed_form(TRAIN, mean), atol=1e-6)
    expected = np.argsort(-np.abs(WEIGHTS) * np.abs(TRAIN.values - mean.values).mean(axis=0))
    assert importance.ranking(found.values.mean(axis=0)).tolist() == expected.tolist()
    assert found.n_queries == 0


def test_shap_of_a_linear_model_tends_to_its_closed_form_on_drawn_background(one_thread):
    some = TRAIN.take(np.arange(20))

    found = importance.explain(network(WEIGHTS), some, TRAIN, "shap", gradient_samples=300)

    # 300 draws of the background: the mean of each feature is known to about 0.04.
    tolerance = 4 * 0.04 * np.abs(WEIGHTS)
    assert (np.abs(found.values - closed_form(some, TRAIN)) <= tolerance + 1e-6).all()


def test_shap_of_a_network_depends_on_the_seed_and_not_on_the_other_samples(one_thread):
    model = network(WEIGHTS)
    model.module.train()
    before = np.random.get_state()[1].copy()  # noqa: NPY002

    def explained(rows, seed):
        some = TRAIN.take(rows)
        return importance.explain(model, some, TRAIN, "shap", seed=seed, gradient_samples=5).values

    together = explained(np.arange(8), 1)
    assert np.array_equal(together[5:6], explained(np.array([5]), 1))
    assert not np.array_equal(together, explained(np.arange(8), 2))
    assert model.module.training
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_contributions_of_boosted_trees_equal_tree_shap():
    import shap

    model = fitted("xgboost")

    found = importance.explain(model, TRAIN, None, "shap")

    expected = np.abs(shap.TreeExplainer(model.booster).shap_values(TRAIN.values))
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    assert found.values.max() > 0.1


def test_boosted_trees_are_explained_up_to_the_best_one():
    model = fitted("xgboost")
    first = SimpleNamespace(kind="xgboost", booster=model.booster[:4])

    whole = importance.explain(model, TRAIN, None, "shap").values
    model.booster.set_attr(best_iteration="3")
    best = importance.explain(model, TRAIN, None, "shap").values

    np.testing.assert_allclose(
        best, importance.explain(first, TRAIN, None, "shap").values, atol=1e-6
    )
    assert np.abs(best - whole).max() > 0.01


def test_shap_of_a_forest_sums_to_its_probability():
    import shap

    model = fitted("random_forest")
    explainer = shap.TreeExplainer(model.estimator)
    signed = explainer.shap_values(TRAIN.values)[..., 1]
    total = signed.sum(axis=1) + explainer.expected_value[1]
    np.testing.assert_allclose(total, model.estimator.predict_proba(TRAIN.values)[:, 1], atol=1e-6)

    found = importance.explain(model, TRAIN, None, "shap")

    np.testing.assert_allclose(found.values, np.abs(signed), atol=1e-9)


def test_a_forest_takes_a_background_if_it_is_given_one():
    model = fitted("random_forest")

    own = importance.explain(model, TRAIN, None, "shap").values
    other = importance.explain(model, TRAIN, TRAIN.take(np.arange(20)), "shap").values

    assert np.abs(own - other).max() > 1e-3
    assert own[:, 5].mean() < own[:, 0].mean()


def test_permutation_of_a_linear_model_tends_to_its_closed_form():
    # So small a weight that the probability is linear: a quarter of the log odds.
    model = Logistic(WEIGHTS / 100)

    found = importance.explain(model, TRAIN, TRAIN, "permutation", repeats=len(TRAIN))

    np.testing.assert_allclose(found.values * 400, closed_form(TRAIN, TRAIN), rtol=0.02, atol=1e-3)


def test_permutation_permutes_one_feature_among_the_samples_and_counts_each_question():
    model = Logistic(WEIGHTS)
    some = TRAIN.take(np.arange(15))

    found = importance.explain(model, some, None, "permutation", seed=4, repeats=3)

    assert found.n_queries == model.n_queries == 15 + 15 * 6 * 3
    rows = np.arange(15)
    before = model.predict_proba(some.values)[rows, some.labels]
    falls = np.zeros((3, 15, 6))
    for repeat in range(3):
        donors = runtime.stream(4, repeat, "permutation").permutation(15)
        for column in range(6):
            changed = some.values.copy()
            changed[:, column] = some.values[donors, column]
            after = model.predict_proba(changed)[rows, some.labels]
            falls[repeat, :, column] = before - after
    np.testing.assert_allclose(found.values, np.abs(falls.mean(axis=0)), atol=1e-12)
    assert (found.values[:, 3] == 0).all()


def test_permutation_per_sample_does_not_depend_on_the_other_samples_or_batches(monkeypatch):
    def explained(rows, **options):
        some = TRAIN.take(rows)
        return importance.explain(Logistic(WEIGHTS), some, TRAIN, "permutation", **options).values

    together = explained(np.arange(10), repeats=4)
    monkeypatch.setattr(importance, "_ROWS", 1)

    assert np.array_equal(together, explained(np.arange(10), repeats=4))
    assert np.array_equal(together[3:4], explained(np.array([3]), repeats=4))


def test_the_table_ranks_the_mean_of_the_explained_training_samples(one_thread):
    model = network(WEIGHTS)
    model.predict_proba = Logistic(WEIGHTS).predict_proba
    chosen = options(
        features=["permutation", "shap", "random"], importance=["global", "per_sample"],
        explain_samples=30, background_samples=10, gradient_samples=20,
    )  # fmt: skip
    attacked = drawn(5, 7, 6, "test")

    made = importance.importances(model, TRAIN, attacked, chosen, seed=0)
    again = importance.importances(model, TRAIN, attacked, chosen, seed=0)

    assert tuple(made.table.columns) == importance.COLUMNS
    pd.testing.assert_frame_equal(made.table, again.table)
    assert made.table["method"].unique().tolist() == ["shap", "permutation"]
    for _, rows in made.table.groupby("method"):
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5, 6]
        assert (np.diff(rows["importance"]) <= 0).all() and (rows["importance"] >= 0).all()
        assert rows["gene"].iloc[0] == "g1" and rows["gene"].iloc[-1] == "g3"
        assert (rows["n_samples"] == 30).all()
    costs = made.table.groupby("method")["n_queries"].first()
    assert costs.to_dict() == {"shap": 0, "permutation": 30 + 30 * 6 * 5}
    assert set(made.per_sample) == {"shap", "permutation"}
    assert all(values.shape == (7, 6) for values in made.per_sample.values())

    orders = importance.rankings(made.table, made.per_sample, TRAIN.genes)
    assert orders["shap", "global"][0] == 1 and orders["shap", "global"][-1] == 3
    own = orders["permutation", "per_sample"]
    assert np.array_equal(own[0], np.argsort(-made.per_sample["permutation"][0], kind="stable"))


def test_random_features_alone_need_no_explanation():
    made = importance.importances(
        Logistic(WEIGHTS), TRAIN, TRAIN, options(features=["random"]), seed=0
    )

    assert tuple(made.table.columns) == importance.COLUMNS and not len(made.table)
    assert importance.rankings(made.table, made.per_sample, TRAIN.genes) == {}


def test_equal_features_are_ranked_in_their_order():
    assert importance.ranking(np.array([0.0, 2.0, 0.0, 2.0])).tolist() == [1, 3, 0, 2]


def test_what_cannot_be_explained_is_refused():
    model = Logistic(WEIGHTS)
    empty = TRAIN.take(np.array([], dtype=int))

    assert "choose among" in refusal(importance.explain, model, TRAIN, None, "lime")
    assert 'kind "linear"' in refusal(importance.explain, model, TRAIN, None, "shap")
    assert "no sample" in refusal(importance.explain, model, empty, None, "permutation")
    for method, what in (("permutation", model), ("shap", network(WEIGHTS))):
        assert "background" in refusal(importance.explain, what, TRAIN, empty, method)
    assert "background" in refusal(importance.explain, network(WEIGHTS), TRAIN, None, "shap")
    table = pd.DataFrame({"method": ["shap"], "gene": ["x"], "rank": [1]})
    assert "its genes" in refusal(importance.rankings, table, {}, TRAIN.genes)
