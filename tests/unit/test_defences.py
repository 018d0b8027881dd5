"""Options of a defence, and mistakes in them said in one line."""

from typing import Any

import pytest

from genosiege import defences
from genosiege.errors import InputError
from genosiege.sequence import training_rows

VARIANTS = {"kind": "variants", "path": "no.vcf"}


@pytest.fixture
def config() -> dict[str, Any]:
    return {
        "run": {
            "tasks": ["t"], "encoders": ["cnn"], "attacks": ["g", "latent"],
            "defences": ["adv", "mutants"],
        },
        "tasks": {"t": {"source": {"kind": "simulate"}}},
        "encoders": {"cnn": {"kind": "cnn"}, "own_head": {"kind": "hf", "train": "none"}},
        "attacks": {
            "g": {"kind": "genetic", "max_edits": 7, "query_budget": 300},
            "t": {"kind": "transfer", "attack": "p"},
            "p": {"kind": "published", "variant": "code"},
            "latent": {"kind": "latent_pgd"},
        },
        "certify": {"max_edits": 0},
        "verdict": {"edits": 5},
        "sampling": {"attack_samples": 100},
        "hardening": {
            "rounds": 3,
            "attack": "g",
            "suite": None,
            "adversaries": "flip",
            "adversary_source": "train",
            "train_attack_samples": 20,
            "examples_per_round": 5,
            "cumulative": False,
            "epochs": 1,
            "batch_size": 16,
            "learning_rate": 0.1,
            "weight_decay": 0.01,
            "convergence": "flip_rate",
            "convergence_threshold": 0.2,
        },
        "defences": {
            "adv": {"kind": "adversarial_only"},
            "strong": {"kind": "mixed", "learning_rate": [0.3, 0.2, 0.1], "epochs": 4},
            "leak": {
                "kind": "adversarial_only", "adversary_source": "test", "train_attack_samples": 6,
            },
            "mutants": {"kind": "random_mutants", "adversary_source": "test"},
        },
    }  # fmt: skip


def mistake(config: dict[str, Any]) -> str:
    with pytest.raises(InputError) as error:
        defences.check(config)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_sound_configuration_passes(config):
    config["run"]["defences"] = list(config["defences"])

    defences.check(config)


def test_an_entry_takes_precedence_over_the_section(config):
    found = defences.options(config, "strong")

    assert (found["epochs"], found["batch_size"], found["kind"]) == (4, 16, "mixed")
    assert "suite" not in found


def test_a_control_runs_all_rounds_and_draws_on_train(config):
    found = defences.options(config, "mutants")

    assert (found["adversary_source"], found["convergence_threshold"]) == ("train", 0.0)
    assert defences.options(config, "adv")["convergence_threshold"] == 0.2


def test_a_round_has_its_own_rate_and_only_what_it_uses(config):
    training = {"cumulative": False, "batch_size": 16, "weight_decay": 0.01}
    training |= {"adversary_source": "train", "examples_per_round": 5}
    rates = [defences.of_round(config, "strong", number)["learning_rate"] for number in (1, 2, 3)]
    assert rates == [0.3, 0.2, 0.1]
    assert defences.of_round(config, "strong", 2) == training | {
        "kind": "mixed", "epochs": 4, "learning_rate": 0.2, "attack": "g",
        "adversaries": "flip",
        "train_attack_samples": 20,
    }  # fmt: skip
    # A control depends neither on the attack nor on how many sequences it is tried on.
    assert defences.of_round(config, "mutants", 1) == training | {
        "kind": "random_mutants", "epochs": 1, "learning_rate": 0.1, "max_edits": 7,
    }  # fmt: skip


def test_the_suite_is_what_the_run_attacks_in_dna_space(config):
    assert defences.suite(config) == ["g"]

    config["hardening"]["suite"] = ["p", "certify"]
    assert defences.suite(config) == ["p"]


def test_transfers_belong_to_the_suite_where_it_or_the_run_names_them(config):
    assert defences.transfers(config) == []

    config["run"]["attacks"] = ["g", "t"]
    assert (defences.suite(config), defences.transfers(config)) == (["g"], ["t"])
    defences.check(config)

    config["hardening"]["suite"] = ["p"]
    assert defences.transfers(config) == []

    config["hardening"]["suite"] = ["t", "p"]
    assert (defences.suite(config), defences.transfers(config)) == (["p"], ["t"])
    defences.check(config)


