"""Scores of natural and attacked expression: of exactly the values that the attacks make."""

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from sklearn.metrics import roc_auc_score
from toy_expression_models import Logistic, drawn, options, out_of_fold
from toy_expression_vae import Scaling

from genosiege.detection import detectors, expression_scores
from genosiege.detection.options import Detection
from genosiege.expression import evasion, fimba, targets
from genosiege.expression.samples import Samples

P = 8
TRAIN, DEV, TEST = drawn(0, 60, P, "train"), drawn(1, 20, P, "dev"), drawn(2, 30, P, "test")
MODEL = Logistic(np.linspace(2, 0.2, P))
NEGATIVES = np.flatnonzero(TRAIN.labels == 0)
RANKINGS = {
    ("shap", "global"): np.random.default_rng(3).permutation(P),
    ("shap", "per_sample"): np.argsort(np.random.default_rng(4).random((18, P)), axis=1),
}
# Fewer samples than there are; more features than there are; a class without errors.
FIMBA = options(
    importance=["global", "per_sample"], k=[2, 5, "all", 20], t=[0.5, 1.0], test_samples=18
)
EVASION = options(
    importance=["global"], k=[3, "all"], t=[0.7], targets=["opposite"], test_samples=18
)
SETTING = ["targets", "importance", "features", "feature_set", "values", "k", "t"]
SEED = 7


def known():
    return targets.make(["error", "opposite"], TRAIN, out_of_fold(TRAIN, NEGATIVES[:3]))


def score(vae=None, chosen=FIMBA, detection=None, **changes):
    given = {"model": MODEL, "train": TRAIN, "dev": DEV, "test": TEST} | changes
    names = ["spectral", "mahalanobis", "nearest_neighbours", "isolation_forest", "margin"]
    return expression_scores.score(
        given["model"],
        vae,
        given["train"],
        given["dev"],
        given["test"],
        known(),
        RANKINGS,
        chosen,
        detection or Detection(expression=names + (["vae"] if vae else []), trees=20),
        SEED,
        fraction=50,
        evasion_options=given.get("evasion_options"),
    )


class Witness:
    """Its score is the number of the row among all that it has been asked about."""

    def __init__(self):
        self.events = []
        self.fitted = []
        self.rows = np.empty((0, P), dtype=np.float32)

    def fit(self, values, labels):
        self.events.append("fit")
        self.fitted.append((values.copy(), labels.copy()))
        return self

    def score(self, values):
        self.events.append("score")
        first = len(self.rows)
        self.rows = np.concatenate([self.rows, values])
        return np.arange(first, len(self.rows), dtype=np.float64)


@pytest.fixture
def witness(monkeypatch):
    made = Witness()
    monkeypatch.setattr(detectors, "build", lambda *names, **rest: {"witness": made})
    return made


def seen_values(witness, rows):
    return witness.rows[rows["score_witness"].to_numpy().astype(int)]


def outcomes(rows, values):
    """l0, l2 and p_true of these values of test samples, one at a time."""
    place = {name: row for row, name in enumerate(TEST.ids.tolist())}
    found = []
    for name, label, moved in zip(rows["id"], rows["label"], values, strict=True):
        difference = moved.astype(float) - TEST.values[place[name]]
        p_true = MODEL.predict_proba(moved[None])[0, label]
        found.append((np.count_nonzero(difference), np.sqrt((difference**2).sum()), p_true))
    return np.array(found).T


def check_against(expected, rows, witness):
    """Row by row: the settings, the samples, and what the moved values do."""
    expected = expected[expected["status"] == "attacked"].reset_index(drop=True)
    rows = rows.reset_index(drop=True)
    same = [*SETTING, "id", "label", "correct_before"]
    pd.testing.assert_frame_equal(rows[same], expected[same])
    flipped = expected["correct_before"] & ~expected["correct_after"]
    assert (rows["flipped"] == flipped).all() and flipped.any() and not flipped.all()
    assert (rows["moved"] == (expected["l0"] > 0)).all()
    l0, l2, p_true = outcomes(rows, seen_values(witness, rows))
    assert (l0 == expected["l0"]).all()
    np.testing.assert_allclose(l2, expected["l2"], rtol=1e-12)
    np.testing.assert_allclose(p_true, expected["p_true_after"], rtol=1e-12)


def test_the_values_scored_are_those_of_fimba_row_by_row(witness):
    expected = fimba.attack(MODEL, TEST, TRAIN, known(), RANKINGS, FIMBA, SEED)

    rows = score()

    attacked = rows[rows["part"] == "attacked"]
    assert set(expected["status"]) == {"attacked", "no_targets", "k_exceeds_features"}
    assert set(attacked["attack"]) == {"fimba"} and (attacked["fraction"] == 0).all()
    check_against(expected, attacked, witness)


@pytest.mark.parametrize("own", [None, EVASION])
def test_the_values_scored_are_those_of_evasion_row_by_row(witness, own):
    vae = Scaling(TEST.genes, 0.5)
    chosen = own or FIMBA
    expected = evasion.attack(MODEL, {50: vae}, TEST, TRAIN, known(), RANKINGS, chosen, SEED)
    expected = expected[expected["values"] == "decoded"]

    rows = score(vae, evasion_options=own)

    attacked = rows[rows["attack"] == "vae"]
    assert (attacked["fraction"] == 50).all()
    check_against(expected, attacked, witness)


