"""The rule of the six verdicts: each by hand, pairs that hold at once, all cases in a loop."""

import itertools
import math
from typing import Any

import pandas as pd
import pytest
from toy_rounds import (
    BEST,
    BETTER,
    TERMS,
    UNCHANGED,
    WORSE,
    Fates,
    fates,
    last_rounds,
    outcomes_of,
    verdicts,
)

from genosiege.sequence.changes import UNKNOWN, Change
from genosiege.sequence.verdict_rule import VERDICTS, Evidence, Terms, judge
from genosiege.statistics import Interval

CONSTANT = "the model gives one answer to everything"
# 100 of 500 sequences answer otherwise than before, so many either way.
MIXED = [("RR", 50), ("RF", 50), ("FR", 50), ("FF", 250), ("WW", 100)]


def failing(check: str, baseline: str = "passed") -> pd.DataFrame:
    """Make the rounds of a defence whose last model fails the input check."""
    told = last_rounds("d")
    told["input_check"] = [check if last else baseline for last in told["is_last"]]
    return told


def one_verdict(under: Fates, n_clean: tuple[int, int] = (400, 400), **of: Any) -> tuple[str, str]:
    """Judge a defence that stands alone; give verdict and note."""
    row = verdicts(outcomes_of("d", under, n_clean), **of)["d"]
    return row["verdict"], row["note"]


def smallest(points: float, n: int = 500) -> str:
    power = "could have shown at 80 % power is"
    return f"the smallest gain that n = {n} {power} {points} points"


BASELINES_ONLY = "transferred adversaries are those of the baseline only"

# Each verdict --------------------------------------------------------------------------


def test_a_model_that_answers_one_class_collapsed() -> None:
    assert one_verdict(fates(), d=failing("constant_model"))[0] == "collapsed"
    assert one_verdict(fates(), d=failing("constant_model")) == ("collapsed", CONSTANT)
    swapped = one_verdict(fates(), d=failing("labels_swapped", "no_better_than_majority"))
    assert swapped[1] == (
        "labels look swapped: the model is worse than chance; "
        "the baseline fails the input check, too"
    )


def test_robust_accuracy_that_falls_is_harmful() -> None:
    assert one_verdict(fates(WORSE, WORSE, UNCHANGED)) == ("harmful", "")


def test_a_defence_that_withstands_more_and_keeps_its_accuracy_is_a_gain() -> None:
    for n_clean in ((400, 400), (400, 402)):
        verdict = one_verdict(fates(BETTER, BETTER, BETTER), n_clean)
        assert verdict == ("robust gain", BASELINES_ONLY)
    asked = fates(BETTER, BETTER, BETTER) | {"transfer:t:promoters/hf": BETTER}
    assert one_verdict(asked) == ("robust gain", "")


def test_a_gain_whose_clean_loss_is_not_excluded_says_how_much_it_may_be() -> None:
    under = fates(BETTER, BETTER, BETTER)

    # Three clean sequences of 500 lost: too few to show a loss, too many to exclude one.
    row = verdicts(outcomes_of("d", under, (400, 397)))["d"]

    assert row["delta_clean_accuracy_low"] < -0.01 < 0 <= row["delta_clean_accuracy_high"]
    loss = -100 * row["delta_clean_accuracy_low"]
    assert row["verdict"] == "robust gain"
    assert row["note"].startswith(f"clean loss up to {loss:.1f} points not excluded; ")


def test_a_gain_that_costs_clean_accuracy_is_at_a_cost() -> None:
    assert one_verdict(fates(BETTER, BETTER, BETTER), (400, 380)) == (
        "gain at a cost",
        f"{BASELINES_ONLY}; clean accuracy fell",
    )


@pytest.mark.parametrize(
    ("under", "against"),
    [
        (fates(UNCHANGED, BETTER, BETTER), "the worst case"),
        (fates(BETTER, BETTER, UNCHANGED), "transferred adversaries"),
    ],
)
def test_an_own_attack_that_improves_more_than_others_is_masking(
    under: Fates, against: str
) -> None:
    # Under a suite that cannot call a gain.
    alone = TERMS._replace(suite={"genetic": TERMS.suite["genetic"]})

    verdict, note = one_verdict(under, terms=alone)

    assert verdict == "masking"
    first = note.split("; ")[0]
    moved = "robust accuracy moved 12.0 points higher under the own attack than under "
    assert first == moved + against


