"""Adversarial training: what is added in each round, on what, and how each round is judged."""

import numpy as np
import pandas as pd
import pytest
from refusals import refusal

from genosiege.expression import adversarial_training, fimba, importance, judging, models
from genosiege.expression.adversarial_training import COLUMNS, AdversarialTraining, run
from genosiege.expression.samples import Samples
from genosiege.expression.targets import assign, opposite_targets

P = 6
OPTIONS = AdversarialTraining(rounds=2, k=3, samples=8, evaluate_k=(1, 3), random_sets=2)


class Centroids(models.Model):
    """Projects on the difference of the class means; remembers what it was trained on.

    Its SHAP ranking is not computed: the tests explain it by its weights.
    """

    kind = "centroids"
    format = "none"
    packages = ()

    def __init__(self):
        super().__init__("centroids", None, P, 0, 1)
        self.weights = None
        self.trained_on = []
        self.stopped_on = []

    def _fit(self, train, dev):
        self.trained_on.append(train)
        self.stopped_on.append(dev)
        means = [train.values[train.labels == label].mean(axis=0) for label in (0, 1)]
        self.weights = (means[1] - means[0]).astype(np.float64)
        self.bias = float(-self.weights @ (means[0] + means[1]) / 2)

    def _positive(self, values):
        return 1 / (1 + np.exp(-4 * (values.astype(np.float64) @ self.weights + self.bias)))

    def facts(self):
        return {}

    def to_bytes(self):
        return b""

    def from_bytes(self, content, facts):
        raise NotImplementedError


def make_samples(n, seed, prefix):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 2).astype(np.int64)
    # So close that a round of adversaries brings other features to the top.
    shift = np.array([0.5, 0.45, 0.42, 0.38, 0.34, 0.3])
    values = rng.normal(0, 0.25, (n, P)) + shift * (2 * labels[:, None] - 1)
    ids = np.array([f"{prefix}{row}" for row in range(n)])
    values = np.clip(values, -1.5, 1.5).astype(np.float32)
    return Samples(ids, np.ascontiguousarray(values), labels, tuple("abcdef"))


@pytest.fixture(scope="module")
def train():
    return make_samples(30, 1, "train")


@pytest.fixture(scope="module")
def dev():
    return make_samples(10, 2, "dev")


@pytest.fixture(scope="module")
def test_split():
    return make_samples(12, 3, "test")


class Hardened:
    """One whole run: its rows, and all models that were made, in their order."""

    def __init__(self, patch, train, dev, test, options=OPTIONS, seed=0):
        self.models, self.explained = [], []

        def fresh(model):
            assert model is self.baseline
            self.models.append(Centroids())
            return self.models[-1]

        def explain(model, samples, background, method, **_):
            self.explained.append((model, samples.ids.tolist()))
            values = np.broadcast_to(np.abs(model.weights), samples.values.shape)
            return importance.Explanation(values, 0)

        self.baseline = Centroids()
        self.baseline.fit(train, dev)
        patch.setattr(models, "fresh", fresh)
        patch.setattr(importance, "explain", explain)
        self.rows = run(self.baseline, train, dev, test, options, seed)

    def judged(self, **columns):
        rows = self.rows
        for name, value in columns.items():
            rows = rows[rows[name] == value]
        return rows

    def added(self, number, n_train=30):
        """The samples that the model number `number` was trained on beside the split."""
        trained_on = self.models[number].trained_on[0]
        return trained_on.take(np.arange(n_train, len(trained_on)))


@pytest.fixture(scope="module")
def hardened(train, dev, test_split):
    with pytest.MonkeyPatch.context() as patch:
        return Hardened(patch, train, dev, test_split)


def test_each_round_adds_as_many_samples_in_both_defences(hardened):
    counts = hardened.rows.groupby(["defence", "round"])["n_added"].unique()

    for defence in ("fimba", "random_noise"):
        assert [counts[defence, number].tolist() for number in range(3)] == [[0], [8], [16]]
    assert [len(hardened.added(number)) for number in range(4)] == [8, 16, 8, 16]


