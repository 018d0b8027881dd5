"""The adaptive FIMBA: it keeps the best of all that it tries, and pays for what it hides."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from toy_expression_models import Logistic, drawn, moved_by_loops, options, out_of_fold, samples

from genosiege.detection import adaptive_fimba, feature_pruning, fimba_family
from genosiege.detection.operating_points import Suspicion
from genosiege.detection.options import Adaptive
from genosiege.expression import fimba, targets

P = 8
TRAIN, DEV, TEST = (drawn(seed, n, P, name) for seed, n, name in
                    ((0, 60, "train"), (1, 50, "dev"), (2, 30, "test")))  # fmt: skip
ORDER = np.random.default_rng(3).permutation(P)
RANKINGS = {("shap", "global"): ORDER}
MODEL = Logistic(np.linspace(2, 0.2, P))
# Classes hardly differ in this direction, but samples that are moved in part do.
ACROSS = np.array([1.0, -1.0, 2.0, -2.0, 1.0, -1.0, 1.0, -1.0])
PENALTIES = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
SMALL = Adaptive(
    samples=12, penalties=PENALTIES, nearest=2, k=(2, 5, 100, "all"), t=(0.5, 1.0), own_class=False
)


class Formula:
    """A detector that is a formula of the rows, and keeps all that it is asked."""

    def __init__(self, formula):
        self.formula = formula
        self.rows = []

    def fit(self, values, labels, /):
        return self

    def score(self, values, /):
        self.rows.append(values.copy())
        return self.formula(values.astype(np.float64))


def toys():
    return {
        # How far one gene goes, and how far all go in a direction.
        "spectral": Formula(lambda x: np.abs(x - x.mean(axis=1, keepdims=True)).max(axis=1)),
        "mahalanobis": Formula(lambda x: np.abs(x @ ACROSS)),
    }


def made(wrong=(1, 2, 5, 8, 13, 21)):
    return targets.make(["error", "opposite"], TRAIN, out_of_fold(TRAIN, list(wrong)))


def attacked(model=MODEL, detectors=None, asked=SMALL, known=None, chosen=None, **more):
    return adaptive_fimba.attack(
        model, toys() if detectors is None else detectors, TRAIN, DEV, TEST,
        made() if known is None else known, RANKINGS,
        options(features=["random", "shap"]) if chosen is None else chosen, asked, 0, **more,
    )  # fmt: skip


def of_part(table, part="attacked"):
    return table[table["part"] == part].reset_index(drop=True)


# By loops ----------------------------------------------------------------------------------------


def tried_by_loops(sample, label, known, asked):
    """Candidates of one sample: values, k and t, first as it is."""
    found = [(sample.astype(float), 0, 0.0)]
    for kind in ("error", "opposite"):
        rows = known[kind].for_class(label)
        near = sorted(rows, key=lambda row: np.sum((TRAIN.values[row].astype(float) - sample) ** 2))
        for row in near[: asked.nearest]:
            for k in (2, 5, P):
                for t in asked.t:
                    aim = TRAIN.values[row][None]
                    found.append((moved_by_loops(sample[None], aim, ORDER, k, t)[0], k, t))
    return found


def pruned_by_loops(start, sample, label, suspicion):
    values = start.copy()
    for column in ORDER[::-1]:
        if values[column] == sample[column] or suspicion(values) <= 0:
            continue
        tried = values.copy()
        tried[column] = sample[column]
        if not right(tried, label) and suspicion(tried) < suspicion(values):
            values = tried
    return values


def p_true(values, label):
    return MODEL.predict_proba(values[None])[0, label]


def right(values, label):
    probabilities = MODEL.predict_proba(values[None])[0]
    return int(probabilities[1] > probabilities[0]) == label


def kept_by_loops(tried, sample, label, suspicion, penalty):
    flips = [row for row in tried if not right(row[0], label)]
    if penalty and flips:
        start = min(flips, key=lambda row: (max(suspicion(row[0]), 0), p_true(row[0], label)))
        values = pruned_by_loops(start[0], sample.astype(float), label, suspicion)
        tried = [*tried, (values, *start[1:])]
    return min(
        tried,
        key=lambda row: (
            right(row[0], label) + penalty * max(suspicion(row[0]), 0),
            p_true(row[0], label),
        ),
    )


@pytest.mark.parametrize("detector", ["spectral", "mahalanobis"])
def test_of_all_candidates_the_best_is_kept(detector):
    detectors, known = toys(), made()
    table = of_part(attacked())
    mine = detectors[detector].formula
    scale = Suspicion.from_validation(mine(DEV.values.astype(np.float64)))
    position = {name: row for row, name in enumerate(TEST.ids.tolist())}

    pruned = 0
    rows = table[table["detector"] == detector]
    assert len(rows) == 12 * len(PENALTIES)
    for row in rows.itertuples():
        sample = TEST.values[position[row.id]]

        def suspicion(values):
            return float(scale.of(mine(values[None]))[0])

        tried = tried_by_loops(sample, row.label, known, SMALL)
        values, k, t = kept_by_loops(tried, sample, row.label, suspicion, row.penalty)
        moved = values != sample
        assert (row.k, row.t, row.l0) == (k, t, moved.sum())
        assert row.flipped == (not right(values, row.label))
        assert row.p_true_before == pytest.approx(p_true(sample, row.label))
        assert row.p_true_after == pytest.approx(p_true(values, row.label), rel=1e-5)
        assert row.l2 == pytest.approx(np.linalg.norm(values - sample), rel=1e-5)
        assert row.suspicion == pytest.approx(suspicion(values), rel=1e-4, abs=1e-5)
        for name, other in detectors.items():
            score = getattr(row, f"score_{name}")
            assert score == pytest.approx(other.formula(values[None])[0], rel=1e-5)
        pruned += moved.sum() < min(k, P)
    assert pruned > 3


# What must hold ----------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=15, deadline=None)
def test_penalties_lower_suspicion_and_bound_that_of_flips(seed, own_class):
    rng = np.random.default_rng(seed)
    weights, direction = rng.normal(size=(2, P))
    mine = {"drawn": Formula(lambda x: np.abs(x @ direction) + x[:, 0])}
    table = of_part(attacked(Logistic(weights), mine, replace(SMALL, own_class=own_class)))
    natural = of_part(attacked(Logistic(weights), mine), "validation")["score_drawn"]
    scale = Suspicion.from_validation(natural)
    by_id = {name: row for row, name in enumerate(TEST.ids.tolist())}

    table["cost"] = table["suspicion"].clip(lower=0)
    costs = table.pivot(index="id", columns="penalty", values="cost")
    flips = table.pivot(index="id", columns="penalty", values="flipped")

    assert (np.diff(costs.to_numpy(), axis=1) <= 1e-12).all()
    assert (np.diff(flips.to_numpy().astype(int), axis=1) <= 0).all()
    for row in table[table["flipped"] & (table["penalty"] > 0)].itertuples():
        before = float(scale.of(mine["drawn"].score(TEST.values[[by_id[row.id]]]))[0])
        assert row.suspicion <= 1 / row.penalty + max(before, 0) + 1e-9
    if own_class:
        assert table.loc[table["l0"] > 0, "neighbours_true"].all()


def test_without_a_penalty_it_is_the_plain_attack_of_the_family():
    table, known = of_part(attacked()), made()
    position = {name: row for row, name in enumerate(TEST.ids.tolist())}

    for row in table[table["penalty"] == 0].itertuples():
        tried = tried_by_loops(TEST.values[position[row.id]], row.label, known, SMALL)
        lowest = min(p_true(values, row.label) for values, *_ in tried)
        assert row.flipped == any(not right(values, row.label) for values, *_ in tried)
        assert row.p_true_after == pytest.approx(lowest, rel=1e-5)


def test_a_blind_detector_changes_nothing():
    table = of_part(attacked(detectors={"blind": Formula(lambda x: np.full(len(x), 7.0))}))

    first, *others = (rows.drop(columns="penalty") for _, rows in table.groupby("penalty"))

    assert first["flipped"].any() and (first["suspicion"] == 0).all()
    for rows in others:
        pd.testing.assert_frame_equal(first.reset_index(drop=True), rows.reset_index(drop=True))


def test_a_detector_that_sees_the_logit_is_evaded_at_the_price_of_success():
    # One gene, classes 0 below and 1 above zero; the detector knows natural samples of class 0.
    model = Logistic([4.0])
    train = samples([[-1.5], [0.5], [0.9]], [0, 1, 1], "train")
    dev = samples(np.linspace(-2, -1, 99)[:, None], np.zeros(99), "dev")
    test = samples(np.linspace(-2, -1.5, 21)[:, None], np.zeros(21), "test")
    asked = Adaptive(
        samples=None,
        penalties=(0.0, 0.1, 0.25, 0.295, 0.4, 1.0),
        nearest=2,
        k=("all",),
        own_class=False,
    )
    table = of_part(
        adaptive_fimba.attack(
            model, {"logit": Formula(lambda x: 4 * x[:, 0])}, train, dev, test,
            {"opposite": targets.opposite_targets(train)}, {("shap", "global"): np.array([0])},
            options(features=["shap"], targets=["opposite"]), asked, 0, tails="upper",
        )
    )  # fmt: skip

    # On a way to 0.5 or 0.9 the first step beyond zero; 5 of 99 lie at -1 - 4 / 98 and above.
    start = np.linspace(-2, -1.5, 21).astype(np.float32).astype(float)
    ends = [(1 - t) * start + t * aim for aim in (0.5, 0.9) for t in asked.t]
    first = np.min([np.where(end > 0, end, np.inf) for end in ends], axis=0)
    suspicion = (first + 1.5) / (-1 - 4 / 98 + 1.5)
    successes = table.groupby("penalty")["flipped"].mean()
    for penalty, success in successes.items():
        assert success == pytest.approx(np.mean(penalty * suspicion <= 1))
    assert successes[0.0] == 1 and 0 < successes[0.295] < 1 and successes[1.0] == 0
    assert (table.loc[table["flipped"], "suspicion"] > 1).all()


@pytest.mark.parametrize("cells", [1, 100])
def test_nothing_depends_on_the_size_of_blocks(monkeypatch, cells):
    whole = attacked()
    monkeypatch.setattr(adaptive_fimba, "CELLS", cells)

    pd.testing.assert_frame_equal(attacked(), whole)
    pd.testing.assert_frame_equal(attacked(Logistic(MODEL.weights, batch_size=3)), whole)


def test_candidates_are_asked_about_once_for_all_penalties():
    detectors = {"blind": Formula(lambda x: np.zeros(len(x)))}
    model = Logistic(MODEL.weights)
    attacked(model, detectors)

    asked = sum(map(len, detectors["blind"].rows))
    most = 12 * len(("error", "opposite")) * SMALL.nearest * 3 * len(SMALL.t)
    assert asked == model.n_queries <= len(DEV) + len(TEST) + most


# What it may know -------------------------------------------------------------------------------


class Poison:
    """Targets that must not be looked at."""

    def __getattr__(self, name):
        raise AssertionError(name)


def test_targets_that_know_the_test_split_are_never_used():
    known = made() | {"test_error": Poison()}
    chosen = options(features=["shap"], targets=["test_error", "error", "opposite"])

    pd.testing.assert_frame_equal(attacked(known=known, chosen=chosen), attacked())

    alone = options(features=["shap"], targets=["test_error"])
    opposite = options(features=["shap"], targets=["opposite"])
    pd.testing.assert_frame_equal(
        attacked(known={"test_error": Poison()}, chosen=alone),
        attacked(known={"opposite": made()["opposite"]}, chosen=opposite),
    )


def test_the_scale_is_that_of_validation_data_alone():
    table = attacked()

    for name, detector in toys().items():
        rows = table[(table["part"] == "attacked") & (table["detector"] == name)]
        natural = detector.formula(DEV.values.astype(np.float64))
        expected = Suspicion.from_validation(natural).of(rows[f"score_{name}"])
        assert rows["suspicion"].to_numpy() == pytest.approx(expected, rel=1e-9)


def test_natural_rows_are_all_of_both_splits_as_they_are():
    table = attacked()

    for part, split in (("validation", DEV), ("natural", TEST)):
        rows = of_part(table, part)
        assert rows["id"].tolist() == split.ids.tolist()
        assert rows["label"].tolist() == split.labels.tolist()
        assert (rows["detector"] == "").all() and rows["penalty"].isna().all()
        assert not rows["flipped"].any() and (rows[["l0", "l2", "k"]] == 0).all(axis=None)
        correct = (MODEL.predict_proba(split.values)[:, 1] > 0.5) == split.labels
        assert rows["correct_before"].tolist() == correct.tolist()
        for name, detector in toys().items():
            expected = detector.formula(split.values.astype(np.float64))
            assert rows[f"score_{name}"].tolist() == pytest.approx(expected.tolist())
    assert set(table["part"]) == {"validation", "natural", "attacked"}
    assert of_part(table)["correct_before"].all()


def test_more_features_than_there_are_leave_nothing_to_try() -> None:
    message = refusal(attacked, asked=replace(SMALL, k=(P + 1, 500)))

    assert "there are 8 features only" in message


def test_only_the_detectors_asked_for_are_evaded_but_all_score():
    asked = Adaptive(
        samples=3,
        detectors=["mahalanobis"],
        penalties=(0.5,),
        nearest=1,
        k=(2,),
        t=(1.0,),
        own_class=False,
    )
    rows = of_part(attacked(asked=asked))

    assert set(rows["detector"]) == {"mahalanobis"} and len(rows) == 3
    assert {"score_spectral", "score_mahalanobis"} <= set(rows.columns)


def test_a_model_that_is_always_wrong_has_nothing_attacked():
    everything = Logistic(np.zeros(P), bias=1.0)
    negative = TEST.take(TEST.labels == 0)
    table = adaptive_fimba.attack(
        everything, toys(), TRAIN, DEV, negative, made(), RANKINGS, options(), SMALL, 0
    )

    assert not len(of_part(table)) and len(of_part(table, "natural")) == len(negative)
    assert table.dtypes.to_dict() == attacked().dtypes.to_dict()


# Samples, family, pruning ------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_samples_are_the_same_for_all_models_as_far_as_possible(seed, n):
    rng = np.random.default_rng(seed)
    labels = (rng.random(40) < 0.3).astype(np.int64)
    everything, some = np.ones(40, dtype=bool), rng.random(40) < 0.8

    ideal = fimba_family.chosen_samples(labels, everything, n, seed)
    found = fimba_family.chosen_samples(labels, some, n, seed)

    assert len(ideal) == n and some[found].all() and len(set(found)) == len(found)
    assert set(ideal[some[ideal]]) <= set(found)
    for label in (0, 1):
        wanted = int((labels[ideal] == label).sum())
        assert (labels[found] == label).sum() == min(wanted, int(some[labels == label].sum()))
    assert fimba_family.chosen_samples(labels, some, None, seed).tolist() == (
        np.flatnonzero(some).tolist()
    )


def family(chosen, asked=SMALL, rankings=RANKINGS):
    return fimba_family.candidates(TEST, made(), rankings, chosen, asked, 0)


def test_the_order_is_the_first_that_is_not_random():
    both = {("shap", "global"): ORDER, ("permutation", "global"): ORDER[::-1]}
    asked = options(features=["random", "permutation", "shap"])
    alone = fimba.orders({}, options(features=["random"]), (3, P), 0)[0].order

    assert family(asked, rankings=both).order.tolist() == ORDER[::-1].tolist()
    assert family(options(features=["random"]), rankings={}).order.tolist() == alone.tolist()


def test_numbers_of_features_are_those_there_are_once_each():
    found = family(options(features=["shap"]), Adaptive(k=(P, 3, P + 1, "all"), t=(0.4,)))

    assert [(way.target, way.k) for way in found.ways] == [(i, k) for i in range(6) for k in (P, 3)]


def test_a_sample_without_a_target_is_not_moved_to_it():
    negative = np.flatnonzero(TRAIN.labels == 0)[:1]
    known = {"error": targets.error_targets(TRAIN, out_of_fold(TRAIN, negative))}
    chosen = options(features=["shap"], targets=["error"])

    found = fimba_family.candidates(TEST, known, RANKINGS, chosen, SMALL, 0).possible()
    rows = of_part(attacked(known=known, chosen=chosen))

    assert found[:, 0].all() and not found[TEST.labels == 1, 1:].any()
    assert (found[TEST.labels == 0].sum(axis=1) == 1 + 3 * 2).all()
    assert (rows.loc[rows["label"] == 1, ["k", "t", "l0"]] == 0).all(axis=None)


def test_moved_features_that_the_flip_does_not_need_are_put_back():
    # The model looks at the first gene alone, the detector at all others; natural is class 0.
    rng = np.random.default_rng(4)
    train = samples([[-0.7] * P, [1.0] * P], [0, 1], "train")
    dev, test = (
        samples(rng.uniform(-1, -0.5, (n, P)), np.zeros(n), name)
        for n, name in ((99, "dev"), (20, "test"))
    )
    model = Logistic(np.eye(P)[0] * 5)
    mine = {"others": Formula(lambda x: x[:, 1:].sum(axis=1))}
    asked = Adaptive(samples=None, penalties=(0.0, 0.5), k=("all",), t=(1.0,), own_class=False)
    known = {"opposite": targets.opposite_targets(train)}
    chosen = options(features=["shap"], targets=["opposite"])
    order = {("shap", "global"): np.arange(P)}
    rows = of_part(
        adaptive_fimba.attack(model, mine, train, dev, test, known, order, chosen, asked, 0)
    )
    plain, adaptive = (rows[rows["penalty"] == penalty] for penalty in (0, 0.5))
    natural = Suspicion.from_validation(mine["others"].formula(dev.values.astype(float)))
    before = natural.of(mine["others"].formula(test.values.astype(float)))

    assert plain["flipped"].all() and (plain["l0"] == P).all() and (plain["suspicion"] > 5).all()
    assert adaptive["flipped"].all() and (adaptive["k"] == P).all()
    suspicious = before > 0
    assert (adaptive["l0"].to_numpy()[suspicious] == 1).all() and suspicious.any()
    assert adaptive["suspicion"].to_numpy()[suspicious] == pytest.approx(before[suspicious])
    assert (adaptive["suspicion"].to_numpy()[~suspicious] <= 0).all()


@given(st.integers(0, 1000), st.integers(1, 300))
@settings(max_examples=25, deadline=None)
def test_each_moved_feature_has_one_part_and_the_least_important_the_first(seed, p):
    rng = np.random.default_rng(seed)
    moved, order = rng.random((4, p)) < rng.random((4, 1)), rng.permutation(p)

    part = feature_pruning.parts(moved, order)

    assert ((part >= 0) == moved).all() and part.max() < feature_pruning.STEPS
    for row, mine in zip(part, moved, strict=True):
        in_turn = row[order[::-1]][mine[order[::-1]]]
        assert (np.diff(in_turn) >= 0).all() and (np.diff(in_turn) <= 1).all()
        assert not mine.any() or in_turn[0] == 0
        if mine.sum() <= feature_pruning.STEPS:
            assert in_turn.tolist() == list(range(mine.sum()))


def test_what_does_not_fit_is_refused():
    shap = options(features=["shap"])
    other = samples(DEV.values, DEV.labels, "dev", tuple("abcdefgh"))

    assert "no ranking by shap" in refusal(family, shap, rankings={})
    assert "kind error" in refusal(attacked, known={"opposite": made()["opposite"]})
    assert "different genes" in refusal(
        adaptive_fimba.attack, MODEL, toys(), TRAIN, other, TEST, made(), RANKINGS, shap, SMALL, 0
    )
