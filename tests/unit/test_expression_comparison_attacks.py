"""Comparison attacks: the count of queries, the budget, what they find on models known by heart."""

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refusal

from genosiege.expression import smallest_k, toolbox_attacks
from genosiege.expression.comparison_attacks import ATTACKS, COLUMNS, Comparison, run
from genosiege.expression.counted import AttackEndedError, Counted
from genosiege.expression.samples import Samples
from genosiege.expression.targets import Targets, opposite_targets

P = 8


class Linear:
    """Logits ±(w · x + b) / 2, as a black box that remembers what it was asked."""

    kind = "linear"

    def __init__(self, weights, bias=0.0):
        self.weights = np.asarray(weights, dtype=np.float64)
        self.bias = bias
        self.asked = 0
        self.largest = 0.0

    def margin(self, values):
        return values.astype(np.float64) @ self.weights + self.bias

    def predict_proba(self, values):
        self.asked += len(values)
        self.largest = max(self.largest, float(np.abs(values).max()))
        positive = 1 / (1 + np.exp(-self.margin(values)))
        return np.stack([1 - positive, positive], axis=1)

    def distance(self, values):
        """L2 from a sample to the boundary."""
        return abs(float(self.margin(values))) / np.linalg.norm(self.weights)


class Differentiable(Linear):
    """The same with gradients."""

    def __init__(self, weights, bias=0.0):
        super().__init__(weights, bias)
        self.module = torch.nn.Linear(len(weights), 2)
        with torch.no_grad():
            self.module.weight[:] = torch.tensor(np.stack([-self.weights, self.weights]) / 2)
            self.module.bias[:] = torch.tensor([-bias / 2, bias / 2])


def make_samples(n, rng, p=P, prefix="s"):
    labels = np.arange(n) % 2
    values = rng.uniform(-0.4, 0.4, (n, p)) + 0.4 * (2 * labels[:, None] - 1)
    return Samples(
        np.array([f"{prefix}{row}" for row in range(n)]),
        np.ascontiguousarray(values, dtype=np.float32),
        labels.astype(np.int64),
        tuple(f"g{column}" for column in range(p)),
    )


@pytest.fixture(scope="module")
def weights():
    return np.array([2.0, 1.0, 0.5, 1.5, 0.8, 0.3, 1.2, 0.7])


@pytest.fixture(scope="module")
def train():
    return make_samples(40, np.random.default_rng(1), prefix="train")


@pytest.fixture(scope="module")
def test_split():
    return make_samples(4, np.random.default_rng(2), prefix="test")


@pytest.fixture(scope="module")
def rankings(weights):
    return {("shap", "global"): np.argsort(-weights, kind="stable")}


def compare(model, test, train, rankings, targets=None, seed=0, **options):
    options = {"budget": 600, **options}
    targets = targets or opposite_targets(train)
    return run(model, test, train, rankings, targets, Comparison(**options), seed)


@pytest.fixture(scope="module")
def table(weights, test_split, train, rankings):
    return compare(Differentiable(weights), test_split, train, rankings)


def test_hopskipjump_comes_near_the_smallest_flip_of_a_linear_model(weights, test_split, table):
    model = Linear(weights)
    found = table[table["attack"] == "hopskipjump"]
    smallest = [model.distance(values) for values in test_split.values]

    assert (found["status"] == "success").all()
    assert (found["l2"].to_numpy() >= np.array(smallest) - 1e-6).all()
    assert (found["l2"].to_numpy() <= 1.25 * np.array(smallest)).all()


@pytest.mark.parametrize("attack", ["zoo", "lowprofool"])
def test_the_descents_flip_a_linear_model(weights, test_split, table, attack):
    model = Linear(weights)
    found = table[table["attack"] == attack]

    assert (found["status"] == "success").all()
    smallest = np.array([model.distance(values) for values in test_split.values])
    assert (found["l2"].to_numpy() >= smallest - 1e-6).all()
    assert (found["l2"].to_numpy() <= 3 * smallest).all()


def test_only_lowprofool_takes_gradients_one_with_each_query(table):
    graded = table[table["n_gradients"] > 0]

    assert set(graded["attack"]) == {"lowprofool"}
    assert (graded["n_gradients"] == 500).all()
    assert (graded["n_queries"] == 500).all()


def test_fimba_asks_what_the_search_for_the_smallest_k_asks(
    weights, test_split, train, rankings, table
):
    targets = opposite_targets(train)
    aim = smallest_k.fimba.assign(targets, test_split).values
    order = rankings["shap", "global"]
    expected = smallest_k.smallest(Linear(weights), test_split, aim, order, 8 / 9, P)
    found = table[table["attack"] == "fimba"]

    assert found["n_queries"].tolist() == expected.n_queries.tolist()
    assert found["l0"].tolist() == expected.smallest_k.tolist()
    assert found["flipped"].all()
    assert (found["l0"] >= 2).any()


