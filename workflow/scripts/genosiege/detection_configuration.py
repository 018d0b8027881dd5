"""What the configuration of detection must fulfil beyond its schema."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from genosiege.configuration import DNA_KINDS, listing, place, shown
from genosiege.detection.options import EXPRESSION, SEQUENCE
from genosiege.errors import InputError


def check(config: Mapping[str, Any]) -> None:
    """Check which models, attacks and detectors are named.

    Parameters
    ----------
    config : mapping
        A configuration that fulfils the schema, and whose names exist in the catalogues.

    Raises
    ------
    InputError
        If a model or an attack is none of the run, or a detector is evaded that is not there.
    """
    section, run = config["detection"], config["run"]
    searches = [name for name in run["attacks"] if config["attacks"][name]["kind"] in DNA_KINDS]
    if run["datasets"]:
        _check_known(("detection", "models"), section["models"], run["models"], "model")
    if run["tasks"]:
        known = (("detection", "attacks"), section["attacks"], searches, "attack in DNA space")
        _check_known(*known)
    # Detectors of an arm that is left out may stay named.
    asked = [*(section["expression"] or EXPRESSION), *(section["sequence"] or SEQUENCE)]
    evaded = section["adaptive"]["detectors"]
    _check_known(("detection", "adaptive", "detectors"), evaded, asked, "detector")
    _check_vae(config)
    for index, penalty in enumerate(section["adaptive"]["penalties"]):
        if not isfinite(penalty):
            raise InputError(
                f"config, {place(['detection', 'adaptive', 'penalties', index])}, {penalty}: this "
                "is no number; give one ≥ 0."
            )


def _check_vae(config: Mapping[str, Any]) -> None:
    """Refuse detectors that are the autoencoder's alone where there is none."""
    section = config["detection"]
    asked = {
        ("detection", "expression"): section["expression"],
        ("detection", "adaptive", "detectors"): section["adaptive"]["detectors"],
    }
    for where, names in asked.items():
        if names == ["vae"] and config["run"]["datasets"] and not config["vae"]["fractions"]:
            raise InputError(
                f"config, {place(where)}: there is no autoencoder to detect with; add another "
                "detector, or a share of the data to vae/fractions."
            )


def _check_known(
    where: tuple[str, ...], asked: list[str] | None, known: list[str], what: str
) -> None:
    for index, name in enumerate(asked or []):
        if name not in known:
            raise InputError(
                f"config, {place([*where, index])}, {shown(name)}: the run has no such {what}; "
                f"take some of: {listing(known)}."
            )
