"""What a configuration must fulfil beyond its schema, and errors a user can act on."""

import glob
import json
import os
import re
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from genosiege.errors import InputError
from genosiege.kinds.attacks import ATTACKS

SPLITS = ("train", "dev", "test")
RUN_CATALOGUES = ("tasks", "encoders", "attacks", "defences", "datasets", "models")

DNA_KINDS = ATTACKS
"""Kinds of attacks whose adversaries are DNA."""
RESERVED_ATTACKS = ("certify", "worst_case")
"""Names that tables have for other things."""
PATH = 200
"""Letters of a path that a message shows: its end tells most."""
LATENT_KINDS = ("latent_fgsm", "latent_pgd")
"""Kinds of attacks in embedding space."""


def place(path: Iterable[str | int]) -> str:
    """Write a path of keys and list indices as `run/tasks[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f"/{step}"
    return text.lstrip("/")


def normalise(config: MutableMapping[str, Any]) -> None:
    """Turn each constraint's `off`, which YAML reads as false, into the word; labels into text."""
    for constraint in config.get("constraints", {}).values():
        if constraint.get("mode") is False:
            constraint["mode"] = "off"
    for task in config.get("tasks", {}).values():
        # As in the run's own copy, which is JSON. What else YAML made of a word is refused below.
        for word in [word for word in task.get("labels") or () if type(word) in (int, float)]:
            task["labels"][str(word)] = task["labels"].pop(word)


def check(config: Mapping[str, Any], folder: Path = Path()) -> None:
    """Check what a schema cannot say.

    Parameters
    ----------
    config : mapping
        A configuration that fulfils the schema.
    folder : Path
        What relative paths start from, the working directory.

    Raises
    ------
    InputError
        If `run` names what no catalogue has, if a local source of the run does not
        exist, if two settings contradict each other, or if the results folder cannot
        be made.
    """
    _check_names(config)
    for name in config["run"]["tasks"]:
        _check_task(name, config["tasks"][name], folder)
    for name in config["run"]["encoders"]:
        _check_encoder(name, config["encoders"][name], folder)
    _check_known_truth(config)
    for name in config["run"].get("attacks", []):
        check_attack(name, config["attacks"], folder)
        check_one_source(name, config)
    _check_constraints(config.get("constraints", {}), folder)
    _check_results(config["run"]["name"], folder)


def _check_names(config: Mapping[str, Any]) -> None:
    for catalogue in RUN_CATALOGUES:
        for index, name in enumerate(config["run"].get(catalogue, [])):
            if name not in config.get(catalogue, {}):
                known = listing(config.get(catalogue, {}))
                raise InputError(
                    f"config, {place(['run', catalogue, index])}, {shown(name)}: `{catalogue}` "
                    f"has no such entry; add it there or take one of: {known}."
                )
    if config["run"]["tasks"] and not config["run"]["encoders"]:
        raise InputError(
            f"config, {place(['run', 'encoders'])}: no encoder is asked for; take some of: "
            f"{listing(config['encoders'])}, or leave `tasks` empty, too."
        )
    if not config["run"]["tasks"] and not config["run"].get("datasets"):
        raise InputError(
            f"config, {place(['run'])}: neither a task nor a dataset is asked for; name one in "
            "`tasks` or `datasets`."
        )


def _check_task(name: str, task: Mapping[str, Any], folder: Path) -> None:
    source = task["source"]
    _check_labels(name, task)
    where = place(["tasks", name, "source"])
    if source["kind"] == "path" and source.get("layout") == "class_folders":
        for split in ("train", "test"):
            if not (folder / source["path"] / split).is_dir():
                raise InputError(
                    f"config, {where}/path, {shown(source['path'], PATH)}: there is no folder "
                    f"{split} in it; put it there, with a folder for each class, or correct the "
                    "path."
                )
    elif source["kind"] == "path":
        for split in SPLITS:
            path = source["path"].replace("{split}", split)
            pattern = glob.escape(path)
            if source.get("layout") == "fasta":
                pattern = pattern.replace("{class}", "*")
            # Not Path.glob, as the pattern may be absolute.
            found = glob.glob(pattern, root_dir=folder)  # noqa: PTH207
            if not any((folder / one).is_file() for one in found):
                raise InputError(
                    f"config, {where}/path, {shown(path, PATH)}: the split {split} has no such "
                    "file; put it there or correct the path."
                )
    if source["kind"] == "simulate":
        for section, path in ((source, where), (task, place(["tasks", name]))):
            index = section.get("tss_index")
            if index is not None and index >= source["length"]:
                raise InputError(
                    f"config, {path}/tss_index, {index}: this lies outside sequences of "
                    f"{source['length']} bp; give an offset below the length."
                )


