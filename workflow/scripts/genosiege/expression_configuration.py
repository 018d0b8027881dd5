"""What the configuration of the expression arm must fulfil beyond its schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genosiege.configuration import PATH, listing, place, shown
from genosiege.errors import InputError

RESERVED_MODELS = ("vae",)
"""Names that folders of the results have for other things."""
NETWORKS = ("cnn", "resnet", "vit")
"""Kinds of models that are networks."""
SAMPLE_FORMATS = ("toil", "geo_lung")
"""Formats whose labels stand in a file of their own."""


def check(config: Mapping[str, Any], folder: Path = Path()) -> None:
    """Check datasets, models and what is done with them.

    Parameters
    ----------
    config : mapping
        A configuration that fulfils the schema, and whose names exist in the catalogues.
    folder : Path
        What relative paths start from, the working directory.

    Raises
    ------
    InputError
        If a local file does not exist, a setting needs another one, or two contradict each other.
    """
    run = config["run"]
    for name in run["datasets"]:
        _check_dataset(name, config["datasets"][name], folder)
    for name in run["models"]:
        _check_model(name, config["models"][name])
    if run["datasets"] and not run["models"]:
        raise InputError(
            f"config, {place(['run', 'models'])}: no model is asked for; take some of: "
            f"{listing(config['models'])}, or leave `datasets` empty, too."
        )
    if run["datasets"]:
        _check_folds(config)
        _check_attacks(config)


def _check_dataset(name: str, entry: Mapping[str, Any], folder: Path) -> None:
    for part in ("matrix", "samples"):
        source = entry.get(part, {})
        if source.get("kind") == "path" and not (folder / source["path"]).is_file():
            raise InputError(
                f"config, {place(['datasets', name, part, 'path'])}, "
                f"{shown(source['path'], PATH)}: there is "
                "no such file; put it there or correct the path."
            )
    by_gene = entry.get("orientation") == "genes" or entry["format"] in SAMPLE_FORMATS
    if by_gene and "samples" not in entry:
        raise InputError(
            f"config, {place(['datasets', name])}: a matrix with genes in rows has no labels; "
            "say in `samples` where the table of samples is."
        )
    if "samples" in entry and not by_gene:
        raise InputError(
            f"config, {place(['datasets', name, 'samples'])}: a matrix with samples in rows has "
            "its own labels, this table would not be read; leave it out, or set orientation: genes."
        )
    if entry["format"] != "csv" and entry["matrix"]["kind"] == "simulate":
        raise InputError(
            f"config, {place(['datasets', name, 'format'])}, {entry['format']}: simulated "
            "expression is csv; take that."
        )
    if entry["resample"] is not None and entry["max_per_class"] is not None:
        raise InputError(
            f"config, {place(['datasets', name, 'resample'])}: it and max_per_class both draw "
            "samples; give only one."
        )
    named_elsewhere = entry["format"] in SAMPLE_FORMATS
    split = entry["split"]
    if split in ("donor", "site") and not entry.get(split) and not named_elsewhere:
        raise InputError(
            f"config, {place(['datasets', name, 'split'])}, {split}: name the column in `{split}`."
        )
    if entry["resample"] is not None and not entry["leaky_preprocessing"]:
        raise InputError(
            f"config, {place(['datasets', name, 'resample'])}, {entry['resample']}: copies of a "
            "sample would stand in several splits; set it to null, or leaky_preprocessing to true "
            "to replay the published order."
        )
    if abs(sum(entry["fractions"]) - 1) > 1e-6:
        raise InputError(
            f"config, {place(['datasets', name, 'fractions'])}, {list(entry['fractions'])}: the "
            "shares of train, dev and test add up to 1; correct them."
        )


def _check_folds(config: Mapping[str, Any]) -> None:
    seeds = config["run"]["seeds"]
    for name in config["run"]["datasets"]:
        entry = config["datasets"][name]
        if entry["split"] == "folds" and len({s % entry["folds"] for s in seeds}) < len(seeds):
            raise InputError(
                f"config, {place(['run', 'seeds'])}, {list(seeds)}: seed s of {name} is tested on "
                f"fold s of {entry['folds']}, and two of these share one; take 0, 1, 2 and so on, "
                "at most as many as there are folds."
            )


def _check_model(name: str, entry: Mapping[str, Any]) -> None:
    if name in RESERVED_MODELS:
        raise InputError(
            f"config, {place(['models', name])}: a folder of the results has this name for "
            "something else; choose another one."
        )
    if entry["kind"] == "vit" and entry["hidden"] % entry["heads"]:
        raise InputError(
            f"config, {place(['models', name, 'heads'])}, {entry['heads']}: the heads do not "
            f"divide hidden {entry['hidden']}; change one of the two."
        )
    if entry["kind"] == "resnet" and len(entry["blocks"]) != len(entry["widths"]):
        raise InputError(
            f"config, {place(['models', name, 'blocks'])}: {len(entry['blocks'])} stages of blocks "
            f"for {len(entry['widths'])} widths; give one number of blocks for each width."
        )


def _check_attacks(config: Mapping[str, Any]) -> None:
    for section in ("poisoning", "expression_hardening", "comparison"):
        for index, name in enumerate(config[section]["models"] or []):
            if name not in config["run"]["models"]:
                raise InputError(
                    f"config, {place([section, 'models', index])}, {shown(name)}: the run has no "
                    f"such model; take some of: {listing(config['run']['models'])}."
                )
    comparison = config["comparison"]
    compares = comparison["attacks"] and comparison["models"] != []
    if compares and "shap" not in config["fimba"]["features"]:
        raise InputError(
            f"config, {place(['fimba', 'features'])}: the comparison sets FIMBA along SHAP values "
            "beside other attacks; add shap, or leave comparison/attacks empty."
        )
    kinds = config["poisoning"]["kinds"]
    poisons = config["poisoning"]["rates"] and config["poisoning"]["models"] != []
    if poisons and not config["vae"]["fractions"] and set(kinds) - {"label_flip", "refit"}:
        raise InputError(
            f"config, {place(['poisoning', 'kinds'])}: poison is decoded by a VAE, but "
            "vae/fractions asks for none; take kinds: [label_flip], or rates: [] to poison nothing."
        )
