"""Which modules of the library a rule adds to those that its script imports: those of its kinds."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from genosiege.kinds.encoders import ENCODERS
from genosiege.kinds.models import MODELS

ENCODER_MODULES = {kind: f"genosiege.sequence.{name}" for kind, name in ENCODERS.items()}
"""The module of each kind of encoder; the registry imports it by name."""

MODEL_MODULES = MODELS
"""The module of each kind of model of expression; it has a function `make`."""

FORMAT_MODULES = {
    "toil": "genosiege.expression.reading.toil",
    "geo_lung": "genosiege.expression.reading.geo_lung",
    "csv": "genosiege.expression.reading.table",
    "h5ad": "genosiege.expression.reading.annotated",
}
"""The reader of each format of expression data."""


TRUTH_MODULES = ["genosiege.data.planted", "genosiege.data.planted_posterior"]
"""What knows the truth of planted tasks; `sequence.known_truth` imports it by name."""


def prefer_in_jobs(scripts: Path) -> None:
    """Put a folder first on the import path of all processes started from now on.

    Snakemake gives the folder of the scripts to its jobs last, after an installed copy of
    the library, but its own environment whole.
    """
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in others if path not in ("", str(scripts))]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(scripts), *kept])


def tell_jobs(compute: Mapping[str, object]) -> None:
    """Tell all processes started from now on where and how long jobs run.

    No parameter of a rule says so: it is no reason to run a job again. `runtime.device` asks for
    the one, the profile of SLURM for the other.
    """
    os.environ["GENOSIEGE_DEVICE"] = str(compute["device"])
    os.environ["GENOSIEGE_MAX_RUNTIME"] = str(compute["max_runtime"])


def attack_module(kind: str) -> str:
    """Name the module of a kind of attack; the registry imports it by name."""
    return f"genosiege.sequence.attacks.{kind}"


def shard_count(known_sizes: Iterable[int | None], shard_size: int, otherwise: int) -> int:
    """Count the shards of a sample from the configuration alone.

    Parameters
    ----------
    known_sizes : iterable of int or None
        Upper limits of the sample's size; None says nothing. The smallest counts.
    shard_size : int
        Sequences in a shard at most, at least 1.
    otherwise : int
        How many there are where no size is known.

    Returns
    -------
    int
        At least 1.
    """
    limits = [size for size in known_sizes if size is not None]
    if not limits:
        return otherwise
    return max(1, -(-min(limits) // shard_size))


def kind_modules(entries: Mapping[str, Mapping[str, object]], name: str, what: str) -> list[str]:
    """Name the module that the kind of one catalogue entry adds.

    Parameters
    ----------
    entries : mapping
        The catalogue, `encoders` or `attacks`.
    name : str
        The entry.
    what : str
        "encoder" or "attack".

    Returns
    -------
    list of str
        Dotted module names; a module that does not exist has no file and adds nothing.
    """
    kind = str(entries[name]["kind"])
    return [ENCODER_MODULES[kind] if what == "encoder" else attack_module(kind)]
