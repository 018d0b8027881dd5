import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from genosiege import calibration, files
from genosiege.errors import InputError
from genosiege.input_checks import PASSED, PHRASES
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


# Better than chance? ------------------------------------------------------------------


def answering(labels, predicted, n_classes=2):
    """Logits whose largest is of the predicted class."""
    return np.eye(n_classes)[predicted] * 3.0, np.asarray(labels)


def told(labels, predicted, n_classes=2):
    return metrics.classification_metrics(*answering(labels, predicted, n_classes))


def test_the_correlation_of_many_tables_is_that_of_their_rows():
    rng = np.random.default_rng(0)
    for n_classes in (2, 3, 5):
        tables = rng.integers(0, 9, size=(40, n_classes, n_classes))
        tables[0] = 0
        tables[0, :, 1] = 4  # one answer to everything
        tables[1, 1:] = 0  # one true class
        tables[2] = np.diag(np.arange(n_classes))

        found = metrics.correlation(tables)

        for table, value in zip(tables, found, strict=True):
            true, predicted = (
                np.repeat(axis.ravel(), table.ravel()) for axis in np.indices(table.shape)
            )
            assert value == pytest.approx(matthews_corrcoef(true, predicted), abs=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_interval_is_that_of_drawing_the_sequences_themselves(n_classes):
    rng = np.random.default_rng(n_classes)
    labels = rng.choice(n_classes, size=80, p=[0.7, 0.3] if n_classes == 2 else [0.6, 0.3, 0.1])
    predicted = np.where(rng.random(80) < 0.7, labels, rng.integers(n_classes, size=80))
    drawn = rng.integers(80, size=(2500, 80))
    values = [matthews_corrcoef(labels[rows], predicted[rows]) for rows in drawn]

    found = told(labels, predicted, n_classes).mcc_interval

    assert list(found.values()) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.03)


def test_the_interval_covers_the_correlation_as_often_as_it_says():
    rng = np.random.default_rng(1)
    # Classes of 60 and 40 %, right in 80 and 70 % of the cases.
    cells = np.array([[0.48, 0.12], [0.12, 0.28]])
    (truth,) = metrics.correlation((cells * 1e4).astype(int)[None])

    intervals = [
        metrics.mcc_interval(rng.multinomial(300, cells.ravel()).reshape(2, 2)) for _ in range(400)
    ]

    covered = np.mean([low <= truth <= high for low, high in intervals])
    # Four standard errors of 400 trials around 95 %.
    assert 0.906 <= covered <= 0.994


def test_coin_flips_are_seldom_called_better_than_chance():
    rng = np.random.default_rng(2)
    checks = [
        told(rng.integers(2, size=150), rng.integers(2, size=150)).input_check for _ in range(400)
    ]

    # 2.5 % on either side, and four standard errors.
    assert checks.count(PASSED) <= 400 * 0.056
    assert checks.count("labels_swapped") <= 400 * 0.056
    assert checks.count("constant_model") == 0


def test_equal_answers_have_equal_intervals_and_they_can_be_written(tmp_path):
    one, other = told([0, 1, 1, 0] * 9, [0, 1, 0, 0] * 9), told([1, 0, 0, 1] * 9, [0, 0, 1, 1] * 9)

    assert one.mcc_interval == told([0, 1, 1, 0] * 9, [0, 1, 0, 0] * 9).mcc_interval
    assert one.mcc_interval != other.mcc_interval
    written = tmp_path / "metrics.json"
    files.write_json({"mcc_interval": one.mcc_interval, "ok": one.better_than_chance}, written)
    assert files.read_json(written) == {"mcc_interval": one.mcc_interval, "ok": True}


LABELS = [0, 1] * 40


@pytest.mark.parametrize(
    ("predicted", "check"),
    [
        (LABELS, PASSED),
        ([0] * 80, "constant_model"),
        ([1] * 80, "constant_model"),
        ([1 - label for label in LABELS], "labels_swapped"),
        ([0, 0, 1, 1] * 20, "no_better_than_majority"),
    ],
)
def test_the_answers_are_judged(predicted, check):
    found = told(LABELS, predicted)

    assert found.input_check == check
    assert check == PASSED or check in PHRASES
    assert found.better_than_chance == (check == PASSED)
    assert found.n_predicted_classes == len(set(predicted))
    assert found.majority_share == 0.5
    if check == "constant_model":
        assert found.mcc == 0 and found.mcc_interval == {"low": 0.0, "high": 0.0}


def test_one_right_answer_among_many_equal_ones_is_no_constant_model():
    # The first condition that holds: it is no better than chance, but not constant.
    found = told([0, 1] * 30, [0] * 59 + [1])

    assert (found.n_predicted_classes, found.input_check) == (2, "no_better_than_majority")


def test_a_test_split_without_a_class_is_measured():
    found = told([0, 0, 1, 1, 0, 1], [0, 1, 1, 2, 0, 1], n_classes=3)

    assert found.auroc is None
    assert found.majority_share == 0.5
    assert found.n_predicted_classes == 3
    assert told([0] * 6, [0] * 5 + [1], 3).input_check == "no_better_than_majority"