def test_a_verdict_is_told_its_budget_and_its_suite(config):
    config["run"]["attacks"] = ["g", "latent", "t"]
    config["certify"]["max_edits"] = 1

    assert defences.terms(config) == {
        "edits": 5,
        "suite": {
            "g": {"kind": "genetic", "max_edits": 7, "query_budget": 300},
            "t": {"kind": "transfer"},
            "certify": {"kind": "certify"},
        },
    }


def test_certificates_belong_to_the_suite_unless_it_is_named_without_them(config):
    config["certify"]["max_edits"] = 1
    assert defences.certifies(config)

    config["hardening"]["suite"] = ["p"]
    assert not defences.certifies(config)

    config["hardening"]["suite"] = ["p", "certify"]
    assert defences.certifies(config)

    config["certify"]["max_edits"] = 0
    assert not defences.certifies(config)


def test_without_a_defence_nothing_is_checked(config):
    config["run"] = {"encoders": ["own_head"], "attacks": [], "defences": []}

    defences.check(config)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run": {"encoders": ["own_head"]}}, "encoders/own_head/train"),
        ({"run": {"attacks": ["latent"]}}, "run/attacks"),
        ({"hardening": {"suite": ["g", "latent"]}}, 'hardening/suite[1], "latent"'),
        ({"hardening": {"suite": ["certify"]}}, "hardening/suite[0]"),
        (
            {"hardening": {"suite": ["certify"]}, "certify": {"max_edits": 1}},
            "hardening/suite: defences are judged",
        ),
        (
            {"hardening": {"suite": ["replay"]}, "attacks": {"replay": {"kind": "greedy"}}},
            "attacks/replay",
        ),
        (
            {
                "hardening": {"attack": "v"},
                "attacks": {"v": {"kind": "variants", "path": "no.vcf"}},
            },
            'attacks/v/path, "no.vcf"',
        ),
        (
            {"verdict": {"edits": 8}},
            "verdict/edits, 8: no attack of the suite may make more than 7",
        ),
        ({"hardening": {"suite": ["t"]}}, "hardening/suite: defences are judged"),
        (
            {
                "hardening": {"suite": ["g", "t"]},
                "attacks": {
                    "g": {"kind": "genetic"},
                    "t": {"kind": "transfer", "attack": "none"},
                },
            },
            'attacks/t/attack, "none"',
        ),
        ({"hardening": {"learning_rate": float("nan")}}, "hardening/learning_rate, nan"),
        (
            {"run": {"defences": ["leak"]}, "sampling": {"attack_samples": 4}},
            "hardening/examples_per_round, 5: only 4",
        ),
        ({"hardening": {"attack": "h"}}, 'hardening/attack, "h"'),
        ({"hardening": {"learning_rate": [0.1]}}, "hardening/learning_rate: 1 values for 3 rounds"),
        ({"hardening": {"examples_per_round": 21}}, "hardening/examples_per_round, 21: only 20"),
        ({"defences": {"adv": {"kind": "mixed", "epochs": [1, 2]}}}, "defences/adv/epochs: 2 val"),
        ({"defences": {"adv": {"kind": "mixed", "batch_size": 1}}}, "defences/adv/batch_size, 1"),
        ({"defences": {"adv": {"kind": "mixed", "attack": "latent"}}}, "defences/adv/attack"),
        (
            {"defences": {"adv": {"kind": "mixed", "train_attack_samples": 9}}},
            "defences/adv/train_attack_samples: all defences share one sample",
        ),
        (
            {"run": {"defences": ["leak"]}, "hardening": {"examples_per_round": 7}},
            "hardening/examples_per_round, 7: only 6",
        ),
        (
            {"run": {"defences": ["baseline"]}, "defences": {"baseline": {"kind": "mixed"}}},
            "defences/baseline",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(config, change, said):
    for section, values in change.items():
        config[section] = {**config[section], **values}

    assert said in mistake(config)


def test_the_kinds_that_attack_are_those_of_the_training():
    # Written down twice, so that a job depends on no configuration code.
    assert defences.ATTACKING_KINDS == training_rows.ATTACKING