def _check_labels(name: str, task: Mapping[str, Any]) -> None:
    """Refuse names of labels that YAML changed, and classes that are missing or too many."""
    labels = task.get("labels") or {}
    where = place(["tasks", name, "labels"])
    for word in labels:
        if not isinstance(word, str):
            raise InputError(f"config, {where}, {shown(word)}: a label is text{_yaml_hint(word)}.")
    if labels and {*labels.values()} != {*range(task["n_classes"])}:
        raise InputError(
            f"config, {where}: the classes are 0 to {task['n_classes'] - 1}, and "
            f"{', '.join(map(str, sorted({*labels.values()})))} are named; name each of them, or "
            "correct n_classes."
        )


def is_planted(task: Mapping[str, Any]) -> bool:
    """Tell whether the probability of every string of a task is known."""
    return bool(task["source"].get("generator") == "planted")


def trained_encoders(config: Mapping[str, Any]) -> list[str]:
    """Name the encoders of the run, without the truth itself: it is no model of anything."""
    encoders = config["run"]["encoders"]
    return [name for name in encoders if config["encoders"][name]["kind"] != "planted"]


def models(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pair each task of the run with its encoders; the truth is one where it is known."""
    run, trained = config["run"], trained_encoders(config)
    return [
        (task, encoder)
        for task in run["tasks"]
        for encoder in run["encoders"]
        if encoder in trained or is_planted(config["tasks"][task])
    ]


def _check_known_truth(config: Mapping[str, Any]) -> None:
    """Refuse a task whose only encoder is a truth that is not known, and other than two classes."""
    for name in config["run"]["tasks"]:
        task = config["tasks"][name]
        if not is_planted(task) and not trained_encoders(config):
            raise InputError(
                f"config, {place(['run', 'encoders'])}: the truth of the task {name} is not known; "
                "add an encoder that is trained, or take tasks of `generator: planted`."
            )
        if is_planted(task) and task["n_classes"] != 2:
            raise InputError(
                f"config, {place(['tasks', name, 'n_classes'])}, {task['n_classes']}: a planted "
                "task has two classes; leave the key out."
            )


def _check_encoder(name: str, encoder: Mapping[str, Any], folder: Path) -> None:
    source = encoder.get("source", {})
    if source.get("kind") == "path" and not (folder / source["path"]).is_dir():
        raise InputError(
            f"config, {place(['encoders', name, 'source', 'path'])}, "
            f"{shown(source['path'], PATH)}: there is "
            "no such folder with a checkpoint; put it there or correct the path."
        )
    tokens = encoder.get("tokens", {})
    if tokens.get("stride", 1) not in (1, tokens.get("kmer")):
        where = place(["encoders", name, "tokens", "stride"])
        raise InputError(
            f"config, {where}, {tokens['stride']}: k-mers overlap (1) or follow one another (as "
            "kmer); take one of the two."
        )
    shape = encoder.get("architecture", {})
    heads = shape.get("num_attention_heads")
    if heads and shape["hidden_size"] % heads:
        where = place(["encoders", name, "architecture", "num_attention_heads"])
        raise InputError(
            f"config, {where}, {heads}: the heads do not divide hidden_size "
            f"{shape['hidden_size']}; change one of the two."
        )
    if shape.get("kernel_size", 1) % 2 == 0:
        where = place(["encoders", name, "architecture", "kernel_size"])
        raise InputError(
            f"config, {where}, {shape['kernel_size']}: a filter has an odd width; "
            f"take {shape['kernel_size'] + 1}."
        )


def check_attack(name: str, catalogue: Mapping[str, Any], folder: Path) -> None:
    """Check an entry of the catalogue of attacks, and the one whose adversaries it transfers.

    Raises
    ------
    InputError
        If its name has another meaning, or what it needs does not exist.
    """
    attack = catalogue[name]
    if name in RESERVED_ATTACKS:
        raise InputError(
            f"config, {place(['attacks', name])}: this is what a row of the table worst_case is "
            "called that is no single attack; choose another name."
        )
    if attack["kind"] == "variants" and not (folder / attack["path"]).is_file():
        raise InputError(
            f"config, {place(['attacks', name, 'path'])}, {shown(attack['path'], PATH)}: there is "
            "no such file of variants; put it there or correct the path."
        )
    if attack["kind"] == "transfer":
        source = attack["attack"]
        usable = [key for key, entry in catalogue.items() if entry["kind"] in DNA_KINDS]
        if source not in usable:
            raise InputError(
                f"config, {place(['attacks', name, 'attack'])}, {shown(source)}: only an attack "
                f"in DNA space has adversaries to transfer; take one of: {listing(usable)}."
            )
        # Its adversaries are made also where it is no attack of the run itself.
        check_attack(source, catalogue, folder)


def check_one_source(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a list of variants for several tasks: their sequences have the same ids."""
    attack = config["attacks"][name]
    attack = config["attacks"][attack["attack"]] if attack["kind"] == "transfer" else attack
    sources = [config["tasks"][task]["source"] for task in config["run"]["tasks"]]
    if attack["kind"] == "variants" and any(source != sources[0] for source in sources):
        raise InputError(
            f"config, {place(['run', 'tasks'])}: {shown(name)} lists variants of one task's "
            "sequences; run each task by itself, with a list of its own."
        )


def _check_constraints(constraints: Mapping[str, Any], folder: Path) -> None:
    for index, path in enumerate(constraints.get("motifs", {}).get("jaspar", [])):
        if not (folder / path).is_file():
            where = place(["constraints", "motifs", "jaspar", index])
            raise InputError(
                f"config, {where}, {shown(path, PATH)}: there is no such file; put it there or "
                "correct the path."
            )
    for index, (start, end) in enumerate(constraints.get("edit_mask", {}).get("editable") or []):
        if start >= end:
            where = place(["constraints", "edit_mask", "editable", index])
            raise InputError(
                f"config, {where}, [{start}, {end}]: an interval ends after its start; "
                "correct one of the two."
            )


def _check_results(name: str, folder: Path) -> None:
    parts = ["results", name]
    for depth in range(1, len(parts) + 1):
        path = Path(*parts[:depth])
        if not os.path.lexists(folder / path):
            continue
        if not (folder / path).is_dir():
            raise InputError(
                f"config, run/name, {shown(name)}: the results go to results/{name}, but {path} is "
                "a file; remove it or choose another name."
            )
        if not os.access(folder / path, os.W_OK | os.X_OK):
            raise InputError(
                f"config, run/name, {shown(name)}: the results go to results/{name}, but the "
                f"folder {path} cannot be written; change its permissions or choose another name."
            )


def reworded(error: Any) -> str:
    """Say what a schema error means in one line.

    Parameters
    ----------
    error : jsonschema.ValidationError
        What the validation failed with.

    Returns
    -------
    str
        `config, place, value: what is wrong; what to do.`
    """
    where = ", ".join(filter(None, ["config", place(error.absolute_path)]))
    value = error.instance
    limit = error.validator_value
    told = f"{where}, {shown(value)}"
    match error.validator:
        case "additionalProperties" | "propertyNames":
            return _unknown_key(error, where)
        case "required":
            missing = next(key for key in limit if key not in value)
            return f'{where}, "{missing}": this key is missing; add it.'
        case "dependentRequired":
            key = next(key for key in limit if key in value and set(limit[key]) - set(value))
            missing = ", ".join(sorted(set(limit[key]) - set(value)))
            return f'{where}, "{key}": it needs {missing} beside it; add that or leave both out.'
        case "oneOf" if "source" in value:
            return (
                f'{where}, "source": an encoder has a source or is trained from scratch with '
                "an architecture, not both; leave one out."
            )
        case "oneOf":
            return (
                f'{where}, "source": this key is missing; add it, or architecture and '
                "pretraining for an encoder trained from scratch."
            )
        case "type" if value is None:
            return f"{where}: nothing stands here; fill it in or leave the key out."
        case "type":
            return f"{told}: this has to be {_types(limit)}; correct it{_yaml_hint(value)}."
        case "enum":
            words = ("null" if word is None else str(word) for word in limit if word is not False)
            choices = ", ".join(words)
            return f"{told}: there is no such choice; take one of: {choices}."
        case "const":
            return f"{told}: only {shown(limit)} is possible here; correct it or leave it out."
        case "minimum":
            return f"{told}: this has to be at least {limit}; correct it."
        case "exclusiveMinimum":
            return f"{told}: this has to be above {limit}; correct it."
        case "maximum":
            return f"{told}: this has to be at most {limit}; correct it."
        case "exclusiveMaximum":
            return f"{told}: this has to be below {limit}; correct it."
        case "minItems":
            return f"{told}: this list needs at least {_entries(limit)}; add to it."
        case "maxItems":
            return f"{told}: this list has at most {_entries(limit)}; take some away."
        case "uniqueItems":
            return f"{told}: an entry is there twice; remove one."
        case "minLength":
            return f"{told}: this is empty; fill it in."
        case "pattern":
            return f"{told}: {_pattern(limit)}; correct it."
        case _:
            return f"{where}: {' '.join(error.message.split())}; correct it."


def _unknown_key(error: Any, where: str) -> str:
    known = sorted(error.schema.get("properties", {}))
    unknown = next((key for key in error.instance if key not in known), "")
    close = get_close_matches(str(unknown), known, n=1)
    hint = f"did you mean {close[0]}? The keys here are" if close else "the keys here are"
    return f"{where}, {shown(unknown)}: there is no such key; {hint}: {listing(known)}."


def _pattern(pattern: str) -> str:
    if "split" in pattern:
        return "{split} has to stand where train, dev or test goes"
    if "0-9a-f" in pattern:
        return "a sha256 digest has 64 hexadecimal digits"
    if pattern in ("^all$", "^auto$"):
        return f'a number, or "{pattern.strip("^$")}"'
    if "/" in pattern:
        return "a repository is written owner/name"
    return "a name has letters, digits, hyphens and underscores only"


def _types(types: str | list[str]) -> str:
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "array": "a list",
        "object": "a section with keys",
        "null": "null",
    }
    return " or ".join(words[name] for name in ([types] if isinstance(types, str) else types))


def _yaml_hint(value: Any) -> str:
    """Explain YAML's traps: bare words that are true or false, numbers that are others."""
    if isinstance(value, bool):
        return (
            " (YAML reads a bare yes, no, on or off so; if a text is meant, write it in quotes: "
            '"yes", "True")'
        )
    if isinstance(value, date):
        return f' (YAML reads it as a date; if a text is meant, write it in quotes: "{value}")'
    if isinstance(value, float) and value.is_integer():
        return f" (write {value:.0f}, without point)"
    power = re.fullmatch(r"([0-9]+)(\.[0-9]*)?[eE]([-+]?)([0-9]+)", str(value))
    if not isinstance(value, str) or power is None:
        return ""
    whole, fraction, sign, exponent = power.groups()
    number = f"{whole}{fraction or '.0'}e{sign or '+'}{exponent}"
    return f" (YAML reads {value} as text; write {number}, with point and sign)"


def shown(value: Any, width: int = 60) -> str:
    """Quote what a user wrote, for a message: one line, and not long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _entries(count: int) -> str:
    return f"{count} entry" if count == 1 else f"{count} entries"


def listing(names: Iterable[str]) -> str:
    """Name what there is, sorted, for a message."""
    return ", ".join(sorted(names)) or "(none)"