def test_a_random_order_needs_more_features_than_the_ranking(weights, train, rankings):
    test = make_samples(30, np.random.default_rng(3), prefix="more")
    found = compare(Linear(weights), test, train, rankings, attacks=(), samples=None)
    mean = found.groupby("attack")["l0"].mean()

    assert mean["fimba_random"] > mean["fimba"]


@pytest.mark.parametrize("budget", [1, 7, 130])
def test_no_attack_ever_asks_more_than_its_budget(weights, test_split, train, rankings, budget):
    found = compare(Differentiable(weights), test_split, train, rankings, budget=budget)

    assert (found["n_queries"] <= budget).all()
    assert (
        found.loc[found["attack"].isin(["hopskipjump", "zoo", "lowprofool"]), "n_queries"] == budget
    ).all()


@pytest.mark.parametrize("budget", [7, 130])
def test_every_row_that_the_model_answers_is_counted(weights, test_split, train, rankings, budget):
    model = Differentiable(weights)
    options = {"attacks": ("zoo", "lowprofool"), "budget": budget}

    found = compare(model, test_split, train, rankings, **options)

    own = found["attack"].isin(["fimba", "fimba_random"])
    # FIMBA's prefixes go to the model together, but only those up to the flip are charged.
    uncharged = int((min(P, budget) - found.loc[own, "n_queries"]).sum())
    judge = len(test_split) + int(found["flipped"].sum())  # before, and to confirm
    assert model.asked == int(found["n_queries"].sum()) + uncharged + judge


def test_no_value_beyond_the_range_reaches_the_model(weights, test_split, train, rankings):
    model = Differentiable(weights, bias=-0.5)

    found = compare(model, test_split, train, rankings, budget=300, clip=0.9)

    assert model.largest <= np.float32(0.9)
    flipped = found[found["flipped"]]
    assert (flipped["linf"] <= 0.9 + np.abs(test_split.values).max()).all()


def test_a_start_beyond_the_boundary_is_taken_from_training_when_noise_gives_none(
    weights, test_split, train, rankings
):
    class Guarded(Linear):
        """Noise is of class 0: only small values of the right signs are of class 1."""

        def margin(self, values):
            return np.where(np.abs(values).max(axis=1) > 0.9, -1.0, super().margin(values))

    one = test_split.take(np.array([0]))
    options = {"attacks": ("hopskipjump",), "hopskipjump_start": 20}
    found = compare(Guarded(weights), one, train, rankings, **options)

    assert found["status"][0] == "success"
    assert found["n_queries"][0] > 20


def test_a_sample_that_no_start_flips_fails_and_is_charged(test_split, train, rankings):
    stubborn = Linear(np.zeros(P), bias=1.0)
    positive = test_split.take(np.array([1]))
    options = {"attacks": ("hopskipjump",), "hopskipjump_start": 20}

    found = compare(stubborn, positive, train, rankings, **options)

    assert found["status"].tolist() == ["failed"] * 3
    assert found["n_queries"].tolist() == [40, P, P]
    assert found[["l2", "linf", "l0"]].isna().all(axis=None)


def test_a_misclassified_sample_is_skipped_and_costs_nothing(weights, test_split, train, rankings):
    wrong = Samples(
        test_split.ids, test_split.values, 1 - test_split.labels, test_split.genes
    ).take(np.array([0, 1]))

    found = compare(Differentiable(weights), wrong, train, rankings)

    assert set(found["status"]) == {"skipped_misclassified"}
    assert not found["correct_before"].any() and not found["flipped"].any()
    assert found["n_queries"].sum() == 0


def test_lowprofool_does_not_apply_to_a_model_without_gradients(
    weights, test_split, train, rankings
):
    found = compare(Linear(weights), test_split, train, rankings, attacks=("lowprofool",))
    rows = found[found["attack"] == "lowprofool"]

    assert rows["status"].tolist() == ["not_applicable"] * len(test_split)
    assert rows["correct_before"].all()
    assert rows["n_queries"].sum() == rows["n_gradients"].sum() == 0


def test_a_sample_without_target_is_not_flipped_by_fimba(weights, test_split, train, rankings):
    nobody = np.empty(0, dtype=np.intp)
    targets = Targets("error", train, (nobody, np.flatnonzero(train.labels == 0)))

    found = compare(Linear(weights), test_split, train, rankings, targets, attacks=())
    negative = found["label"] == 0

    assert (found.loc[negative, "status"] == "failed").all()
    assert (found.loc[negative, "n_queries"] == 0).all()
    assert (found.loc[~negative, "status"] == "success").all()


def test_results_repeat_and_no_random_state_leaks(weights, test_split, train, rankings, table):
    model = Differentiable(weights)
    np.random.seed(7)  # noqa: NPY002 - the global generator must not matter
    torch.manual_seed(7)
    numpy_before, torch_before = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002

    again = compare(model, test_split, train, rankings)

    pd.testing.assert_frame_equal(again, table)
    assert np.random.get_state()[1].tolist() == numpy_before  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_a_sample_does_not_depend_on_which_others_are_attacked(
    weights, test_split, train, rankings, table
):
    alone = compare(Differentiable(weights), test_split.take(np.array([2])), train, rankings)

    expected = table[table["id"] == test_split.ids[2]].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, expected)