def test_nothing_that_changes_is_no_difference_and_says_what_n_could_have_shown() -> None:
    assert one_verdict(fates()) == ("no difference shown", smallest(1.6))
    assert one_verdict(fates(MIXED, MIXED, MIXED)) == ("no difference shown", smallest(5.6))


# Several that hold at once -------------------------------------------------------------


def holds(verdict: tuple[str, str], first: str, *others: str) -> bool:
    """Tell whether a verdict is the first, and its note names these others and no more."""
    named = [part for part in verdict[1].split("; ") if part.startswith("also ")]
    return verdict[0] == first and all(
        part.startswith(f"also {other}") for part, other in zip(named, others, strict=True)
    )


def test_collapsed_comes_before_harmful() -> None:
    verdict = one_verdict(fates(WORSE, WORSE, UNCHANGED), d=failing("constant_model"))

    assert verdict == ("collapsed", f"{CONSTANT}; also harmful")


def test_collapsed_comes_before_any_gain_or_masking() -> None:
    found = fates(BETTER, BEST, BETTER)

    verdict = one_verdict(found, (400, 250), d=failing("constant_model"))
    assert verdict[1].startswith(f"{CONSTANT}; also gain at a cost; also masking (robust accuracy")
    assert holds(verdict, "collapsed", "gain at a cost", "masking")

    verdict = one_verdict(fates(BETTER, BETTER, BETTER), (400, 397), d=failing("constant_model"))
    assert holds(verdict, "collapsed", "robust gain (clean loss up to")


def test_harmful_comes_before_masking() -> None:
    verdict, note = one_verdict(fates(WORSE, UNCHANGED, UNCHANGED))

    assert verdict == "harmful"
    assert note == (
        "also masking (robust accuracy moved 12.0 points higher under the own attack than under "
        "the worst case)"
    )


def test_a_gain_comes_before_masking() -> None:
    assert holds(one_verdict(fates(BETTER, BEST, BEST)), "robust gain", "masking")
    at_a_cost = one_verdict(fates(BETTER, BEST, BETTER), (400, 380))
    assert holds(at_a_cost, "gain at a cost", "masking")
    assert "than under the worst case, robust accuracy moved" in at_a_cost[1]


def test_a_few_sequences_that_all_agree_are_no_masking() -> None:
    # Their bootstrap has no width: [100, 100] points of three sequences, p = 1/4.
    gap = Change(1.0, Interval(1.0, 1.0), 0.25, 0.95)
    few = dict.fromkeys(("robust_accuracy", "clean_accuracy", "transferred_flip_rate"), UNKNOWN)
    few |= {"own_minus_worst": gap, "own_minus_transferred": UNKNOWN}

    assert judge(Evidence(few))[0] == "no difference shown"
    assert judge(Evidence(few | {"own_minus_worst": gap._replace(p=0.01)}))[0] == "masking"


def test_an_own_attack_that_improves_less_is_no_masking() -> None:
    assert one_verdict(fates(BEST, BETTER, BEST))[0] == "robust gain"


def change(low: float, high: float) -> Change:
    return Change((low + high) / 2, Interval(low, high), 0.01)


UP, DOWN, FLAT = change(0.01, 0.1), change(-0.1, -0.01), change(-0.1, 0.1)


