"""What a defence's options are, once the section `hardening` has filled them in."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genosiege.configuration import (
    DNA_KINDS,
    check_attack,
    check_one_source,
    listing,
    place,
    shown,
    trained_encoders,
)
from genosiege.errors import InputError

ATTACKING_KINDS = ("adversarial_only", "mixed")
"""Kinds that train on adversaries; the others are controls, and are not attacked for training."""
PER_ROUND = ("epochs", "learning_rate")
"""Options that may differ from round to round."""
CERTIFY = "certify"
"""What the certificate is called among the attacks of a suite."""
TRANSFER = "transfer"
"""Kind of attacks that ask for adversaries of other models."""
TAKEN = ("black_box", "replay", "reverse_replay", "clean")
"""What the tables of hardening call other things than attacks of the suite."""
RESERVED = ("baseline",)
"""Names that folders of the results have for other things."""

_TRAINING = (
    "examples_per_round", "cumulative", "epochs", "batch_size", "learning_rate", "weight_decay",
)  # fmt: skip


def options(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Give all options of a defence: its own, and the section's for the rest.

    Parameters
    ----------
    config : mapping
        A configuration that fulfils the schema.
    name : str
        The defence, an entry of the catalogue.

    Returns
    -------
    dict
        A control, which trains on no adversary, has `adversary_source` train and runs all its
        rounds: `convergence_threshold` is 0.
    """
    shared = {key: value for key, value in config["hardening"].items() if key != "suite"}
    found = shared | dict(config["defences"][name])
    if found["kind"] not in ATTACKING_KINDS:
        found |= {"adversary_source": "train", "convergence_threshold": 0.0}
    return found


def of_round(config: Mapping[str, Any], name: str, number: int) -> dict[str, Any]:
    """Give what the training of one round is done with, and nothing that it does not use.

    Parameters
    ----------
    config : mapping
        A configuration that fulfils the schema.
    name : str
        The defence.
    number : int
        The round, from 1.

    Returns
    -------
    dict
        `kind`, `adversary_source` and the options of training, those of `PER_ROUND` as numbers.
        With adversaries also `attack` and `train_attack_samples`, with random mutants `max_edits`.
    """
    known = options(config, name)
    found = {key: known[key] for key in ("kind", "adversary_source", *_TRAINING)}
    for key in PER_ROUND:
        if isinstance(found[key], list):
            found[key] = found[key][number - 1]
    if known["kind"] in ATTACKING_KINDS:
        found |= {key: known[key] for key in ("attack", "adversaries", "train_attack_samples")}
    if known["kind"] == "random_mutants":
        found["max_edits"] = config["attacks"][known["attack"]].get("max_edits", 10)
    return found


def suite(config: Mapping[str, Any]) -> list[str]:
    """Name the attacks in DNA space that a baseline and a hardened model are compared under."""
    return _of_suite(config, DNA_KINDS)


def transfers(config: Mapping[str, Any]) -> list[str]:
    """Name the transfers of adversaries that belong to that comparison."""
    return _of_suite(config, (TRANSFER,))


def _of_suite(config: Mapping[str, Any], kinds: Sequence[str]) -> list[str]:
    asked = config["hardening"]["suite"]
    names = config["run"]["attacks"] if asked is None else asked
    attacks = {CERTIFY: {"kind": CERTIFY}} | config["attacks"]
    return [name for name in names if attacks[name]["kind"] in kinds]


def certifies(config: Mapping[str, Any]) -> bool:
    """Tell whether certificates belong to that comparison."""
    asked = config["hardening"]["suite"]
    return bool(config["certify"]["max_edits"]) and (asked is None or CERTIFY in asked)