def test_the_gradient_is_that_of_the_cross_entropy_and_modes_are_kept(weights):
    model = Differentiable(weights)
    model.module.train()
    values = np.random.default_rng(4).normal(size=(3, P)).astype(np.float32)

    found = toolbox_attacks.gradients_of(model)(values, np.array([1, 0, 1]))

    positive = model.predict_proba(values)[:, 1]
    expected = (positive - [1, 0, 1])[:, None] * weights
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert model.module.training


def test_correlations_are_pearsons_and_0_for_a_constant_feature(train):
    values = train.values.copy()
    values[:, 3] = 0.25
    changed = Samples(train.ids, values, train.labels, train.genes)

    found = toolbox_attacks.correlations(changed)

    varying = [column for column in range(P) if column != 3]
    expected = [abs(np.corrcoef(values[:, column], train.labels)[0, 1]) for column in varying]
    np.testing.assert_allclose(found[varying], expected, rtol=1e-6)
    assert found[3] == 0


def test_the_smallest_of_all_flips_asked_counts_even_those_of_the_last_question(weights):
    sample = np.full(P, -0.5, dtype=np.float32)
    counted = Counted(Linear(weights), sample, 0, budget=3, clip=1.5)
    flipping = np.array([1.4, 0.6, 1.0, 0.55], dtype=np.float32)
    rows = np.tile(flipping[:, None], (1, P))

    counted.probabilities(rows[:1])
    with pytest.raises(AttackEndedError):
        counted.probabilities(rows[1:])

    found = counted.smallest_flip()
    assert counted.n_queries == 3
    assert found.l2 == pytest.approx(1.1 * np.sqrt(P), rel=1e-6)
    assert (found.l0, found.linf) == (P, pytest.approx(1.1))


def test_a_flip_that_the_model_takes_back_gives_way_to_the_next():
    class Moody(Linear):
        """Asked alone, it wants more than in company."""

        def margin(self, values):
            return super().margin(values) - (1.0 if len(values) == 1 else 0.0)

    counted = Counted(Moody(np.ones(1)), np.array([-0.5], dtype=np.float32), 0, 10, 1.5)
    counted.probabilities(np.array([[0.5], [1.2]], dtype=np.float32))

    assert counted.smallest_flip().values.tolist() == pytest.approx([1.2])


def test_what_is_no_number_ends_an_attack_unasked():
    model = Linear(np.ones(1))
    counted = Counted(model, np.array([-0.5], dtype=np.float32), 0, 10, 1.5)

    with pytest.raises(AttackEndedError):
        counted.probabilities(np.array([[np.nan]]))
    assert model.asked == counted.n_queries == 0


def test_the_table_has_its_columns_a_row_per_attack_and_sample(table, test_split):
    assert tuple(table.columns) == COLUMNS
    assert list(dict.fromkeys(table["attack"])) == [*ATTACKS, "fimba", "fimba_random"]
    assert len(table) == 5 * len(test_split)
    assert (table["l0"] >= 1).all()


def test_samples_are_drawn_from_the_test_split_the_same_for_every_model(weights, train, rankings):
    test = make_samples(50, np.random.default_rng(5), prefix="many")
    drawn = [
        compare(model, test, train, rankings, attacks=(), samples=10)
        for model in (Linear(weights), Linear(weights[::-1]))
    ]

    assert drawn[0]["id"].tolist() == drawn[1]["id"].tolist()
    assert drawn[0]["id"].nunique() == 10
    assert drawn[0].groupby("id")["label"].first().sum() == 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"attacks": ["deepfool"]}, 'attacks "deepfool"'),
        ({"attacks": ["zoo", "zoo"]}, "attacks"),
        ({"budget": 0}, "budget 0"),
        ({"samples": 1.5}, "samples 1.5"),
        ({"t": 1.5}, "t 1.5"),
        ({"clip": -1}, "clip -1"),
        ({"zoo_rate": True}, "zoo_rate True"),
        ({"lowprofool_rates": []}, "lowprofool_rates"),
        ({"lowprofool_rates": [0.1, 0]}, "lowprofool_rates 0"),
        ({"queries": 5}, "queries"),
    ],
)
def test_options_out_of_range_are_refused(options, expected):
    assert f"comparison, {expected}" in refusal(Comparison.from_mapping, options)


def test_a_ranking_that_lacks_genes_and_a_clip_below_the_data_are_refused(
    weights, test_split, train, rankings
):
    short = {("shap", "global"): np.arange(3)}

    assert "order by SHAP" in refusal(compare, Linear(weights), test_split, train, short)
    message = refusal(compare, Linear(weights), test_split, train, rankings, clip=0.1)
    assert "clip 0.1" in message
