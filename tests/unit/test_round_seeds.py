"""Means over seeds, recomputed by hand."""

import math

import pandas as pd
import pytest

from genosiege.sequence.round_seeds import COLUMNS, MEASURES, round_seeds_table


def rounds() -> pd.DataFrame:
    """Two seeds of one defence, of which the second ran no second round, and one of another."""
    rows = [
        {"defence": "mixed", "seed": 0, "round": 1, "accuracy": 0.8},
        {"defence": "mixed", "seed": 1, "round": 1, "accuracy": 0.9},
        {"defence": "mixed", "seed": 0, "round": 2, "accuracy": 0.7},
        {"defence": "clean", "seed": 0, "round": 1, "accuracy": math.nan},
    ]
    table = pd.DataFrame(rows).assign(task="t", encoder="e", adversary_source="train")
    return table.assign(**{name: 0.5 for name in MEASURES if name != "accuracy"})


def test_mean_and_deviation_are_over_the_seeds_that_ran_the_round() -> None:
    table = round_seeds_table(rounds(), ["mixed", "clean"])

    assert list(table) == COLUMNS
    found = table[table["measure"] == "accuracy"].set_index(["defence", "round"])
    assert list(found.index) == [("mixed", 1), ("mixed", 2), ("clean", 1)]
    assert list(found["n_seeds"]) == [2, 1, 0]
    assert found.loc[("mixed", 1), "mean"] == pytest.approx(0.85)
    # The root of ((0.05² + 0.05²) / 1).
    assert found.loc[("mixed", 1), "sd"] == pytest.approx(0.05 * math.sqrt(2))
    assert math.isnan(found.loc[("mixed", 2), "sd"])
    assert math.isnan(found.loc[("clean", 1), "mean"])


def test_no_rounds_give_an_empty_table() -> None:
    assert round_seeds_table(rounds()[:0]).empty
