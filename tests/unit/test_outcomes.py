"""Outcomes per sequence, by hand and against asking every row of every table."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from pandas.testing import assert_frame_equal
from refusals import refusal
from toy_outcomes import LAST, SKIPPED, answers, of, three_sequences
from toy_rounds import PLACE, asked_again, described, random_defence, shuffled
from toy_tables import attack, attack_row, flip, skipped

from genosiege import files
from genosiege.sequence import outcomes
from genosiege.sequence.outcomes import Compared, outcomes_table
from genosiege.sequence.results import AttackResult
from genosiege.sequence.worst_case import worst_case_table


@pytest.fixture
def tested() -> Compared:
    return three_sequences()


def test_three_sequences_by_hand(tested: Compared) -> None:
    table = outcomes_table(PLACE, tested)

    assert set(table["attack"]) == {
        "genetic", "greedy", "certify", "worst_case", "black_box", "replay", "clean",
    }  # fmt: skip
    yes, no = True, False
    right = {"a": (yes, yes), "b": (yes, yes), "c": (yes, no)}
    for name in ("genetic", "greedy", "certify", "worst_case", "black_box", "replay"):
        assert answers(table, name, "correct") == right
        assert set(of(table, name)) == set("abc")
    assert answers(table, "genetic", "flipped") == {"a": (yes, no), "b": (yes, yes), "c": (no, no)}
    assert answers(table, "greedy", "flipped") == {"a": (no, yes), "b": (yes, no), "c": (yes, no)}
    assert answers(table, "certify", "flipped") == {"a": (no, no), "b": (no, yes), "c": (no, no)}
    everything = {"a": (yes, yes), "b": (yes, yes), "c": (yes, no)}
    assert answers(table, "replay", "n_edits")["a"] == (2, 3)
    assert answers(table, "worst_case", "flipped") == everything
    assert answers(table, "worst_case", "n_edits")["a"] == (2, 7)
    assert answers(table, "worst_case", "n_edits")["b"] == (1, 1)
    assert answers(table, "black_box", "n_edits")["b"] == (4, 5)
    # Of the old adversaries of a one still flips, of b one too; c is no longer recognised.
    assert answers(table, "replay", "flipped") == {"a": (yes, yes), "b": (yes, yes), "c": (no, no)}
    assert answers(table, "clean", "correct") == right | {"z": (no, no)}
    assert not table["trained_on"].any()
    assert table[["task", "encoder", "seed", "defence"]].drop_duplicates().to_numpy().tolist() == [
        list(PLACE)
    ]


def test_drops_in_confidence_are_summed_over_runs(tested: Compared) -> None:
    rows = of(outcomes_table(PLACE, tested), "black_box")

    a, c = rows["a"], rows["c"]
    assert (a["n_runs_before"], a["n_drops_before"], a["edits_of_drops_before"]) == (2, 2, 5)
    assert a["size_of_drops_before"] == pytest.approx(1.2)
    assert (a["n_runs_after"], a["n_drops_after"], a["size_of_drops_after"]) == (2, 0, 0)
    assert (c["n_runs_before"], c["n_runs_after"]) == (2, 0)


def test_sequences_that_were_trained_on_are_told_by_their_ids(tested: Compared) -> None:
    leak = described(1, 2, 1, trained_on=[{"id": "b"}, {"id": "train:1"}])

    table = outcomes_table(PLACE, tested._replace(descriptions=[leak]))

    assert set(table.loc[table["trained_on"], "id"]) == {"b"}
    assert table["trained_on"].sum() == 7


def asking_every_row(tested: Compared) -> dict[tuple[str, str, int], tuple[bool, bool]]:
    """Say of (attack, id, end) whether the model is right and whether it is flipped."""
    told: dict[tuple[str, str, int], tuple[bool, bool]] = {}

    def tell(name: str, key: str, end: int, right: bool, flipped: bool) -> None:
        known = told.get((name, key, end), (True, False))
        told[name, key, end] = (known[0] and right, known[1] or flipped)

    for end, suite in enumerate((tested.suite_before, tested.suite_after)):
        for result in suite:
            for row in result.rows.to_dict("records"):
                for name in (result.attack, "worst_case"):
                    tell(name, row["id"], end, row["correct_before"], row["success_flip"])
        for row in tested.certificates[end].rows.to_dict("records"):
            for name in ("certify", "worst_case"):
                right = row["status"] != SKIPPED
                tell(name, row["id"], end, right, row["status"] == "flipped")
        for row in tested.black_box[end].rows.to_dict("records"):
            tell("black_box", row["id"], end, row["correct_before"], row["success_flip"])
        for row in tested.predictions[end].rows.to_dict("records"):
            tell("clean", row["id"], end, row["correct"], False)
    for row in tested.black_box[0].rows.to_dict("records"):
        tell("replay", row["id"], 0, row["correct_before"], row["success_flip"])
    again = tested.replay.rows if tested.replay else tested.black_box[0].rows
    for row in again.to_dict("records"):
        flipped = row["flipped"] if tested.replay else row["success_flip"]
        tell("replay", row["id"], 1, row["correct_before"], flipped)
    if tested.reverse:
        for row in tested.black_box[1].rows.to_dict("records"):
            tell("reverse_replay", row["id"], 1, row["correct_before"], row["success_flip"])
        for row in tested.reverse.rows.to_dict("records"):
            tell("reverse_replay", row["id"], 0, row["correct_before"], row["flipped"])
    for found in tested.transfers:
        ends = [end for end, stage in enumerate(("baseline", last_of(tested)))
                if stage == found.stage]  # fmt: skip
        for end, row in itertools.product(ends, found.rows.to_dict("records")):
            source = f"{row['source_task']}/{row['source_encoder']}"
            if source != "promoters/cnn":
                name = f"transfer:{found.attack}:{source}"
                tell(name, row["id"], end, row["correct_before"], row["flipped"])
    # The worst case counts what was transferred to the model's own sequences.
    own = ("replay", "reverse_replay", "transfer:genetic_transfer:promoters/hf")
    transferred = {key: found for key, found in told.items() if key[0] in own}
    for (_, name, end), (right, flipped) in transferred.items() if tested.transfers_count else ():
        tell("worst_case", name, end, right, flipped)
    # Right in one table and flipped in another is no flip.
    return {
        key: (right, flipped and (right or key[0] != "worst_case"))
        for key, (right, flipped) in told.items()
    }


def last_of(tested: Compared) -> str:
    return PLACE.stage(len(tested.descriptions))


@pytest.mark.parametrize("draw", range(8))
def test_outcomes_agree_with_asking_every_row_on_random_tables(draw: int) -> None:
    rng = np.random.default_rng(draw)
    _, _, tested = random_defence(rng, n_rounds=draw % 3, n=int(rng.integers(2, 15)))

    table = outcomes_table(PLACE, tested)

    found = {}
    for row in table.to_dict("records"):
        for end, when in enumerate(("before", "after")):
            found[row["attack"], row["id"], end] = (row[f"correct_{when}"], row[f"flipped_{when}"])
            assert math.isnan(row[f"n_edits_{when}"]) or row[f"flipped_{when}"]
    assert found == asking_every_row(tested)


@pytest.mark.parametrize("draw", range(6))
def test_robustness_is_that_of_the_worst_case_at_the_largest_budget(draw: int) -> None:
    _, _, tested = random_defence(np.random.default_rng(50 + draw))

    rows = outcomes_table(PLACE, tested._replace(transfers_count=False, reverse=None))

    for when, attacks, exact in (
        ("before", tested.suite_before, tested.certificates[:1]),
        ("after", tested.suite_after, tested.certificates[1:]),
    ):
        known = worst_case_table(attacks, exact)
        ends = known.sort_values("edit_budget").groupby("attack").last()
        assert set(ends.index) == {"genetic", "greedy", "certify", "worst_case"}
        for name, end in ends.iterrows():
            under = rows[rows["attack"] == name]
            robust = under[f"correct_{when}"] & ~under[f"flipped_{when}"]
            assert robust.mean() == pytest.approx(end["robust_accuracy"])
            median = under[f"n_edits_{when}"].median()
            assert median == pytest.approx(end["median_edits"], nan_ok=True)


def test_edits_beyond_the_largest_budget_count_for_the_own_attack_only(tested: Compared) -> None:
    long = [attack("genetic", [flip(name, 12) for name in "abc"], 15, stage=stage)
            for stage in ("baseline", LAST)]  # fmt: skip
    replay = asked_again([(name, 0, True, True, True) for name in "abc"], LAST)
    alone = tested._replace(black_box=long, suite_before=long[:1], suite_after=long[1:],
                            replay=replay, certificates=[])  # fmt: skip

    table = outcomes_table(PLACE, alone)

    flipped = table.groupby("attack")["flipped_before"].all()
    assert flipped["black_box"] and flipped["replay"]
    assert not flipped["genetic"] and not flipped["worst_case"]


def test_edits_beyond_an_attacks_own_budget_count_for_the_suite_only(tested: Compared) -> None:
    wild = [
        attack("wild", [flip("a", 6, success_flip=False), attack_row("b"), attack_row("c")], 4),
        attack("wild", [attack_row("a"), attack_row("b"), skipped("c")], 4, stage=LAST),
    ]
    calm = [
        attack("calm", [attack_row(name) for name in "abc"]),
        attack("calm", [attack_row("a"), attack_row("b"), skipped("c")], stage=LAST),
    ]
    suite = {"suite_before": [wild[0], calm[0]], "suite_after": [wild[1], calm[1]]}

    table = outcomes_table(PLACE, tested._replace(certificates=[], **suite))

    assert not any(before for before, _ in answers(table, "wild", "flipped").values())
    assert answers(table, "worst_case", "flipped")["a"] == (True, False)
    assert answers(table, "worst_case", "n_edits")["a"][0] == 6


def test_where_runs_disagree_about_an_original_the_worse_counts(tested: Compared) -> None:
    runs = [attack_row("a"), skipped("a", 1), attack_row("b"), attack_row("b", 1),
            attack_row("c"), attack_row("c", 1)]  # fmt: skip
    own = [attack("genetic", runs), tested.black_box[1]]
    replay = asked_again([("a", 0, False, True, False), ("b", 0, True, True, False),
                          ("c", 0, True, True, False)], LAST)  # fmt: skip

    table = outcomes_table(PLACE, tested._replace(black_box=own, replay=replay))

    right = answers(table, "black_box", "correct")
    assert [right[name][0] for name in "abc"] == [False, True, True]


@pytest.mark.parametrize("draw", range(4))
def test_the_order_of_rows_and_tables_changes_nothing(draw: int) -> None:
    rng = np.random.default_rng(100 + draw)
    _, _, tested = random_defence(rng)
    other = shuffled(tested, rng)
    other = other._replace(suite_before=other.suite_before[::-1], transfers=tested.transfers[::-1])

    assert_frame_equal(
        outcomes_table(PLACE, other), outcomes_table(PLACE, tested), check_exact=True
    )


def test_without_a_round_both_ends_are_the_baseline() -> None:
    _, _, tested = random_defence(np.random.default_rng(1), n_rounds=0)

    table = outcomes_table(PLACE, tested)

    for name in outcomes.SIDE:
        left, right = table[f"{name}_before"], table[f"{name}_after"]
        assert left.equals(right)
    # Sequences that the baseline gets wrong have no adversary to be asked again.
    replay = table[table["attack"] == "replay"]
    assert replay["attacked"].equals(replay["correct_before"])


def test_without_a_suite_there_is_no_worst_case(tested: Compared) -> None:
    table = outcomes_table(PLACE, tested._replace(suite_before=[], suite_after=[], certificates=[]))

    assert set(table["attack"]) == {"black_box", "replay", "clean"}


# What is refused ----------------------------------------------------------------------


def without(result: AttackResult, name: str) -> AttackResult:
    return result._replace(rows=result.rows[result.rows["id"] != name])


def test_other_sequences_are_refused(tested: Compared) -> None:
    fewer = [tested.black_box[0], without(tested.black_box[1], "c")]

    message = refusal(outcomes_table, PLACE, tested._replace(black_box=fewer))

    assert "black_box at the baseline and at the last round are not about the same" in message


def test_another_label_is_refused(tested: Compared) -> None:
    last = tested.predictions[1]
    other = last._replace(rows=last.rows.assign(label=0))

    message = refusal(
        outcomes_table, PLACE, tested._replace(predictions=[tested.predictions[0], other])
    )

    assert "clean" in message and "two labels" in message


def test_another_suite_or_other_stages_are_refused(tested: Compared) -> None:
    renamed = [tested.suite_after[0]._replace(attack="beam"), tested.suite_after[1]]
    assert "the suite is not the same" in refusal(
        outcomes_table, PLACE, tested._replace(suite_after=renamed)
    )
    assert "its attacks of the suite are of baseline, baseline" in refusal(
        outcomes_table, PLACE, tested._replace(suite_after=tested.suite_before)
    )
    assert "its predictions are of" in refusal(
        outcomes_table, PLACE, tested._replace(predictions=tested.predictions[::-1])
    )
    assert "its replays are of no stage" in refusal(
        outcomes_table, PLACE, tested._replace(replay=None)
    )
    assert "its reverse replays are of no stage" in refusal(
        outcomes_table, PLACE, tested._replace(transfers_count=True)
    )


def test_a_suite_with_another_budget_is_refused(tested: Compared) -> None:
    tighter = [found._replace(max_edits=8) for found in tested.suite_after]

    assert "allowed 10 edits at the baseline and 8" in refusal(
        outcomes_table, PLACE, tested._replace(suite_after=tighter)
    )


def test_a_replay_of_another_baseline_is_refused(tested: Compared) -> None:
    assert tested.replay is not None
    rows = tested.replay.rows.assign(source_correct=[True, False, True, True, False, True])

    assert "are not those of the baseline" in refusal(
        outcomes_table, PLACE, tested._replace(replay=tested.replay._replace(rows=rows))
    )


def test_transfers_to_one_end_only_are_refused(tested: Compared) -> None:
    rows = [(name, 0, True, True, True) for name in "abc"]
    found = asked_again(rows, "baseline", attack="t")
    one = found._replace(rows=found.rows.assign(source_encoder="hf"))

    assert "of the last round only" in refusal(
        outcomes_table, PLACE, tested._replace(transfers=[one])
    )


def test_an_attack_with_a_name_of_ours_is_refused(tested: Compared) -> None:
    named = {
        when: [found._replace(attack="replay") if found.attack == "greedy" else found
               for found in getattr(tested, when)]
        for when in ("suite_before", "suite_after")
    }  # fmt: skip

    assert "attack replay: the tables of hardening call something else this" in refusal(
        outcomes_table, PLACE, tested._replace(**named)
    )


def test_outcomes_are_read_with_their_types_or_refused(tested: Compared, tmp_path: Path) -> None:
    table, path = outcomes_table(PLACE, tested), tmp_path / "outcomes.parquet"
    files.write_parquet(table, path)
    assert_frame_equal(outcomes.read([str(path)]), table)

    files.write_parquet(table.drop(columns="sample"), path)
    assert "outcomes.parquet: column sample is missing" in refusal(outcomes.read, [str(path)])
    assert list(outcomes.read([])) == list(table)