def test_a_sample_that_has_not_moved_keeps_the_score_it_had(witness):
    rows = score(chosen=options(t=[0.0], k=[2], test_samples=18, values=["interpolated"]))

    attacked = rows[rows["part"] == "attacked"]
    assert not attacked["moved"].any() and not attacked["flipped"].any()
    natural = rows[rows["part"] == "natural"].set_index("id")["score_witness"]
    assert (attacked["score_witness"] == natural.loc[attacked["id"]].to_numpy()).all()


def test_natural_rows_are_all_of_dev_and_all_of_test_as_they_are(witness):
    rows = score()

    for part, split in (("validation", DEV), ("natural", TEST)):
        mine = rows[rows["part"] == part]
        assert mine["id"].tolist() == split.ids.tolist()
        assert mine["label"].tolist() == split.labels.tolist()
        assert np.array_equal(seen_values(witness, mine), split.values)
        predicted = MODEL.predict_proba(split.values).argmax(axis=1)
        assert (mine["correct_before"] == (predicted == split.labels)).all()
        assert not mine["flipped"].any() and not mine["moved"].any()
        assert (mine[["attack", "targets", "importance", "features", "values"]] == "").all(None)
        assert (mine[["k", "feature_set", "fraction"]] == 0).all(None) and mine["t"].isna().all()
    assert rows["part"].drop_duplicates().tolist() == ["validation", "natural", "attacked"]


def test_detectors_are_fitted_once_on_natural_training_rows_before_anything_is_scored(witness):
    score(Scaling(TEST.genes, 0.5), detection=Detection(fit_samples=40))

    assert witness.events[0] == "fit" and witness.events.count("fit") == 1
    ((values, labels),) = witness.fitted
    of_train = {row.tobytes(): label for row, label in zip(TRAIN.values, TRAIN.labels, strict=True)}
    assert len(values) == 40
    assert [of_train[row.tobytes()] for row in values] == labels.tolist()


def test_moving_all_features_is_scored_once_for_all_orders(witness):
    chosen = options(k=["all"], values=["interpolated"], targets=["opposite"], random_sets=3)

    rows = score(chosen=chosen, detection=Detection())

    assert witness.events == ["fit", "score", "score", "score"]  # dev, test, moved
    attacked = rows[rows["part"] == "attacked"]
    assert len(attacked) == 4 * 30
    assert attacked.groupby("id")["score_witness"].nunique().max() == 1


def test_real_detectors_score_the_rows_and_the_same_ones_twice():
    vae = Scaling(TEST.genes, 0.5)

    rows, again = score(vae), score(vae)

    pd.testing.assert_frame_equal(rows, again)
    assert list(rows.columns) == [
        "part", "attack", *SETTING, "fraction", "id", "label", "target", "correct_before",
        "flipped", "moved", "score_spectral", "score_mahalanobis", "score_nearest_neighbours",
        "score_isolation_forest", "score_margin", "score_vae",
    ]  # fmt: skip
    found = rows.filter(like="score_")
    assert (found.dtypes == np.float64).all() and np.isfinite(found).all(None)
    natural = rows[rows["part"] == "natural"]
    direct = detectors.NearestNeighbours(5).fit(TRAIN.values, TRAIN.labels).score(TEST.values)
    np.testing.assert_allclose(natural["score_nearest_neighbours"], direct, rtol=1e-9)
    margin = 2 * np.abs(MODEL.predict_proba(TEST.values)[:, 1] - 0.5)
    np.testing.assert_allclose(natural["score_margin"], -margin, atol=1e-12)
    for attack in ("fimba", "vae"):
        mine = rows[(rows["attack"] == attack) & ~rows["moved"]]
        kept = natural.set_index("id").loc[mine["id"], found.columns]
        assert (mine[found.columns].to_numpy() == kept.to_numpy()).all()


def test_what_leaves_the_data_is_seen_by_the_distances():
    narrow = [Samples(s.ids, s.values * 0.2, s.labels, s.genes) for s in (TRAIN, DEV, TEST)]
    chosen = options(k=["all"], values=["uniform"], features=["random"], random_sets=1)
    train, dev, test = narrow

    rows = score(chosen=chosen, train=train, dev=dev, test=test)

    later = rows[rows["part"] != "validation"]
    for name in ("mahalanobis", "nearest_neighbours", "isolation_forest"):
        found = roc_auc_score(later["part"] == "attacked", later[f"score_{name}"])
        assert found > 0.97, name


def test_without_an_autoencoder_there_is_neither_its_attack_nor_its_detector():
    rows = score()

    assert "score_vae" not in rows and "vae" not in set(rows["attack"])


def test_an_empty_dev_split_gives_no_validation_rows():
    rows = score(dev=DEV.take(np.arange(0)))

    assert set(rows["part"]) == {"natural", "attacked"}


def test_what_does_not_belong_together_is_refused():
    renamed = Samples(DEV.ids, DEV.values, DEV.labels, DEV.genes[::-1])

    assert "different genes" in refusal(score, dev=renamed)
    assert "other genes" in refusal(score, Scaling(TEST.genes[::-1]))
    assert "there is no VAE" in refusal(score, detection=Detection(expression=["vae"]))
    missing = options(targets=["test_error"])
    assert "targets of kind test_error" in refusal(score, chosen=missing)
