"""When hardening stops, on tables whose rates are counted by hand."""

import pytest
from refusals import refusal
from toy_tables import attack, attack_row, flip, skipped

from genosiege.sequence.stopping import decide
from genosiege.sequence.training_rows import CRITERIA, training_side


def source(n_flipped: int, n_withstood: int, n_wrong: int = 2):
    """Make an attack with these outcomes; another attack seed flips everything."""
    made = [flip(f"train:f{i}", 2) for i in range(n_flipped)]
    made += [attack_row(f"train:w{i}") for i in range(n_withstood)]
    made += [skipped(f"train:s{i}") for i in range(n_wrong)]
    again = [row | flip(row["id"], 1, 1) for row in made if row["correct_before"]]
    return attack("genetic", [*again, *made], split="train")


@pytest.mark.parametrize(
    ("n_flipped", "n_withstood", "threshold", "go"),
    [
        (1, 24, 0.05, False),
        (1, 19, 0.05, False),  # at the threshold
        (1, 18, 0.05, True),
        (0, 20, 0.05, False),
        (20, 0, 0.99, True),
        (3, 1, 0.75, False),
        (3, 1, 0.74, True),
    ],
)
def test_the_flip_rate_stops_at_or_below_the_threshold(n_flipped, n_withstood, threshold, go):
    decision = decide("flip_rate", threshold, 3, source(n_flipped, n_withstood), [])

    assert decision["go"] is go
    assert decision["value"] == pytest.approx(n_flipped / (n_flipped + n_withstood))
    assert {name: decision[name] for name in ("round", "rule", "threshold")} == {
        "round": 3,
        "rule": "flip_rate",
        "threshold": threshold,
    }


def test_the_reason_is_a_clause_for_people():
    low = decide("flip_rate", 0.05, 2, source(1, 24), [])["reason"]
    assert low == "flip rate 0.040 of the training-side attack is at or below 0.05"
    fell = decide("accuracy", 0.01, 3, None, [0.8, 0.9, 0.88])["reason"]
    assert fell == "clean accuracy changed by -0.0200 in round 2, which is below 0.01"


def test_a_model_that_is_right_about_nothing_stops():
    decision = decide("flip_rate", 0.05, 1, source(0, 0), [])
    assert (decision["go"], decision["value"]) == (False, None)


@pytest.mark.parametrize("rule", ["flip_rate", "accuracy"])
def test_threshold_zero_runs_every_round(rule):
    decision = decide(rule, 0.0, 2, source(0, 5), [0.9, 0.5])
    assert decision["go"] is True


def test_a_control_is_not_stopped_by_a_flip_rate():
    assert decide("flip_rate", 0.5, 4, None, [])["go"] is True


@pytest.mark.parametrize(
    ("accuracies", "go"),
    [
        ([0.5], True),
        ([0.5, 0.75], True),
        ([0.5, 0.625], True),  # at the threshold
        ([0.5, 0.5625], False),
        ([0.5, 0.75, 0.75], False),
        ([0.75, 0.5, 0.75], True),
    ],
)
def test_accuracy_stops_where_the_last_round_gained_too_little(accuracies, go):
    decision = decide("accuracy", 0.125, len(accuracies), source(0, 1), accuracies)

    assert decision["go"] is go
    expected = accuracies[-1] - accuracies[-2] if len(accuracies) > 1 else None
    assert decision["value"] == expected


def test_under_the_leak_only_the_sequences_attacked_for_training_count():
    made = [flip(f"test:{i}", 2, label=i % 2) for i in range(40)]
    everything = attack("genetic", made)
    chosen = set(training_side(everything, 10)["id"])
    rows = [row if row["id"] in chosen else attack_row(row["id"], label=row["label"])
            for row in made]  # fmt: skip
    leak = attack("genetic", rows)

    assert decide("flip_rate", 0.3, 1, leak, [], 10)["value"] == 1
    assert decide("flip_rate", 0.3, 1, leak, [])["value"] == 0.25


def test_what_makes_no_sense_is_refused():
    assert "loss" in refusal(decide, "loss", 0.1, 1, None, [0.5])
    assert "convergence_threshold" in refusal(decide, "accuracy", -0.1, 1, None, [0.5])
    assert "convergence_threshold" in refusal(decide, "accuracy", float("nan"), 1, None, [0.5])
    assert "2 clean accuracies" in refusal(decide, "accuracy", 0.1, 3, None, [0.5, 0.6])


def test_another_criterion_of_an_adversary_decides_by_its_own_rate():
    rows = [flip(f"train:{i}", 2) for i in range(2)]
    # Confidence falls far enough for the published text, and for its code, without a flip.
    text = {"success_drop": True, "confidence_drop": 0.25}
    rows += [attack_row(f"train:t{i}", **text) for i in range(3)]
    rows += [attack_row("train:c", confidence_drop=0.16), attack_row("train:n")]
    found = attack("genetic", rows, split="train")

    rates = {
        name: decide("flip_rate", 0.5, 1, found, [], criterion=name)["value"] for name in CRITERIA
    }

    assert rates == {"flip": 2 / 7, "drop": 5 / 7, "loose_drop": 6 / 7}
    reason = decide("flip_rate", 0.5, 1, found, [], criterion="drop")["reason"]
    assert reason == "success rate 0.714 of the training-side attack is above 0.5"
