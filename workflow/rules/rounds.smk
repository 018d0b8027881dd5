"""Which rounds of a defence there are, and the files of each.

Where rounds may end early, only what the next decision needs is known before it is made; the
attacks on test sequences follow once a defence's last round is known.
"""

import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace

# Round 0 of every defence is the baseline, which is stored once.


def defence_options(wildcards):
    """Give all options of a defence."""
    return defences.options(config, wildcards.defence)


def round_options(wildcards):
    """Give what the training of one round is done with."""
    return defences.of_round(config, wildcards.defence, int(wildcards.round))


def stage_of(defence, number):
    """Name the stage of a round."""
    return f"{defence}/round{number}" if number else "baseline"


def of_stage(wildcards, stage, path):
    """Name a file of one stage of a model."""
    return f"{SEQUENCE}/seed{{seed}}/{{stage}}/{path}".format(
        task=wildcards.task, encoder=wildcards.encoder, seed=wildcards.seed, stage=stage
    )


def of_rounds(wildcards, numbers, path):
    """Name a file of several rounds of a defence."""
    return [of_stage(wildcards, stage_of(wildcards.defence, n), path) for n in numbers]


# What a round is made from -------------------------------------------------------------


def of_previous(path):
    """Make an input function that names a file of the round before."""

    def file(wildcards):
        stage = stage_of(wildcards.defence, int(wildcards.round) - 1)
        return of_stage(wildcards, stage, path)

    return file


def round_data(wildcards):
    """Name the cached features of clean sequences; none where the encoder is trained."""
    if not caches_features(wildcards):
        return {}
    return {
        "train": f"<results>/data/{wildcards.task}/train.parquet",
        "train_features": f"{SEQUENCE}/embeddings/train.safetensors".format(
            **wildcards
        ),
    }


def clean_sample(wildcards):
    """Name the sample of the train split, where a defence draws on it at all."""
    known = defence_options(wildcards)
    if known["kind"] == "adversarial_only":
        return []
    return f"{SEQUENCE}/samples/train.parquet".format(**wildcards)


def training_tables(wildcards, numbers):
    """Name the attacks for the training of some rounds, each on the model of the round before."""
    known = defence_options(wildcards)
    if known["kind"] not in defences.ATTACKING_KINDS:
        return []
    path = f"attacks/{known['attack']}/{known['adversary_source']}.parquet"
    return of_rounds(wildcards, [number - 1 for number in numbers], path)


def adversaries(wildcards):
    """Name the attacks that a round's examples come from, in the order of the rounds."""
    last = int(wildcards.round)
    first = 1 if defence_options(wildcards)["cumulative"] else last
    return training_tables(wildcards, range(first, last + 1))


# How far a defence goes ----------------------------------------------------------------


def convergence(wildcards):
    """Say which measure decides, at which value, and on how many sequences."""
    known = defence_options(wildcards)
    return {
        "rule": known["convergence"],
        "threshold": known["convergence_threshold"],
        "attack_samples": known["train_attack_samples"],
        "criterion": known["adversaries"],
    }


def decision_attack(wildcards):
    """Name the attack that tells whether another round is run, where a flip rate does."""
    if defence_options(wildcards)["convergence"] != "flip_rate":
        return []
    return training_tables(wildcards, [int(wildcards.round)])


def decision_metrics(wildcards):
    """Name the metrics that tell whether another round is run, where the accuracy does."""
    if defence_options(wildcards)["convergence"] != "accuracy":
        return []
    return of_rounds(wildcards, range(int(wildcards.round)), "metrics.json")


def decision(wildcards, number):
    """Wait for the decision on a round; give its file."""
    made = checkpoints.decide_round.get(
        task=wildcards.task,
        encoder=wildcards.encoder,
        seed=wildcards.seed,
        defence=wildcards.defence,
        round=number,
    )
    # As it is: where it lies is noted on it, in a module with a prefix.
    return made.output.decision


def rounds_run(wildcards):
    """List the rounds of a defence that are run, from 1; they may be none."""
    known = defence_options(wildcards)
    asked = range(1, known["rounds"] + 1)
    if not known["convergence_threshold"]:
        return asked
    for number in asked:
        if not json.loads(Path(str(decision(wildcards, number))).read_text())["go"]:
            return range(1, number)
    return asked


def rounds_of_defence(wildcards):
    """Name all results of a defence, and those of the baseline that they are compared with."""
    run = rounds_run(wildcards)
    numbers = [0, *run]
    ends = [0, numbers[-1]]
    known = defence_options(wildcards)
    own = f"{known['attack']}/test.parquet"
    found = {
        "metrics": of_rounds(wildcards, numbers, "metrics.json"),
        "predictions": of_rounds(wildcards, ends, "predictions.parquet"),
        "attacks": of_rounds(wildcards, numbers, f"attacks/{own}"),
        "training_attacks": training_tables(wildcards, run),
        "descriptions": of_rounds(wildcards, run, "model.json"),
        "replays": of_rounds(wildcards, run, f"replay/{known['attack']}.parquet"),
        "suite_before": suite_tables(wildcards, ends[:1]),
        "suite_after": suite_tables(wildcards, ends[1:]),
        "certificates": [],
        "transfers": [
            path
            for attack in dict.fromkeys(
                [*attacks_of("transfer"), *defences.transfers(config)]
            )
            for path in of_rounds(wildcards, ends, f"transfer/{attack}.parquet")
        ],
        "reverse_replays": [],
        "decision": [],
    }
    if run and defences.transfers(config):
        path = f"reverse_replay/{known['attack']}.parquet"
        found["reverse_replays"] = of_rounds(wildcards, ends[1:], path)
    if defences.certifies(config):
        found["certificates"] = of_rounds(wildcards, ends, "certify.parquet")
    if len(run) < known["rounds"]:
        found["decision"] = [decision(wildcards, len(run) + 1)]
    return found


def transfers_count(wildcards):
    """Tell whether transferred adversaries belong to the suite."""
    return bool(defences.transfers(config))


def suite_tables(wildcards, numbers):
    """Name the tables of the suite's attacks on some rounds."""
    return [
        path
        for attack in defences.suite(config)
        for path in of_rounds(wildcards, numbers, f"attacks/{attack}/test.parquet")
    ]


def of_defences(file):
    """Name one file of every defence of every model."""
    return expand(
        f"{SEQUENCE}/seed{{seed}}/{{defence}}/{file}",
        task=config["run"]["tasks"],
        encoder=configuration.trained_encoders(config),
        seed=config["run"]["seeds"],
        defence=config["run"]["defences"],
    )


# Targets ------------------------------------------------------------------------------


def models_of(task, encoder, seed, defence):
    """Make an input function that names every model of a defence, and its description.

    So that a lost one is made again. One function for each defence: one for all would wait for
    the first one's last decision before it asked for the next one's rounds.
    """
    of = SimpleNamespace(task=task, encoder=encoder, seed=seed, defence=defence)

    def files(wildcards):
        run = rounds_run(of)
        weights = of_rounds(of, run, "model.safetensors")
        return [*weights, *of_rounds(of, run, "model.json")]

    return files


def hardened_models():
    """Give such a function for every defence of every model of the run."""
    run, encoders = config["run"], configuration.trained_encoders(config)
    return [
        models_of(*of)
        for of in product(run["tasks"], encoders, run["seeds"], run["defences"])
    ]


def hardening_results(wildcards):
    """Name what the report says of the defences, where there are any."""
    if not config["run"]["defences"]:
        return []
    return [*rules.make_hardening_tables.output, *rules.draw_hardening.output]
