"""Transferred adversaries in the outcomes: whose they are, and how they count in the worst case."""

import numpy as np
import pytest
from toy_outcomes import LAST, answers, clean, of, three_sequences
from toy_rounds import PLACE, asked_again, described, random_defence
from toy_tables import attack, attack_row, flip

from genosiege.sequence.outcomes import Compared, outcomes_table


@pytest.fixture
def tested() -> Compared:
    return three_sequences()


def test_either_model_faces_the_adversaries_of_both(tested: Compared) -> None:
    """Without a search's own luck: what one attack found counts for both models."""
    reverse = asked_again(
        [("a", 0, True, True, False), ("b", 0, True, True, False), ("c", 0, False, True, False),
         ("a", 1, True, True, False), ("b", 1, True, True, True), ("c", 1, False, True, False)],
        LAST, n_edits=6,
    )  # fmt: skip
    quiet = [attack("quiet", [attack_row(name) for name in "abc"], stage=stage)
             for stage in ("baseline", LAST)]  # fmt: skip
    alone = tested._replace(suite_before=quiet[:1], suite_after=quiet[1:], certificates=[])

    without = outcomes_table(PLACE, alone)
    table = outcomes_table(PLACE, alone._replace(reverse=reverse, transfers_count=True))

    assert not any(before or after for before, after in
                   answers(without, "worst_case", "flipped").values())  # fmt: skip
    # Of a and b the own attack found flips of 2 and 4 edits on the baseline, which the last round
    # is asked about, and one of b of 5 edits on the last round.
    assert answers(table, "reverse_replay", "n_edits")["b"] == (6, 5)
    assert answers(table, "worst_case", "flipped") == {
        "a": (True, True), "b": (True, True), "c": (False, False),
    }  # fmt: skip
    assert answers(table, "worst_case", "n_edits")["a"] == (2, 3)
    assert answers(table, "worst_case", "n_edits")["b"] == (4, 3)
    # The last round gets c wrong.
    assert answers(table, "worst_case", "correct")["c"] == (True, False)


def test_equal_models_stay_equal_under_the_adversaries_of_both() -> None:
    """Two runs of a search on one model differ by luck; together they show no difference."""
    rng = np.random.default_rng(8)
    ids = [f"test:{number}" for number in range(2000)]
    found = [
        attack("genetic", [flip(name, 3) if rng.random() < 0.5 else attack_row(name)
                           for name in ids], stage=stage)
        for stage in ("baseline", LAST)
    ]  # fmt: skip
    # What flips a model once flips it again.
    replay, reverse = (
        asked_again(
            [(row["id"], 0, True, True, row["success_flip"])
             for row in result.rows.to_dict("records")], LAST,
        )
        for result in found
    )  # fmt: skip
    compared = Compared(
        [clean("baseline", [True] * 4), clean(LAST, [True] * 4)], found, replay, found[:1],
        found[1:], [], [], [described(1, 2, 1)], reverse, transfers_count=True,
    )  # fmt: skip

    worst = outcomes_table(PLACE, compared)
    worst = worst[worst["attack"] == "worst_case"]

    assert worst["flipped_before"].mean() == pytest.approx(0.75, abs=0.03)
    assert worst["flipped_after"].equals(worst["flipped_before"])


def test_adversaries_of_another_task_do_not_count_in_the_worst_case() -> None:
    _, _, tested = random_defence(np.random.default_rng(3), n=6)
    everything = [
        found._replace(rows=found.rows.assign(flipped=True, correct_before=True))
        if found.rows["source_task"].iloc[0] == "other" else found
        for found in tested.transfers
    ]  # fmt: skip

    pair = [outcomes_table(PLACE, tested._replace(transfers=found))
            for found in (tested.transfers, everything)]  # fmt: skip

    worst = [answers(table, "worst_case", "flipped") for table in pair]
    assert worst[0] == worst[1]


def test_adversaries_of_another_task_are_of_its_own_sample() -> None:
    _, _, tested = random_defence(np.random.default_rng(2), n=6)
    leak = [found | {"trained_on": [{"id": "test:1"}]} for found in tested.descriptions]

    table = outcomes_table(PLACE, tested._replace(descriptions=leak))

    other = table[table["attack"] == "transfer:genetic_transfer:other/cnn"]
    own = table[table["attack"] == "transfer:genetic_transfer:promoters/hf"]
    assert set(other["sample"]) == {"other"} and set(own["sample"]) == {"promoters"}
    # test:1 of the other task is another sequence.
    assert not other["trained_on"].any()
    assert own.loc[own["trained_on"], "id"].tolist() == ["test:1"]


def test_a_model_is_no_other_source_for_itself(tested: Compared) -> None:
    rows = [(name, 0, True, True, True) for name in "abc"]
    own = [asked_again(rows, stage, attack="t") for stage in ("baseline", LAST)]

    table = outcomes_table(PLACE, tested._replace(transfers=own))

    assert not table["attack"].str.startswith("transfer").any()


def test_what_a_source_gets_wrong_was_not_attacked(tested: Compared) -> None:
    rows = [("a", 0, True, True, True), ("b", 0, False, True, False), ("c", 0, True, True, False)]
    both = [asked_again(rows, stage, attack="t") for stage in ("baseline", LAST)]
    hf = [found._replace(rows=found.rows.assign(source_encoder="hf")) for found in both]

    found = of(outcomes_table(PLACE, tested._replace(transfers=hf)), "transfer:t:promoters/hf")

    assert {name: row["attacked"] for name, row in found.items()} == {
        "a": True, "b": False, "c": True,
    }  # fmt: skip