def test_round_0_is_the_baseline_of_both_defences(hardened, test_split):
    fimba_rows, noise_rows = (
        hardened.judged(defence=defence, round=0).drop(columns="defence").reset_index(drop=True)
        for defence in ("fimba", "random_noise")
    )

    pd.testing.assert_frame_equal(fimba_rows, noise_rows)
    clean = fimba_rows[fimba_rows["attack"] == "clean"]
    expected = judging.answers(hardened.baseline, test_split.values, test_split.labels)
    assert clean["p_true"].tolist() == expected.p_true.tolist()


def test_each_model_is_trained_afresh_on_the_whole_split_and_what_was_added(hardened, train, dev):
    for model in hardened.models:
        (trained_on,), (stopped_on,) = model.trained_on, model.stopped_on
        np.testing.assert_array_equal(trained_on.values[: len(train)], train.values)
        assert trained_on.labels[: len(train)].tolist() == train.labels.tolist()
        assert len(set(trained_on.ids)) == len(trained_on)
        assert stopped_on is dev


def test_added_samples_are_moved_along_the_ranking_of_the_model_before(hardened, train):
    before = [hardened.baseline, hardened.models[0]]

    for number, model in enumerate(before):
        added = hardened.added(number).take(np.arange(8 * number, 8 * number + 8))
        origin = [name.split("/")[0] for name in added.ids.tolist()]
        rows = np.array([train.ids.tolist().index(name) for name in origin])
        source = train.take(rows)
        aim = assign(opposite_targets(train), source).values
        order = importance.ranking(np.abs(model.weights))
        expected = fimba.move(source.values, aim, order, 3, 8 / 9)
        np.testing.assert_array_equal(added.values, expected)
        assert added.labels.tolist() == source.labels.tolist()


def test_the_ranking_changes_with_the_model(hardened):
    first = [
        set(importance.ranking(np.abs(model.weights))[:3].tolist())
        for model in (hardened.baseline, *hardened.models[:2])
    ]

    assert first[0] != first[1] != first[2]


def test_earlier_rounds_stay_in_the_training_set(hardened):
    first, second = hardened.added(0), hardened.added(1)

    np.testing.assert_array_equal(second.values[:8], first.values)
    assert (second.values[8:] != first.values).any()


@pytest.mark.parametrize("number", [0, 1])
def test_noise_moves_the_same_samples_as_far_in_k_features(hardened, train, number):
    by_fimba, by_noise = hardened.added(number), hardened.added(number + 2)
    origin = [[name.split("/")[0] for name in part.ids.tolist()] for part in (by_fimba, by_noise)]
    assert origin[0] == origin[1]
    source = train.take(np.array([train.ids.tolist().index(name) for name in origin[0]]))

    _, by_attack = judging.distances(source.values, by_fimba.values)
    changed, by_chance = judging.distances(source.values, by_noise.values)

    np.testing.assert_allclose(by_chance, by_attack, rtol=1e-5)
    assert (changed == 3).all()
    assert by_noise.labels.tolist() == by_fimba.labels.tolist()
    assert len({tuple(row) for row in by_noise.values != source.values}) > 1


def test_noise_turns_round_what_would_leave_the_range():
    values = np.full((200, P), 1.4, dtype=np.float32)
    ids = np.array([f"s{row}" for row in range(200)])
    samples = Samples(ids, values, np.zeros(200, dtype=np.int64), tuple("abcdef"))
    attacked = adversarial_training._Round(samples, values - np.float32(0.5))

    moved = adversarial_training.noise(attacked, 3, 0, 1).moved

    distances = judging.distances(values, moved)[1]
    np.testing.assert_allclose(distances, 0.5 * np.sqrt(P), rtol=1e-5)
    assert (np.abs(moved) <= 1.5).all()


def test_every_model_is_attacked_along_its_own_ranking(hardened, train, test_split):
    aim = assign(opposite_targets(train), test_split).values

    for defence, number, model in [
        ("fimba", 0, hardened.baseline),
        ("fimba", 2, hardened.models[1]),
        ("random_noise", 1, hardened.models[2]),
    ]:
        order = importance.ranking(np.abs(model.weights))
        for k in (1, 3):
            moved = fimba.move(test_split.values, aim, order, k, 8 / 9)
            expected = judging.answers(model, moved, test_split.labels)
            rows = hardened.judged(defence=defence, round=number, attack="fimba", k=k)
            assert rows["p_true"].tolist() == expected.p_true.tolist()
            assert rows["correct"].tolist() == expected.correct.tolist()
            assert (rows["t"] == 8 / 9).all()


