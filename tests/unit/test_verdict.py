"""The tables of verdicts: every number recomputed with plain loops."""

import math
import random
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from refusals import refusal
from scipy.stats import wilcoxon
from toy_rounds import (
    BETTER,
    PLACE,
    TERMS,
    UNCHANGED,
    fates,
    last_rounds,
    outcomes_of,
    random_defence,
    verdicts,
)

from genosiege.comparisons import mcnemar
from genosiege.sequence import rounds
from genosiege.sequence.outcomes import outcomes_table
from genosiege.sequence.rounds import rounds_table
from genosiege.sequence.verdict import defence_attacks_table, verdict_table
from genosiege.statistics import wilson_interval

REPOSITORY = Path(__file__).parents[2]
CAPTIONS = REPOSITORY / "workflow" / "report"
MANY = TERMS._replace(edits=10)
"""Judged at more edits than most of these sequences need."""


# Families -----------------------------------------------------------------------------


def exact_p(gained: int, lost: int) -> float:
    """Two-sided binomial test of the discordant pairs, from the binomial coefficients."""
    n, k = gained + lost, min(gained, lost)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n) if n else 1.0


def adjusted(p_values: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Holm's p-values, and the level at which the procedure looked at each."""
    order = sorted(p_values, key=lambda name: (p_values[name], name))
    p_adjusted, levels, largest, stopped = {}, {}, 0.0, None
    for place, name in enumerate(order):
        left = len(order) - place
        largest = max(largest, min(1.0, left * p_values[name]))
        p_adjusted[name] = largest
        levels[name] = stopped or 1 - 0.05 / left
        if stopped is None and p_values[name] > 0.05 / left:
            stopped = levels[name]
    return p_adjusted, levels


def random_family(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw one to four defences of one model, of which some may do something."""
    told, found = [], []
    for name in list("abcd")[: int(rng.integers(1, 5))]:
        place = PLACE._replace(defence=name)
        options, measured, compared = random_defence(rng, 1, int(rng.integers(8, 40)), place)
        told.append(rounds_table(place, options, measured))
        outcomes = outcomes_table(place, compared)
        if rng.random() < 0.5:
            # Most flips are gone.
            mended = outcomes["flipped_after"] & (rng.random(len(outcomes)) < 0.8)
            outcomes.loc[mended, "flipped_after"] = False
            outcomes.loc[mended, "n_edits_after"] = np.nan
        found.append(outcomes)
    return pd.concat(told), pd.concat(found)


def lost(row: Mapping[str, Any], when: str) -> bool:
    return row[f"flipped_{when}"] and row[f"n_edits_{when}"] <= TERMS.edits


def robust(row: Mapping[str, Any], when: str) -> bool:
    return row[f"correct_{when}"] and not lost(row, when)


def flipped(row: Mapping[str, Any], when: str) -> bool | None:
    if row["attacked"] and row["correct_before"] and row["correct_after"]:
        return lost(row, when)
    return None


def gaps(rows: list[dict[str, Any]], attacks: Callable[[str], bool]) -> list[float]:
    """Collect how much more either model gained on each sequence under the own attack."""
    found = []
    for own in [row for row in rows if row["attack"] == "black_box"]:
        others = [
            row for row in rows
            if row["id"] == own["id"] and attacks(row["attack"]) and row["attacked"]
            and row["sample"] == row["task"]
        ]  # fmt: skip
        if others:
            after, before = (
                all(robust(row, when) for row in others) for when in ("after", "before")
            )
            found.append((robust(own, "after") - robust(own, "before")) - (after - before))
    return found


Asked = Callable[[Mapping[str, Any], str], bool | None]


def paired(rows: list[dict[str, Any]], attacks: Callable[[str], bool], ask: Asked):
    """Collect (before, after) by id; several attacks on a sequence are taken together."""
    found: dict[str, tuple[bool, bool]] = {}
    for row in rows:
        if attacks(row["attack"]) and row["sample"] == row["task"]:
            before, after = ask(row, "before"), ask(row, "after")
            if before is not None and after is not None:
                known = found.get(row["id"], (False, False))
                found[row["id"]] = (known[0] or before, known[1] or after)
    return found


MEASURES: dict[str, tuple[Callable[[str], bool], Asked]] = {
    "clean_accuracy": ("clean".__eq__, lambda row, when: row[f"correct_{when}"]),
    "robust_accuracy": ("worst_case".__eq__, robust),
    "flip_rate": ("worst_case".__eq__, flipped),
    "black_box_flip_rate": ("black_box".__eq__, flipped),
    # Every random family has adversaries of another model.
    "transferred_flip_rate": (lambda name: name.startswith("transfer:"), flipped),
}


def check_gaps(table: dict[str, dict[str, Any]], rows: dict[str, list[dict[str, Any]]]) -> None:
    """Compare what the own attack gains beyond the others: mean, adjusted p, rough interval."""
    for measure, attacks in (
        ("own_minus_worst", MEASURES["robust_accuracy"][0]),
        ("own_minus_transferred", MEASURES["transferred_flip_rate"][0]),
    ):
        each = {name: gaps(found, attacks) for name, found in rows.items()}
        p_values = {
            name: wilcoxon(found, zero_method="pratt").pvalue if any(found) else 1.0
            for name, found in each.items()
        }
        p_adjusted, _ = adjusted(p_values)
        for name, found in each.items():
            row = table[name]
            assert row[f"delta_{measure}"] == pytest.approx(np.mean(found))
            assert row[f"delta_{measure}_p"] == pytest.approx(p_adjusted[name])
            spread = 2 * np.std(found) / math.sqrt(len(found))
            for end, side in (("low", -1), ("high", 1)):
                expected = np.mean(found) + side * spread
                assert row[f"delta_{measure}_{end}"] == pytest.approx(expected, abs=spread + 1e-9)


@pytest.mark.parametrize("draw", range(8))
def test_every_rate_agrees_with_plain_loops_on_random_families(draw: int) -> None:
    told, found = random_family(np.random.default_rng(draw))

    table = {row["defence"]: row for row in verdict_table(told, found, TERMS).to_dict("records")}

    by_defence = {name: rows.to_dict("records") for name, rows in found.groupby("defence")}
    assert set(table) == set(by_defence)
    for measure, (attacks, ask) in MEASURES.items():
        pairs = {name: paired(rows, attacks, ask) for name, rows in by_defence.items()}
        p_values = {}
        for name, pair in pairs.items():
            gained = sum(after and not before for before, after in pair.values())
            fewer = sum(before and not after for before, after in pair.values())
            p_values[name] = exact_p(gained, fewer)
            assert table[name][f"delta_{measure}"] == pytest.approx((gained - fewer) / len(pair))
        p_adjusted, levels = adjusted(p_values)
        for name, pair in pairs.items():
            row = table[name]
            assert row[f"delta_{measure}_p"] == pytest.approx(p_adjusted[name])
            level = 0.95 if measure == "clean_accuracy" else levels[name]
            bounds = mcnemar(
                [after for _, after in pair.values()], [b for b, _ in pair.values()], level
            ).interval
            ends = (row[f"delta_{measure}_low"], row[f"delta_{measure}_high"])
            assert ends == pytest.approx(bounds)
    check_gaps(table, by_defence)
    for name, row in table.items():
        clean = paired(by_defence[name], *MEASURES["clean_accuracy"]).values()
        withstood = paired(by_defence[name], *MEASURES["robust_accuracy"]).values()
        assert row["clean_accuracy_baseline"] == pytest.approx(np.mean([b for b, _ in clean]))
        assert row["clean_accuracy_last"] == pytest.approx(np.mean([a for _, a in clean]))
        assert row["robust_accuracy_baseline"] == pytest.approx(np.mean([b for b, _ in withstood]))
        assert row["robust_accuracy_last"] == pytest.approx(np.mean([a for _, a in withstood]))
        both = paired(by_defence[name], *MEASURES["flip_rate"])
        assert (row["n_test"], row["n_sequences"], row["n_both_correct"]) == (
            len(clean), len(withstood), len(both),
        )  # fmt: skip


@pytest.mark.parametrize("draw", range(3))
def test_the_order_of_rows_and_defences_changes_nothing(draw: int) -> None:
    rng = np.random.default_rng(200 + draw)
    told, found = random_family(rng)
    mixed_up = [table.iloc[rng.permutation(len(table))] for table in (told, found)]

    for make in (verdict_table, defence_attacks_table):
        assert_frame_equal(make(*mixed_up, TERMS), make(told, found, TERMS), check_exact=True)


def test_equal_defences_get_the_same_answer_in_either_order() -> None:
    one, other = outcomes_of("one", fates(BETTER)), outcomes_of("other", fates(BETTER))

    first, second = verdicts(one, other), verdicts(other, one)

    pd.testing.assert_series_equal(pd.Series(first["one"]), pd.Series(second["one"]))
    # Equal defences are the two comparisons of a family.
    assert first["one"]["delta_robust_accuracy_p"] == 2 * exact_p(60, 0)


def test_a_family_is_the_defences_of_one_model() -> None:
    one = outcomes_of("d", fates(BETTER))
    told = pd.concat([last_rounds("d"), last_rounds("d", seed=1), last_rounds("e", seed=1)])
    others = [one.assign(seed=1), outcomes_of("e", fates()).assign(seed=1)]

    table = verdict_table(told, pd.concat([one, *others]), TERMS).set_index(["seed", "defence"])

    p = table["delta_robust_accuracy_p"]
    assert p[0, "d"] == exact_p(60, 0)
    assert p[1, "d"] == 2 * exact_p(60, 0)


def test_defences_stand_in_the_order_asked_for() -> None:
    told = pd.concat([last_rounds(name) for name in "abc"])
    found = pd.concat([outcomes_of(name, fates()) for name in "abc"])

    table = verdict_table(told, found, TERMS, ["c", "a"])

    assert table["defence"].tolist() == ["c", "a", "b"]
    assert_frame_equal(
        table.sort_values("defence", ignore_index=True), verdict_table(told, found, TERMS)
    )


def test_rounds_without_outcomes_are_refused() -> None:
    told = pd.concat([last_rounds("d"), last_rounds("e")])

    message = refusal(verdict_table, told, outcomes_of("d", fates()), TERMS)

    assert "promoters, cnn, seed 0, e: its rounds or its outcomes are missing" in message


# Edits --------------------------------------------------------------------------------


def test_median_edits_are_of_what_each_model_loses() -> None:
    edits = [("24", 20), ("35", 20), ("2R", 10), ("R9", 5), ("RR", 10), ("WW", 5)]

    row = verdicts(outcomes_of("d", fates(edits)), terms=MANY)["d"]

    # Before 30 × 2 and 20 × 3; after 20 × 4, 20 × 5 and 5 × 9.
    assert row["delta_median_edits"] == 5 - 2
    assert row["delta_median_edits_low"] <= 3 <= row["delta_median_edits_high"]
    p = wilcoxon([2.0] * 40, zero_method="pratt").pvalue
    assert row["delta_median_edits_p"] == pytest.approx(p)


def test_interval_of_the_edits_is_a_paired_bootstrap() -> None:
    draws = random.Random(0)
    pairs = [(draws.randint(1, 6), draws.randint(2, 9)) for _ in range(60)]
    found = outcomes_of("d", fates([(f"{before}{after}", 1) for before, after in pairs]))
    shifts = []
    for _ in range(4000):
        drawn = [draws.choice(pairs) for _ in pairs]
        shifts.append(
            statistics.median(after for _, after in drawn)
            - statistics.median(before for before, _ in drawn)
        )

    row = verdicts(found, terms=MANY)["d"]

    expected = np.quantile(shifts, [0.025, 0.975])
    ends = (row["delta_median_edits_low"], row["delta_median_edits_high"])
    assert ends == pytest.approx(expected, abs=0.51)
    assert ends[0] < row["delta_median_edits"] < ends[1]


def test_intervals_of_the_edits_have_the_levels_of_their_family() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.uniform(1, 2, size=81), rng.uniform(3, 6, size=81)
    drawn = rng.integers(81, size=(20_000, 81))
    shifts = np.median(after[drawn], axis=1) - np.median(before[drawn], axis=1)
    both = [outcomes_of(name, fates([("22", 81)])) for name in ("one", "other")]
    for found in both:
        # Not the numbers of edits: finer ones, so that the ends of the interval tell its level.
        worst = found["attack"] == "worst_case"
        found.loc[worst, "n_edits_before"], found.loc[worst, "n_edits_after"] = before, after

    table = verdicts(*both, terms=MANY)

    for name, level in (("one", 0.975), ("other", 0.95)):
        row = table[name]
        ends = (row["delta_median_edits_low"], row["delta_median_edits_high"])
        expected = np.quantile(shifts, [(1 - level) / 2, (1 + level) / 2])
        assert ends == pytest.approx(expected, abs=0.08)
    widths = {name: row["delta_median_edits_high"] - row["delta_median_edits_low"]
              for name, row in table.items()}  # fmt: skip
    assert widths["one"] > widths["other"]


def test_without_flips_there_are_no_edits_to_compare() -> None:
    row = verdicts(outcomes_of("d", fates([("RR", 5), ("FR", 5)])))["d"]

    names = ["delta_median_edits", "delta_median_edits_low", "delta_median_edits_p"]
    assert all(math.isnan(row[name]) for name in names)


def test_flips_of_other_sequences_have_a_difference_but_no_test() -> None:
    other = outcomes_of("other", fates([("2R", 30), ("R5", 30)]))
    same = outcomes_of("same", fates([("24", 30), ("25", 30)]))

    table = verdicts(other, same)

    assert table["other"]["delta_median_edits"] == 3
    assert math.isnan(table["other"]["delta_median_edits_p"])
    # What was not tested does not count.
    alone = verdicts(same)["same"]["delta_median_edits_p"]
    assert (
        table["same"]["delta_median_edits_p"]
        == alone
        == pytest.approx(wilcoxon([2.0] * 30 + [3.0] * 30, zero_method="pratt").pvalue)
    )


def test_models_that_share_no_right_answer_have_no_flips_to_compare() -> None:
    row = verdicts(outcomes_of("d", fates([("RW", 5), ("WR", 6), ("WF", 5)])))["d"]

    assert row["n_both_correct"] == 0 and math.isnan(row["delta_flip_rate"])
    assert row["delta_robust_accuracy"] == 1 / 16


# Transfers ----------------------------------------------------------------------------


def test_transferred_flips_are_of_the_own_sample_and_taken_together() -> None:
    under = fates(replay=[("RR", 2), ("FF", 2)])
    under["transfer:t:promoters/hf"] = [("FR", 1), ("RR", 3)]
    under["transfer:t:other/hf"] = [("RF", 9)]
    found = outcomes_of("d", under)
    found.loc[found["attack"] == "transfer:t:other/hf", "sample"] = "other"

    row = verdicts(found)["d"]

    # Of four sequences one was flipped by the other model's adversary, and none is now. What
    # the baseline's own adversaries do says less, and is left out where there are others.
    assert row["delta_transferred_flip_rate"] == -0.25


def test_without_other_models_the_baselines_own_adversaries_stand_in() -> None:
    row = verdicts(outcomes_of("d", fates(replay=[("FR", 3), ("FF", 1)])))["d"]

    assert row["delta_transferred_flip_rate"] == -0.75


def test_old_adversaries_that_fall_do_not_hide_others_that_do_not() -> None:
    under = fates(UNCHANGED, BETTER, BETTER)
    under["transfer:t:promoters/hf"] = UNCHANGED
    row = verdicts(outcomes_of("d", under))["d"]

    assert (row["verdict"], row["delta_transferred_flip_rate"]) == ("masking", 0.0)


# Each attack --------------------------------------------------------------------------


def test_each_attack_is_compared_within_its_own_family() -> None:
    under = fates(BETTER, own=BETTER) | {"certify": [("FR", 6), ("FF", 3), ("RW", 1)]}
    one, other = outcomes_of("one", under), outcomes_of("other", fates())
    told = pd.concat([last_rounds("one"), last_rounds("other")])

    table = defence_attacks_table(told, pd.concat([one, other]), TERMS)

    assert table[["defence", "attack"]].to_numpy().tolist() == [
        ["one", "black_box"], ["one", "certify"], ["one", "replay"], ["one", "worst_case"],
        ["other", "black_box"], ["other", "replay"], ["other", "worst_case"],
    ]  # fmt: skip
    certify = table[table["attack"] == "certify"].iloc[0]
    assert certify[["n_sequences", "n_correct_baseline", "n_correct_last"]].tolist() == [10, 10, 9]
    assert (certify["robust_accuracy_baseline"], certify["robust_accuracy_last"]) == (0.1, 0.6)
    bounds = (certify["robust_accuracy_last_low"], certify["robust_accuracy_last_high"])
    assert bounds == wilson_interval(6, 10)
    assert (certify["flip_rate_baseline"], certify["flip_rate_last"]) == (0.9, pytest.approx(1 / 3))
    assert certify["delta_robust_accuracy"] == pytest.approx(0.5)
    assert certify["delta_robust_accuracy_p"] == pytest.approx(exact_p(6, 1))
    own = table[table["attack"] == "black_box"].set_index("defence")
    assert own.loc["one", "delta_robust_accuracy_p"] == 2 * exact_p(60, 0)
    assert own.loc["other", "delta_robust_accuracy_p"] == 1


def test_what_a_source_got_wrong_counts_for_robustness_but_not_for_flips() -> None:
    found = outcomes_of("d", fates() | {"transfer:t:promoters/hf": [("FF", 2), ("RR", 2)]})
    ours = found["attack"] == "transfer:t:promoters/hf"
    found.loc[ours & (found["id"] == "test:3"), "attacked"] = False

    table = defence_attacks_table(last_rounds("d"), found, TERMS).set_index("attack")

    row = table.loc["transfer:t:promoters/hf"]
    assert (row["robust_accuracy_last"], row["n_sequences"]) == (0.5, 4)
    assert (row["flip_rate_last"], row["n_correct_last"]) == (pytest.approx(2 / 3), 3)


# Tables -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [verdict_table, defence_attacks_table])
def test_the_caption_defines_every_column_and_an_empty_table_has_them(make) -> None:
    full = make(last_rounds("d"), outcomes_of("d", fates()), TERMS)
    empty = make(rounds.read([]), outcomes_of("d", fates())[:0], TERMS)

    caption = (CAPTIONS / f"{make.__name__.removesuffix('_table')}.rst").read_text()
    assert not [column for column in full if f"``{column}``" not in caption]
    assert list(empty) == list(full) and empty.empty and not full.empty