def test_the_rule_in_all_its_cases() -> None:
    each = [UP, DOWN, FLAT, UNKNOWN]
    cleans = [change(*ends) for ends in ((-0.02, -0.01), (-0.01, -0.001), (-0.01, 0.02),
                                         (-0.009, -0.001), (0.01, 0.02))]  # fmt: skip
    checks, lacks = ["passed", "constant_model"], [[], ["no transferred adversaries"]]
    for check, robust, clean, worst, transferred, lacking in itertools.product(
        checks, each, cleans, each, each, lacks
    ):
        known = Evidence(
            {"robust_accuracy": robust, "clean_accuracy": clean, "own_minus_worst": worst,
             "own_minus_transferred": transferred, "transferred_flip_rate": FLAT},
            input_check=check, lacking=lacking, n=100, smallest_gain=0.1,
        )  # fmt: skip

        verdict, note = judge(known)

        gains = robust is UP and not lacking
        costs = clean.interval.low <= -0.01 and clean.interval.high < 0
        holding = {
            "collapsed": check != "passed",
            "harmful": robust is DOWN,
            "robust gain": gains and not costs,
            "gain at a cost": gains and costs,
            "masking": UP in (worst, transferred),
            "no difference shown": True,
        }
        assert list(holding) == list(VERDICTS)
        expected, *others = [name for name, holds in holding.items() if holds]
        assert verdict == expected
        for name in others[:-1]:
            assert f"also {name}" in note
        assert ("no gain is called" in note) == (robust is UP and bool(lacking))
        assert ("not excluded" in note) == (gains and not costs and not clean.interval.low > -0.01)


# A suite under which a gain counts -----------------------------------------------------

SEARCH = {"kind": "genetic", "max_edits": 10, "query_budget": 300}
WHITE = {"kind": "gradient", "max_edits": 10, "query_budget": 400}
MOVED = {"kind": "transfer"}


@pytest.mark.parametrize(
    ("suite", "lacks"),
    [
        ({"g": SEARCH, "t": MOVED}, []),
        ({"g": SEARCH | {"query_budget": 400}, "w": WHITE, "t": MOVED}, []),
        ({"s": {"kind": "greedy"}, "w": WHITE, "t": MOVED}, []),
        ({"g": SEARCH, "w": WHITE, "t": MOVED},
         ["no gradient-free search with the 400 queries of w"]),
        ({"g": SEARCH}, ["no transferred adversaries"]),
        ({"g": SEARCH | {"max_edits": 4}, "t": MOVED}, ["no gradient-free search of 5 edits"]),
        ({"r": SEARCH | {"kind": "random"}, "w": WHITE, "c": {"kind": "certify"}},
         ["no gradient-free search of 5 edits", "no transferred adversaries"]),
        ({"n": {"kind": "natural"}, "v": {"kind": "variants"}, "t": MOVED},
         ["no gradient-free search of 5 edits"]),
    ],
)  # fmt: skip
def test_a_gain_counts_under_a_search_as_costly_as_the_white_box_and_transfer(suite, lacks):
    terms = Terms(5, suite)

    assert terms.lacking == lacks
    verdict, note = one_verdict(fates(BETTER, BETTER, BETTER), terms=terms)
    assert verdict == ("no difference shown" if lacks else "robust gain")
    said = f"robust accuracy rose, but the suite has {' and '.join(lacks)}: no gain is called"
    assert (said in note) == bool(lacks)


def test_a_suite_that_lacks_something_still_shows_harm_and_masking() -> None:
    terms = Terms(5, {"r": {"kind": "random"}})

    assert one_verdict(fates(WORSE, WORSE, UNCHANGED), terms=terms)[0] == "harmful"
    assert one_verdict(fates(UNCHANGED, BETTER, BETTER), terms=terms)[0] == "masking"
    verdict = one_verdict(fates(BETTER, BEST, BEST), terms=terms)
    assert verdict[0] == "masking" and "no gain is called" in verdict[1]


# The budget ----------------------------------------------------------------------------


def test_flips_beyond_the_budget_do_not_count() -> None:
    # All sequences that are lost first are lost with more edits then.
    later = [("RR", 100), ("39", 60), ("33", 240), ("WW", 100)]
    found = outcomes_of("d", fates(later, later, later))

    at = {edits: verdicts(found, terms=TERMS._replace(edits=edits))["d"] for edits in (2, 5, 9)}

    rises = {edits: row["delta_robust_accuracy"] for edits, row in at.items()}
    assert rises == {2: 0.0, 5: 0.12, 9: 0.0}
    assert {edits: row["verdict"] for edits, row in at.items()} == {
        2: "no difference shown", 5: "robust gain", 9: "no difference shown",
    }  # fmt: skip
    assert [row["edits"] for row in at.values()] == [2, 5, 9]
    assert at[5]["delta_black_box_flip_rate"] == at[5]["delta_transferred_flip_rate"] == -0.15


