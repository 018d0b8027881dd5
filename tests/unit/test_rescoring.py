"""The final word comes from the strings: thresholds by hand, forged shards found out."""

import numpy as np
import pandas as pd
import pytest
from toy_models import Linear, wrap

from genosiege.errors import InputError
from genosiege.sequence import rescoring, tables
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.rescoring import rescore

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH = 12
ORIGINAL = "A" * LENGTH


def model(start=2.0, **gains):
    """Margin of class 0: `start`, less a base's gain wherever it stands."""
    weights = np.zeros((LENGTH, 5, 2))
    weights[0, :, 0] = start
    for base, gain in gains.items():
        weights[:, "ACGT".index(base), 1] = gain
    return wrap(Linear(weights))


def shard(*adversaries, **changes):
    rows = [
        {
            "attack_seed": 0,
            "id": f"test:{i}",
            "label": 0,
            "original": ORIGINAL,
            "adversarial": adversarial,
            "n_edits_before_pruning": 9,
            "flipped_in_search": False,
            "skipped": False,
            "n_queries": 30,
            "n_queries_unique": 20,
            "n_gradients": 0,
            "stop_reason": "patience",
            "pruned": "cut",
        }
        | changes
        for i, adversarial in enumerate(adversaries)
    ]
    return tables.typed(rows, tables.SHARD_COLUMNS)


def edited(n, base="G"):
    return base * n + ORIGINAL[n:]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rescored(model, rows, rules=None, max_edits=10):
    return rescore(model, rows, rules or Constraints(), max_edits, batch_size=4)


# Flips --------------------------------------------------------------------------------


def test_strings_decide_what_flipped_not_the_search():
    rows = shard(edited(1), edited(3), edited(3), ORIGINAL)
    rows["flipped_in_search"] = [True, True, False, True]  # true is: no, yes, yes, no

    found = rescored(model(2.0, G=0.9), rows)

    assert found.rows["flipped"].tolist() == [False, True, True, False]
    assert found.rows["status"].tolist() == ["failed", "success", "success", "failed"]
    assert found.search_flips_lost == 2


def test_probabilities_and_margins_are_those_of_the_strings():
    (row,) = rescored(model(2.0, G=0.75), shard(edited(2))).rows.to_dict("records")

    assert row["margin_before"] == pytest.approx(2.0)
    assert row["margin_after"] == pytest.approx(0.5)
    assert row["p_true_before"] == pytest.approx(sigmoid(2.0))
    assert row["p_true_after"] == pytest.approx(sigmoid(0.5))
    assert row["confidence_drop"] == pytest.approx(sigmoid(2.0) - sigmoid(0.5))
    assert (row["n_edits"], row["n_edits_before_pruning"], row["pruned"]) == (2, 9, "cut")
    assert (row["n_queries"], row["n_queries_unique"], row["stop_reason"]) == (30, 20, "patience")


def test_a_flip_counts_as_success_up_to_the_most_edits():
    found = rescored(model(2.0, G=0.9), shard(edited(3), edited(4)), max_edits=3).rows
    assert found["flipped"].tolist() == [True, True]
    assert found["success_flip"].tolist() == [True, False]
    assert found["status"].tolist() == ["success", "failed"]


def test_a_margin_of_zero_is_no_flip():
    found = rescored(model(2.0, G=1.0), shard(edited(2), edited(3))).rows
    assert found["margin_after"].tolist() == [0.0, -1.0]
    assert found["flipped"].tolist() == [False, True]


def test_a_flip_that_breaks_a_hard_rule_is_told_and_no_success():
    rules = Constraints(gc_shift="hard", gc_limit=1 / len(ORIGINAL))
    found = rescored(model(0.5, G=0.9), shard(edited(1), edited(2)), rules).rows
    assert found["flipped"].tolist() == [True, True]
    assert found["keeps_hard_rules"].tolist() == [True, False]
    assert found["success_flip"].tolist() == [True, False]
    assert found["status"].tolist() == ["success", "failed"]


# Confidence drops ---------------------------------------------------------------------


@pytest.mark.parametrize(("drop", "counts"), [(0.199, False), (0.201, True)])
def test_a_drop_counts_from_a_fifth(drop, counts):
    before = sigmoid(2.0)
    gain = 2.0 - np.log((before - drop) / (1 - before + drop))
    (row,) = rescored(model(2.0, G=gain), shard(edited(1))).rows.to_dict("records")
    assert row["confidence_drop"] == pytest.approx(drop, abs=1e-5)
    assert row["success_drop"] == counts