def test_random_features_are_the_same_in_all_rounds_and_those_of_the_attack(
    hardened, train, test_split
):
    options = OPTIONS.attack()
    aim = assign(opposite_targets(train), test_split).values
    rankings = {("shap", "global"): np.arange(P)}
    sets = [
        ranked
        for ranked in fimba.orders(rankings, options, test_split.values.shape, 0)
        if ranked.features == "random"
    ]

    assert len(sets) == 2
    for ranked in sets:
        moved = fimba.move(test_split.values, aim, ranked.order, 3, 8 / 9)
        for number, model in [(0, hardened.baseline), (1, hardened.models[0])]:
            rows = hardened.judged(
                defence="fimba", round=number, attack="random", k=3, feature_set=ranked.feature_set
            )
            expected = judging.answers(model, moved, test_split.labels).p_true
            assert rows["p_true"].tolist() == expected.tolist()


def test_only_training_samples_are_explained_and_never_an_added_one(hardened, train):
    assert [model for model, _ in hardened.explained] == [hardened.baseline, *hardened.models]
    for _, ids in hardened.explained:
        assert set(ids) <= set(train.ids.tolist())


def test_the_table_has_a_row_for_each_test_sample_in_every_setting(hardened, test_split):
    assert tuple(hardened.rows.columns) == COLUMNS
    counts = hardened.rows.groupby(["defence", "round", "attack", "k", "feature_set"]).size()
    assert (counts == len(test_split)).all()
    assert len(counts) == 2 * 3 * (1 + 2 + 2 * 2)
    clean = hardened.judged(attack="clean")
    assert (
        (clean["k"] == 0).all() and clean["t"].isna().all() and (clean["status"] == "clean").all()
    )


def test_the_same_seed_gives_the_same_rows_and_another_one_other_samples(
    monkeypatch, hardened, train, dev, test_split
):
    again = Hardened(monkeypatch, train, dev, test_split)
    other = Hardened(monkeypatch, train, dev, test_split, seed=1)

    pd.testing.assert_frame_equal(again.rows, hardened.rows)
    assert other.added(0).ids.tolist() != hardened.added(0).ids.tolist()


def test_without_a_number_all_training_samples_are_attacked(monkeypatch, train, dev, test_split):
    options = AdversarialTraining(rounds=1, k=2, evaluate_k=("all",), random_sets=1)

    found = Hardened(monkeypatch, train, dev, test_split, options)

    assert found.rows["n_added"].max() == len(train)
    assert set(found.rows["k"]) == {0, P}


def test_more_features_than_there_are_is_a_status_in_the_evaluation(
    monkeypatch, train, dev, test_split
):
    options = AdversarialTraining(rounds=1, k=2, evaluate_k=(2, 7), random_sets=1)

    rows = Hardened(monkeypatch, train, dev, test_split, options).judged(k=7)

    assert set(rows["status"]) == {"k_exceeds_features"}
    assert rows["p_true"].isna().all() and not rows["correct"].any()


def test_more_features_than_there_are_is_refused_in_the_defence(train, dev, test_split):
    model = Centroids()
    model.fit(train, dev)

    message = refusal(run, model, train, dev, test_split, AdversarialTraining(k=7), 0)

    assert message.startswith("expression_hardening, k 7")


def test_a_forest_goes_through_its_rounds(train, dev, test_split):
    entry = {"kind": "random_forest", "trees": 5}
    model = models.create(entry, P, 0)
    model.fit(train, dev)
    options = AdversarialTraining(
        rounds=1, k=2, evaluate_k=(2,), random_sets=1, explain_samples=6, background_samples=4
    )

    rows = run(model, train, dev, test_split, options, 0)

    assert len(rows) == 2 * 2 * 3 * len(test_split)
    assert rows["p_true"].notna().all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rounds": 0}, "rounds 0"),
        ({"k": "all"}, "k 'all'"),
        ({"t": 0}, "t 0"),
        ({"samples": 0}, "samples 0"),
        ({"evaluate_k": []}, "evaluate_k"),
        ({"evaluate_k": [5, 5]}, "evaluate_k"),
        ({"evaluate_k": [-1]}, "evaluate_k -1"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_options_out_of_range_are_refused(options, expected):
    message = refusal(AdversarialTraining.from_mapping, options)
    assert message.startswith(f"expression_hardening, {expected}")
