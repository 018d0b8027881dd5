import numpy as np
import pytest

from genosiege import calibration
from genosiege.errors import InputError
from genosiege.sequence import metrics


def logits_of(probabilities):
    return np.log(np.array(probabilities))


@pytest.fixture
def two_classes():
    """Ten sequences: 3 true negatives, 2 false positives, 1 false negative, 4 true positives."""
    p_positive = [0.1, 0.2, 0.3, 0.6, 0.9, 0.4, 0.7, 0.8, 0.85, 0.95]
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    return logits_of([[1 - p, p] for p in p_positive]), labels


def test_metrics_of_two_classes_are_those_computed_by_hand(two_classes):
    found = metrics.classification_metrics(*two_classes)

    assert found.n == 10
    assert found.confusion_matrix == [[3, 2], [1, 4]]
    assert found.accuracy == pytest.approx(0.7)
    # (TP·TN - FP·FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN))
    assert found.mcc == pytest.approx((4 * 3 - 2 * 1) / np.sqrt(6 * 5 * 5 * 4))
    # 2TP / (2TP + FP + FN) of each class
    assert found.f1 == pytest.approx((6 / 9 + 8 / 11) / 2)
    # Of 25 pairs, 0.4 loses to 0.6 and 0.9, and 0.7, 0.8, 0.85 lose to 0.9.
    assert found.auroc == pytest.approx(20 / 25)


def test_mean_margin_is_the_true_logit_minus_the_largest_other():
    logits = np.array([[1.0, 3.0, 2.0], [5.0, 0.0, 4.0]])
    found = metrics.classification_metrics(logits, np.array([1, 0]))

    # 3 - 2 and 5 - 4.
    assert found.mean_margin == pytest.approx(1.0)


def test_ece_weighs_the_gaps_of_its_bins():
    # Two in the bin (12/15, 13/15], one right; two in the bin (14/15, 1], both right.
    probabilities = np.array([[0.82, 0.18], [0.16, 0.84], [0.96, 0.04], [0.02, 0.98]])
    labels = np.array([0, 0, 0, 1])

    expected = 2 / 4 * abs(0.83 - 0.5) + 2 / 4 * abs(0.97 - 1.0)
    assert calibration.expected_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_ece_bins_are_closed_above():
    # 0.6 = 9/15 and 0.59 share the bin (8/15, 9/15], so their errors cancel.
    probabilities = np.array([[0.6, 0.4], [0.59, 0.41]])

    found = calibration.expected_calibration_error(probabilities, np.array([0, 1]))
    assert found == pytest.approx(abs(0.595 - 0.5))


def test_three_classes():
    logits = np.eye(3)[[0, 1, 2, 0]] * 4.0
    found = metrics.classification_metrics(logits, np.array([0, 1, 2, 1]))

    assert found.confusion_matrix == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert found.f1 == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    # Against the rest: class 0 ties one of three negatives, class 1 ties in one of two.
    assert found.auroc == pytest.approx(np.mean([2.5 / 3, 3 / 4, 1.0]))


def test_a_split_of_one_class_has_no_auroc_and_an_mcc_of_zero():
    found = metrics.classification_metrics(np.array([[2.0, 0.0], [1.0, 0.0]]), np.array([0, 0]))

    assert found.auroc is None
    assert found.mcc == 0.0
    assert found.accuracy == 1.0
    assert found.confusion_matrix == [[2, 0], [0, 0]]


def test_extreme_logits_do_not_overflow():
    found = metrics.classification_metrics(np.array([[1e4, -1e4]]), np.array([0]))

    assert found.ece == 0.0


@pytest.mark.parametrize(
    ("logits", "labels"),
    [([[np.nan, 0.0]], [0]), (np.empty((0, 2)), []), ([[1.0, 0.0]], [0, 1])],
)
def test_impossible_input_is_refused(logits, labels):
    with pytest.raises(InputError):
        metrics.classification_metrics(np.array(logits), np.array(labels, dtype=int))


def test_loss_and_saturation_are_those_computed_by_hand():
    # The true classes have 0.995, 0.6 and 0.004; the first and the last are near a ceiling.
    probabilities = np.array([[0.995, 0.005], [0.4, 0.6], [0.004, 0.996]])

    found = metrics.classification_metrics(logits_of(probabilities), np.array([0, 1, 0]))

    assert found.loss == pytest.approx(-np.log([0.995, 0.6, 0.004]).mean())
    assert found.saturation == pytest.approx(2 / 3)


def test_predictions_agree_with_the_accuracy(two_classes):
    logits, labels = two_classes

    table = metrics.predictions([f"test:{row}" for row in range(10)], logits, labels)

    assert list(table) == ["id", "label", "predicted", "correct", "p_true", "margin"]
    assert table["correct"].mean() == metrics.classification_metrics(logits, labels).accuracy
    assert table.loc[3, ["id", "label", "predicted", "correct"]].tolist() == ["test:3", 0, 1, False]
    assert table.loc[3, "p_true"] == pytest.approx(0.4)
    assert table.loc[3, "margin"] == pytest.approx(np.log(0.4 / 0.6))