def test_a_drop_counts_up_to_five_edits():
    found = rescored(model(2.0, G=0.9), shard(edited(5), edited(6))).rows
    assert (found["confidence_drop"] > 0.5).all()
    assert found["success_drop"].tolist() == [True, False]


def test_a_drop_counts_where_it_is_plausible():
    # Two transitions of three: (2 + .3) / 3 = .77; three of four: .825.
    rules = Constraints(transitions="soft")
    rows = shard("GGC" + ORIGINAL[3:], "GGGC" + ORIGINAL[4:])
    found = rescored(model(2.0, G=2.0), rows, rules).rows
    np.testing.assert_allclose(found["plausibility"], [2.3 / 3, 3.3 / 4])
    assert found["success_drop"].tolist() == [False, True]
    assert found["success_flip"].tolist() == [True, True]


def test_a_drop_needs_no_flip():
    (row,) = rescored(model(2.0, G=1.5), shard(edited(1))).rows.to_dict("records")
    assert row["success_drop"] and not row["success_flip"]


# Misclassified ------------------------------------------------------------------------


def test_a_skipped_sequence_counts_neither_as_robust_nor_as_flipped():
    wrong = rescored(model(-1.0), shard(ORIGINAL, skipped=True, stop_reason=""))
    # Skipped by rounding alone: the final word finds it right, yet nobody attacked it.
    right = rescored(model(1.0), shard(ORIGINAL, skipped=True, stop_reason=""))
    # Attacked by rounding alone: the final word finds the original wrong.
    turned = rescored(model(-1.0), shard(edited(1), flipped_in_search=True))
    for found in (wrong, right, turned):
        (row,) = found.rows.to_dict("records")
        assert row["status"] == "skipped_misclassified"
        for column in ("correct_before", "flipped", "success_flip", "success_drop"):
            assert not row[column]
    assert turned.search_flips_lost == 1


# Edits --------------------------------------------------------------------------------


def test_edits_are_read_off_the_strings_and_lead_back_to_the_adversary():
    rng = np.random.default_rng(0)
    originals = ["".join(rng.choice(list("ACGT"), LENGTH)) for _ in range(20)]
    adversaries = ["".join(rng.choice(list("ACGT"), LENGTH)) for _ in range(20)]
    rows = shard(*adversaries).assign(original=originals)

    found = rescored(model(), rows).rows

    for row in found.to_dict("records"):
        characters = list(row["original"])
        positions = []
        for edit in row["edits"].split(";"):
            position, change = edit.split(":")
            old, new = change.split(">")
            assert characters[int(position)] == old != new
            characters[int(position)] = new
            positions.append(int(position))
        assert "".join(characters) == row["adversarial"]
        assert positions == sorted(set(positions))
        assert row["n_edits"] == len(positions) == row["n_transitions"] + row["n_transversions"]


def test_the_format_of_edits():
    rows = shard("AGAAAAAAAATA", ORIGINAL)
    assert rescored(model(), rows).rows["edits"].tolist() == ["1:A>G;10:A>T", ""]


def test_an_adversary_of_another_length_is_refused():
    with pytest.raises(InputError, match="length"):
        rescoring._describe(ORIGINAL, ORIGINAL + "A", Constraints())


# The table ----------------------------------------------------------------------------


def test_the_table_has_the_columns_of_an_attack_row_in_the_shards_order():
    rows = shard(edited(2), edited(1), edited(3))
    found = rescored(model(), rows).rows
    assert list(found.columns) == list(tables.ATTACK_COLUMNS)
    assert found["id"].tolist() == ["test:0", "test:1", "test:2"]
    empty = rescored(model(), shard())
    assert list(empty.rows.columns) == list(tables.ATTACK_COLUMNS)
    assert (len(empty.rows), empty.search_flips_lost) == (0, 0)


def test_a_row_does_not_depend_on_the_others():
    rows = shard(*[edited(n) for n in range(9)])
    together = rescored(model(2.0, G=0.3), rows).rows
    alone = [rescored(model(2.0, G=0.3), rows.iloc[[i]]).rows for i in range(9)]
    pd.testing.assert_frame_equal(together, pd.concat(alone))