def terms(config: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a verdict is called under: the edit budget, and the suite by name.

    Returns
    -------
    dict
        `edits`; and `suite`, of each attack its `kind`, `max_edits` and `query_budget`, as far
        as it has them.
    """
    told = ("kind", "max_edits", "query_budget")
    found = {
        name: {key: value for key, value in config["attacks"][name].items() if key in told}
        for name in [*suite(config), *transfers(config)]
    }
    if certifies(config):
        found[CERTIFY] = {"kind": CERTIFY}
    return {"edits": config["verdict"]["edits"], "suite": found}


def check(config: Mapping[str, Any], folder: Path = Path()) -> None:
    """Check what a schema cannot say about the defences of the run.

    Parameters
    ----------
    config : mapping
        A configuration that fulfils the schema and passed `configuration.check`.
    folder : Path
        What relative paths start from, the working directory.

    Raises
    ------
    InputError
        If a name stands in no catalogue, an option cannot be fulfilled, or a model of the run
        has nothing to train.
    """
    if not config["run"]["defences"]:
        return
    for name in trained_encoders(config):
        if config["encoders"][name].get("train") == "none":
            raise InputError(
                f'config, {place(["encoders", name, "train"])}, "none": a model that keeps its own '
                "head cannot be hardened; set run: defences: [] or leave the encoder out."
            )
    _check_suite(config)
    for name in config["run"]["defences"]:
        _check_defence(config, name)
    own = [options(config, name)["attack"] for name in config["run"]["defences"]]
    for name in dict.fromkeys([*suite(config), *transfers(config), *own]):
        check_attack(name, config["attacks"], folder)
        check_one_source(name, config)


def _check_suite(config: Mapping[str, Any]) -> None:
    usable = [
        name for name, entry in config["attacks"].items() if entry["kind"] in (*DNA_KINDS, TRANSFER)
    ]
    for index, name in enumerate(config["hardening"]["suite"] or []):
        where = place(["hardening", "suite", index])
        if name == CERTIFY and CERTIFY in config["attacks"]:
            raise InputError(
                f"config, {place(['attacks', CERTIFY])}: in a suite this is what the certificate "
                "is called; choose another name."
            )
        if name == CERTIFY and not config["certify"]["max_edits"]:
            raise InputError(
                f"config, {where}, {shown(name)}: nothing is certified; raise certify: max_edits, "
                "or leave it out."
            )
        if name not in (*usable, CERTIFY):
            raise InputError(
                f"config, {where}, {shown(name)}: `attacks` has no such attack in DNA space; take "
                f"one of: {listing([*usable, CERTIFY])}."
            )
    if not suite(config):
        asked = config["hardening"]["suite"] is not None
        where = "hardening/suite" if asked else "run/attacks"
        raise InputError(
            f"config, {where}: defences are judged by attacks in DNA space, and there is none; "
            "add one, or set run: defences: []."
        )
    for name in suite(config):
        if name in TAKEN:
            raise InputError(
                f"config, {place(['attacks', name])}: the tables of hardening call something else "
                "this; choose another name."
            )
    edits = config["verdict"]["edits"]
    allowed = [config["attacks"][name].get("max_edits", math.inf) for name in suite(config)]
    if max(allowed) < edits:
        raise InputError(
            f"config, verdict/edits, {edits}: no attack of the suite may make more than "
            f"{max(allowed)} edits; lower it, or raise max_edits of one of: "
            f"{listing(suite(config))}."
        )


def _check_defence(config: Mapping[str, Any], name: str) -> None:
    own, known = config["defences"][name], options(config, name)
    if name in RESERVED:
        raise InputError(
            f"config, {place(['defences', name])}: the model before hardening is called this; "
            "choose another name."
        )
    attack = config["attacks"].get(known["attack"])
    if attack is None or attack["kind"] not in DNA_KINDS:
        usable = [key for key, entry in config["attacks"].items() if entry["kind"] in DNA_KINDS]
        raise InputError(
            f"config, {_where(own, name, 'attack')}, {shown(known['attack'])}: `attacks` has no "
            f"such attack in DNA space; take one of: {listing(usable)}."
        )
    _check_training(own, known, name)
    if "train_attack_samples" in own and known["adversary_source"] == "train":
        raise InputError(
            f"config, {place(['defences', name, 'train_attack_samples'])}: all defences share one "
            "sample of the train split; set it in hardening instead."
        )
    if known["adversary_source"] == "train":
        n_attacked = config["hardening"]["train_attack_samples"]
    else:
        # Of the sample that is attacked for evaluation, too.
        sampled = config["sampling"]["attack_samples"] or math.inf
        n_attacked = min(known["train_attack_samples"], sampled)
    if known["examples_per_round"] > n_attacked:
        raise InputError(
            f"config, {_where(own, name, 'examples_per_round')}, {known['examples_per_round']}: "
            f"only {n_attacked} sequences are attacked for training; lower it, or raise "
            "train_attack_samples."
        )


def _check_training(own: Mapping[str, Any], known: Mapping[str, Any], name: str) -> None:
    for key in PER_ROUND:
        if isinstance(known[key], list) and len(known[key]) != known["rounds"]:
            raise InputError(
                f"config, {_where(own, name, key)}: {len(known[key])} values for "
                f"{known['rounds']} rounds; give one number, or one for each round."
            )
    rates = known["learning_rate"]
    if not all(math.isfinite(rate) for rate in (rates if isinstance(rates, list) else [rates])):
        raise InputError(
            f"config, {_where(own, name, 'learning_rate')}, {rates}: give numbers above 0."
        )
    for key in ("batch_size", "examples_per_round"):
        if known["kind"] == "mixed" and known[key] < 2:
            raise InputError(
                f"config, {_where(own, name, key)}, {known[key]}: mixed trains on both kinds of "
                "sequences in each step; take 2 at least."
            )


def _where(own: Mapping[str, Any], name: str, key: str) -> str:
    """Say where an option of a defence was written."""
    return place(["defences", name, key] if key in own else ["hardening", key])
