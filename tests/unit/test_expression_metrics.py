import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from sklearn import metrics as sklearn_metrics

from genosiege.expression.metrics import metrics, predictions

# One negative of three is called positive, two positives of four negative.
P = np.array([0.1, 0.2, 0.7, 0.9, 0.6, 0.4, 0.5])
LABELS = np.array([0, 0, 0, 1, 1, 1, 1])


def test_metrics_by_hand():
    found = metrics(P, LABELS)

    assert (found.n, found.n_positive, found.n_negative) == (7, 4, 3)
    assert (found.fp, found.fn) == (1, 2)
    assert found.fpr == pytest.approx(1 / 3)
    assert found.fnr == pytest.approx(1 / 2)
    assert found.accuracy == pytest.approx(4 / 7)
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert found.mcc == pytest.approx((2 * 2 - 1 * 2) / np.sqrt(3 * 4 * 4 * 3))
    # Of the 12 pairs, .9 wins three times, .6, .5 and .4 two each.
    assert found.auroc == pytest.approx(9 / 12)


def test_calibration_error_is_the_gap_of_confidence_in_either_class():
    # All of confidence .9, three in four correct: two negatives, two positives.
    found = metrics(np.array([0.1, 0.1, 0.9, 0.9]), np.array([0, 0, 1, 0]))

    assert found.ece == pytest.approx(0.9 - 0.75)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_metrics_agree_with_those_of_scikit_learn_where_those_are_defined(rows):
    p = np.array([row[0] for row in rows])
    labels = np.array([row[1] for row in rows])
    predicted = (p > 0.5).astype(int)

    found = metrics(p, labels)

    assert found.accuracy == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted))
    matrix = sklearn_metrics.confusion_matrix(labels, predicted, labels=[0, 1])
    assert (found.fp, found.fn) == (matrix[0, 1], matrix[1, 0])
    if len(np.unique(labels)) == 2:
        balanced = sklearn_metrics.balanced_accuracy_score(labels, predicted)
        assert found.balanced_accuracy == pytest.approx(balanced)
        assert found.mcc == pytest.approx(sklearn_metrics.matthews_corrcoef(labels, predicted))
        assert found.auroc == pytest.approx(sklearn_metrics.roc_auc_score(labels, p))
    else:
        assert found.balanced_accuracy is None
        assert found.auroc is None
        assert found.mcc == 0
    if labels.any() or predicted.any():
        assert found.f1 == pytest.approx(sklearn_metrics.f1_score(labels, predicted))
    else:
        assert found.f1 is None


def test_perfect_answers_have_a_correlation_of_exactly_one():
    labels = np.repeat([0, 1], [111, 776])

    assert metrics(labels.astype(float), labels).mcc == 1


def test_correlation_of_many_samples_is_no_overflow():
    labels = np.repeat([0, 1], 200_000)

    assert metrics(labels * 0.5 + 0.3, labels).mcc == 1


def test_predictions_say_what_the_true_class_got():
    table = predictions(list("abcdefg"), P, LABELS)

    assert list(table.columns) == ["id", "label", "predicted", "correct", "p_true", "p_positive"]
    assert table["predicted"].tolist() == [0, 0, 1, 1, 1, 0, 0]  # a tie is a 0
    assert table["correct"].tolist() == [True, True, False, True, True, False, False]
    assert table["p_true"].tolist() == pytest.approx([0.9, 0.8, 0.3, 0.9, 0.6, 0.4, 0.5])
    assert table["correct"].mean() == pytest.approx(metrics(P, LABELS).accuracy)


@pytest.mark.parametrize(
    ("p", "labels", "told"),
    [
        ([], [], "at least one sample"),
        ([0.5, 0.5], [0], "one of each per sample"),
        ([[0.5]], [[0]], "one of each per sample"),
        ([1.5], [0], "outside [0, 1]"),
        ([float("nan")], [0], "outside [0, 1]"),
        ([0.5], [2], "neither 0 nor 1"),
    ],
)
def test_what_is_no_probability_or_label_is_refused(p, labels, told):
    for function in (metrics, lambda p, y: predictions([""] * len(y), p, y)):
        assert told in refusal(function, np.array(p), np.array(labels))
