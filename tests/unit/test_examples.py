"""What a round trains on: the right rows, the same ones for all defences, and no leak by chance."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from test_hard_rules import check_hard_rules, rich_sequence
from toy_models import random_sequence
from toy_tables import attack, attack_row, flip, skipped

from genosiege import defences
from genosiege.sequence import examples, training_rows
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.examples import Choice, Round
from genosiege.sequence.hardening import Hardening
from genosiege.sequence.training_rows import training_side

FREE = Constraints()
PLACE = ("promoters", "cnn", 0)
FIRST = Round(*PLACE, 1)


def adversarial(number: int) -> str:
    """Write a string that names its row, as no two rows share one."""
    return format(number, "020b").replace("0", "A").replace("1", "C")


def rows(n: int, share: float, seed: int, prefix: str = "train") -> list[dict]:
    """Draw rows of two attack seeds; about `share` of those attacked are flipped."""
    rng = np.random.default_rng(seed)
    made = []
    for attack_seed in (3, 4):
        for number in range(n):
            name, label = f"{prefix}:{number}", number % 2
            if rng.random() < 0.1:
                made.append(skipped(name, attack_seed) | {"label": label})
            elif rng.random() < share:
                text = adversarial(10_000 * attack_seed + 100 * seed + number)
                found = flip(name, 3, attack_seed, adversarial=text, label=label)
                made.append(found)
            else:
                made.append(attack_row(name, attack_seed, label=label))
    return made


def table(number: int, n: int = 60, share: float = 0.5, split: str = "train", seed: int = 0):
    """Make the attack on the model before round `number`."""
    stage = "baseline" if number == 1 else f"mixed/round{number - 1}"
    made = rows(n, share, seed + number, split)
    return attack("genetic", made, split=split, stage=stage)


@pytest.fixture
def sample() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "id": [f"train:{number}" for number in range(40)],
            "sequence": [random_sequence(rng, 30) for _ in range(40)],
            "label": np.arange(40) % 2,
        }
    )


def pool(kind, sample, attacks=(), which=FIRST, rules=FREE, **options):
    return examples.of_round(Choice(kind, **options), which, sample, list(attacks), rules)


# Adversaries --------------------------------------------------------------------------


def test_adversaries_are_flips_of_the_first_attack_seed_with_their_true_label(sample):
    attacked = table(1)

    drawn = pool("adversarial_only", sample, [attacked], examples_per_round=1000)

    first = attacked.rows[attacked.rows["attack_seed"] == 3]
    flips = first[first["success_flip"]]
    assert sorted(one[:3] for one in drawn.examples) == sorted(
        zip(flips["id"], flips["adversarial"], flips["label"], strict=True)
    )
    assert {one[3:] for one in drawn.examples} == {("adversary", 1, 3)}
    assert drawn.n_adversaries == len(flips) == len(drawn.examples)
    assert drawn.n_attacked == first["correct_before"].sum() < len(first)
    assert drawn.replay == []


def test_a_flip_beyond_the_rules_is_no_example(sample):
    beyond = flip("train:1", 3, success_flip=False)
    drawn = pool("adversarial_only", sample, [attack("genetic", [beyond], split="train")])
    assert (drawn.examples, drawn.n_attacked, drawn.n_adversaries) == ([], 1, 0)


def test_the_published_protocol_trains_on_drops_of_confidence(sample):
    rows = [flip("train:1", 3), attack_row("train:2", success_drop=True, confidence_drop=0.3)]
    rows += [attack_row("train:3", confidence_drop=0.16), attack_row("train:4")]
    found = attack("genetic", rows, split="train")

    drawn = {
        criterion: {
            one.id
            for one in pool("adversarial_only", sample, [found], adversaries=criterion).examples
        }
        for criterion in ("flip", "drop")
    }

    assert drawn == {"flip": {"train:1"}, "drop": {"train:1", "train:2"}}


def test_no_more_are_drawn_than_asked_for_and_none_twice(sample):
    drawn = pool("adversarial_only", sample, [table(1)], examples_per_round=7)

    assert len({one.id for one in drawn.examples}) == len(drawn.examples) == 7
    assert drawn.n_adversaries > 7


def test_both_adversarial_defences_draw_the_same_and_rounds_draw_anew(sample):
    def ids(kind, number=1, seed=0):
        which = Round("promoters", "cnn", seed, number)
        attacked = replace_place(table(1), number, seed)
        return [one.id for one in pool(kind, sample, [attacked], which).examples]

    assert ids("adversarial_only") == ids("mixed")
    assert ids("adversarial_only") != ids("adversarial_only", number=2)
    assert ids("adversarial_only") != ids("adversarial_only", seed=1)


def replace_place(attacked, number, seed=0):
    stage = "baseline" if number == 1 else f"a_defence/round{number - 1}"
    return attacked._replace(stage=stage, seed=seed)


def test_under_the_leak_the_same_few_test_sequences_are_attacked_in_all_rounds(sample):
    options = {"adversary_source": "test", "train_attack_samples": 20, "examples_per_round": 999}
    seen, attacked = set(), []
    for number in range(1, 9):
        leak = table(number, share=0.9, split="test")
        which = FIRST._replace(number=number)
        drawn = pool("adversarial_only", sample, [leak], which, **options)
        looked_at = training_side(leak, 20)
        assert looked_at["label"].value_counts().to_dict() == {0: 10, 1: 10}
        assert drawn.n_attacked == looked_at["correct_before"].sum()
        attacked.append(tuple(looked_at["id"]))
        seen |= {one.id for one in drawn.examples}

    assert len(set(attacked)) == 1
    # Over the rounds nearly all of the twenty were flipped once, and nobody else.
    assert 15 <= len(seen & set(attacked[0])) == len(seen) <= 20
    all_ids = sorted(set(leak.rows["id"]))
    assert sorted(attacked[0]) != all_ids[:20]


def test_train_side_attacks_are_looked_at_whole(sample):
    attacked = table(1)
    assert len(training_side(attacked, 5)) == 60


# Controls and replay ------------------------------------------------------------------


def test_clean_rows_are_rows_of_the_sample_without_repetition(sample):
    drawn = pool("clean_only", sample, examples_per_round=12)

    known = set(zip(sample["id"], sample["sequence"], sample["label"], strict=True))
    assert len({one.id for one in drawn.examples}) == 12
    assert {one[:3] for one in drawn.examples} <= known
    assert {one[3:] for one in drawn.examples} == {("clean", 1, 0)}
    assert (drawn.n_attacked, drawn.n_adversaries) == (None, None)
    assert len(pool("clean_only", sample, examples_per_round=99).examples) == 40


def test_mixed_replays_as_many_clean_rows_as_it_asks_for_adversaries(sample):
    drawn = pool("mixed", sample, [table(1)], examples_per_round=9)

    assert [one.kind for one in drawn.replay] == ["clean"] * 9
    assert drawn.replay == pool("clean_only", sample, examples_per_round=9).examples


SECTION = {
    "gc_shift": {"mode": "hard", "limit": 0.02},
    "motifs": {"mode": "hard", "known": ["tata_box", "bre", "gc_box", "ccaat_box", "initiator",
                                         "dpe"]},
    "transitions": {"mode": "soft", "weight": 0.7},
    "stop_codons": {"mode": "hard", "frames": [0, 2]},
    "edit_mask": {"mode": "hard", "editable": [[5, 60]]},
}  # fmt: skip


def test_mutants_keep_the_hard_rules():
    rng = np.random.default_rng(0)
    rich = pd.DataFrame(
        {
            "id": [f"train:{number}" for number in range(150)],
            "sequence": [rich_sequence(rng, 80, 30) for _ in range(150)],
            "label": 1,
        }
    )
    rules = Constraints.from_config(SECTION, 30)

    drawn = pool("random_mutants", rich, (), rules=rules, examples_per_round=150, max_edits=6)

    originals = dict(zip(rich["id"], rich["sequence"], strict=True))
    assert len(drawn.examples) == 150
    for one in drawn.examples:
        check_hard_rules(originals[one.id], one.sequence, SECTION, 30, 6)
        pairs = zip(originals[one.id], one.sequence, strict=True)
        assert sum(a != b for a, b in pairs) == one.n_edits
        assert one[3:5] == ("random_mutant", 1)


def test_the_number_of_random_edits_is_uniform():
    many = pd.DataFrame(
        {"id": [str(i) for i in range(3000)], "sequence": ["ACGT" * 20] * 3000, "label": 0}
    )
    # The limit leaves room for five changes of G and C, so that many draws lose an edit.
    tight = Constraints(gc_shift="hard", gc_limit=0.03, transitions="hard")

    drawn = examples.mutants(many, 1, 3000, tight, 5, np.random.default_rng(0))

    counts = np.bincount([one.n_edits for one in drawn], minlength=6)
    assert counts[0] == 0
    # Standard deviation of a count: 22.
    np.testing.assert_allclose(counts[1:], 600, atol=90)


def test_rows_that_cannot_be_edited_are_passed_over(sample):
    half = sample.assign(sequence=["N" * 30] * 20 + list(sample["sequence"][20:]))

    drawn = pool("random_mutants", half, examples_per_round=30).examples

    assert {one.id for one in drawn} == set(half["id"][20:])
    none = sample.assign(sequence="N" * 30)
    assert "relax" in refusal(pool, "random_mutants", none)


# Cumulative pools ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*training_rows.ATTACKING, *examples.CONTROLS])
def test_cumulative_pools_nest_and_others_do_not(kind, sample):
    def drawn(number, cumulative):
        numbers = range(1, number + 1) if cumulative else [number]
        attacks = [table(one) for one in numbers] if kind in training_rows.ATTACKING else []
        which = FIRST._replace(number=number)
        return pool(kind, sample, attacks, which, cumulative=cumulative)

    for number in (2, 3, 4):
        before, after = drawn(number - 1, True), drawn(number, True)
        fresh = drawn(number, False)
        for part in ("examples", "replay"):
            old, new, own = (getattr(one, part) for one in (before, after, fresh))
            assert new[: len(old)] == old
            strings = {one.sequence for one in old}
            assert new[len(old) :] == [one for one in own if one.sequence not in strings]
            assert len({one.sequence for one in new}) == len(new)
        assert after.n_attacked == fresh.n_attacked
        assert {one.round for one in after.examples} == set(range(1, number + 1))
        assert {one.round for one in fresh.examples} == {number}


def test_equal_strings_are_trained_on_once(sample):
    same = [table(1), replace_place(table(1), 2)]
    options = {"cumulative": True, "examples_per_round": 1000}

    drawn = pool("adversarial_only", sample, same, FIRST._replace(number=2), **options)

    assert {one.round for one in drawn.examples} == {1}
    assert len(drawn.examples) == drawn.n_adversaries


# What is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"split": "test"}, "split"),
        ({"split": "dev"}, "split"),
        ({"attack": "greedy"}, "attack"),
        ({"stage": "mixed/round1"}, "stage"),
        ({"task": "enhancers"}, "task"),
        ({"encoder": "dnabert2"}, "encoder"),
        ({"seed": 1}, "seed"),
    ],
)
def test_an_attack_on_anything_else_is_refused(change, named, sample):
    message = refusal(pool, "mixed", sample, [table(1)._replace(**change)])
    assert f"with {named} " in message


def test_the_leak_has_to_be_asked_for(sample):
    message = refusal(pool, "mixed", sample, [table(1)], adversary_source="test")
    assert "split test" in message


@pytest.mark.parametrize("cumulative", [True, False])
def test_each_round_of_the_pool_needs_its_attack(cumulative, sample):
    attacks = [table(1)] if cumulative else [table(1), table(2)]
    second = FIRST._replace(number=2)
    assert "attacks" in refusal(pool, "mixed", sample, attacks, second, cumulative=cumulative)


def test_an_empty_sample_is_refused(sample):
    assert "empty" in refusal(pool, "clean_only", sample.iloc[:0])


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "ensemble"},
        {"examples_per_round": 0},
        {"cumulative": "yes"},
        {"adversary_source": "dev"},
        {"train_attack_samples": 0},
        {"max_edits": 1.5},
        {"patience": 3},
    ],
)
def test_impossible_options_are_refused_by_name(options):
    message = refusal(Choice.from_config, {"kind": "mixed", **options})
    assert next(iter(options)) in message


def test_a_kind_is_needed():
    assert "kind" in refusal(Choice.from_config, {})
    assert Choice.from_config({"kind": "mixed", "train_attack_samples": None}) == replace(
        Choice("mixed"), train_attack_samples=None
    )


def test_the_rules_and_the_library_call_the_same_defences_controls():
    assert training_rows.ATTACKING == defences.ATTACKING_KINDS


@pytest.mark.parametrize("kind", [*training_rows.ATTACKING, *examples.CONTROLS])
def test_what_the_rules_hand_over_is_understood(kind, repository):
    section = {
        "attack": "genetic", "adversaries": "flip", "adversary_source": "train",
        "train_attack_samples": 50,
        "examples_per_round": 4, "cumulative": True, "epochs": 2, "batch_size": 8,
        "learning_rate": [1e-4, 1e-5], "weight_decay": 0.0, "rounds": 2, "suite": None,
        "convergence": "flip_rate", "convergence_threshold": 0.0,
    }  # fmt: skip
    config = {
        "hardening": section,
        "defences": {"own": {"kind": kind}},
        "attacks": {"genetic": {"kind": "genetic", "max_edits": 7}},
    }

    options = Hardening.from_config(defences.of_round(config, "own", 2))

    assert (options.kind, options.epochs, options.learning_rate) == (kind, 2, 1e-5)
    assert options.max_edits == (7 if kind == "random_mutants" else 10)


def test_choosing_examples_needs_no_deep_learning(repository):
    code = (
        f"import sys; sys.path.insert(0, {str(repository / 'workflow/scripts')!r})\n"
        "import genosiege.sequence.examples, genosiege.sequence.stopping\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