def test_a_row_names_its_suite_its_family_and_its_check() -> None:
    both = verdicts(outcomes_of("a", fates()), outcomes_of("b", fates()))

    for row in both.values():
        assert (row["suite"], row["edits"]) == ("genetic;gradient;transfer", 5)
        assert (row["family_size"], row["input_check_last"]) == (2, "passed")


# What else a note says -----------------------------------------------------------------


def test_old_adversaries_that_do_not_fall_are_told_with_a_gain() -> None:
    verdict, note = one_verdict(fates(BETTER, BETTER, UNCHANGED))

    assert verdict == "robust gain"
    assert note.endswith("flips by transferred adversaries do not fall")


def test_flips_fall_by_forgetting_what_was_right_is_no_masking() -> None:
    # The flipped ones are misclassified now: among what both are right about nothing changed.
    lost = [("RR", 100), ("FW", 60), ("FF", 240), ("WW", 100)]

    row = verdicts(outcomes_of("d", fates(lost, lost, lost)))["d"]

    assert (row["delta_flip_rate"], row["delta_black_box_flip_rate"]) == (0, 0)
    assert (row["n_both_correct"], row["verdict"]) == (340, "no difference shown")


def test_without_a_suite_a_missing_worst_case_proves_nothing() -> None:
    under = {"black_box": BETTER, "replay": BETTER}
    row = verdicts(outcomes_of("d", under))["d"]

    assert (row["verdict"], row["note"]) == ("no difference shown", "no attack of a suite was run")
    missing = ["robust_accuracy_baseline", "delta_robust_accuracy", "delta_robust_accuracy_p",
               "delta_flip_rate_low", "delta_median_edits", "delta_median_edits_p",
               "smallest_gain", "delta_own_minus_worst"]  # fmt: skip
    assert all(math.isnan(row[name]) for name in missing)
    assert (row["n_sequences"], row["n_both_correct"]) == (0, 0)
    # That of old adversaries is evidence all the same.
    assert one_verdict({"black_box": BETTER, "replay": UNCHANGED})[0] == "masking"


def test_too_few_sequences_show_no_gain_at_all() -> None:
    few = fates(*[[("RR", 1), ("FF", 2)]] * 3)

    assert one_verdict(few) == ("no difference shown", "n = 3 is too few to show any gain")


def test_rounds_that_did_nothing_are_told() -> None:
    stopped = one_verdict(fates(), d=last_rounds("d", 0))
    assert stopped == ("no difference shown", f"{smallest(1.6)}; no round was run")

    some, all_kept = last_rounds("d", 3, kept=[2]), last_rounds("d", 2, kept=[1, 2])
    assert one_verdict(fates(), d=some)[1].endswith(
        "; 1 of 3 rounds kept the model: no adversaries"
    )
    assert one_verdict(fates(), d=all_kept)[1].endswith(
        "; all rounds kept the model: no adversaries"
    )


def test_a_leak_is_marked() -> None:
    found = outcomes_of("d", fates(BETTER, BETTER, BETTER))
    found.loc[found["id"] == "test:3", "trained_on"] = True
    told = last_rounds("d", adversary_source="test")

    row = verdicts(found, d=told)["d"]

    assert (row["adversary_source"], row["verdict"]) == ("test", "robust gain")
    assert row["note"] == f"{BASELINES_ONLY}; trained on sequences it is tested on"


def test_an_interval_that_the_exact_test_does_not_confirm_is_told() -> None:
    # Five sequences gained of 500: p = 0.0625.
    few = [("RR", 100), ("FR", 5), ("FF", 295), ("WW", 100)]
    row = verdicts(outcomes_of("d", fates(few, few, few)))["d"]

    assert row["delta_robust_accuracy_p"] == 0.0625 and row["delta_robust_accuracy_low"] > 0
    assert "the exact test does not confirm the interval" in row["note"]
