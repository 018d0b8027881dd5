"""Prepare a dataset of expression: split, normalise, choose genes, scale, describe.

The sound order fits everything on the training split: its samples alone decide which genes are
expressed, which vary most, and the range that each gene is scaled by. The published order
(`leaky_preprocessing: true`) is there to be replayed: genes are chosen on all samples, each
split is scaled by its own range, and cells may be drawn with replacement before the split.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genosiege import files, runtime
from genosiege.data.tables import shown
from genosiege.errors import InputError
from genosiege.expression import dataset_card, genes, reading, samples, scaling, splits
from genosiege.expression.samples import Samples
from genosiege.expression.splits import SPLITS

if TYPE_CHECKING:
    import pandas as pd

    from genosiege.expression.scaling import Matrix

log = logging.getLogger(__name__)

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Preparation:
    """How a dataset is prepared, named as in its entry of the configuration.

    Attributes
    ----------
    values : scaling.Values
        What the file's values are.
    split : splits.Splitting
        How samples are divided.
    choice : genes.Choice
        Which genes are kept, beside the readers' own filter.
    max_per_class : int or None
        At most so many samples of each class are read, drawn at random.
    leaky_preprocessing : bool
        Replay the published order, see above.
    resample : int or None
        Draw so many samples of each class with replacement, before the split; only with
        `leaky_preprocessing`.
    upstream_leak : bool
        The file itself was normalised, or its genes chosen, with test samples in view. This
        changes nothing here; the card carries it on.

    Raises
    ------
    InputError
        If a value is impossible, or two exclude each other.
    """

    values: scaling.Values = field(default_factory=scaling.Values)
    split: splits.Splitting = field(default_factory=splits.Splitting)
    choice: genes.Choice = field(default_factory=genes.Choice)
    max_per_class: int | None = None
    leaky_preprocessing: bool = False
    resample: int | None = None
    upstream_leak: bool = False

    def __post_init__(self) -> None:
        for name in ("max_per_class", "resample"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise InputError(f"{name} {value!r}: give a positive integer, or null.")
        for name in ("leaky_preprocessing", "upstream_leak"):
            if type(getattr(self, name)) is not bool:
                raise InputError(f"{name} {getattr(self, name)!r}: give true or false.")
        if self.resample is not None and not self.leaky_preprocessing:
            raise InputError(
                f"resample {self.resample}: copies of a sample would stand in several splits; set "
                "it to null, or leaky_preprocessing to true to replay the published order."
            )
        if self.resample is not None and self.max_per_class is not None:
            raise InputError("resample and max_per_class: both draw samples; give only one.")

    @classmethod
    def from_mapping(cls, entry: Mapping[str, Any], name: str = "dataset") -> "Preparation":
        """Take what a dataset's entry says about its preparation; it may say more.

        Raises
        ------
        InputError
            Its line begins with the dataset's place in the configuration.
        """
        simple = ("max_per_class", "leaky_preprocessing", "resample", "upstream_leak")
        try:
            return cls(
                values=scaling.Values.from_mapping(entry),
                split=splits.Splitting.from_mapping(entry),
                choice=genes.Choice.from_mapping(entry.get("genes")),
                **{option: entry[option] for option in simple if option in entry},
            )
        except InputError as error:
            raise InputError(f"datasets/{name}, {error}") from None


@dataclass(frozen=True, eq=False)
class Prepared:
    """A prepared dataset.

    Attributes
    ----------
    train, dev, test : Samples
        Scaled samples of each split, in the file's order.
    groups : mapping of str to ndarray of str
        Per split, the site of each sample where sites were kept apart, else its donor; "" where
        none is known.
    genes : pandas.DataFrame
        Columns gene, low and high: the training split's range of normalised values.
    card : dict
        What `dataset_card` counts, and how the dataset was prepared.
    """

    train: Samples
    dev: Samples
    test: Samples
    groups: Mapping[str, NDArray[np.str_]]
    genes: "pd.DataFrame"
    card: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Pool:
    """The samples that are divided: some of those described, perhaps repeatedly."""

    rows: NDArray[np.int64]
    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    donors: NDArray[np.str_]
    sites: NDArray[np.str_]
    studies: NDArray[np.str_]


def prepare(
    entry: Mapping[str, Any],
    matrix: Path,
    samples_file: Path | None,
    seed: int,
    name: str = "dataset",
) -> Prepared:
    """Prepare one division of a dataset.

    Parameters
    ----------
    entry : mapping
        The dataset's entry in the configuration.
    matrix : path-like
        File of expression values.
    samples_file : path-like or None
        File of labels and groups, for the formats that have one.
    seed : int
        Seed of the run; it draws the division, and the samples of a cap.
    name : str
        The dataset, for errors.

    Raises
    ------
    InputError
        If an option, a file or a split is impossible, or no gene varies in the training split.
    """
    options = Preparation.from_mapping(entry, name)
    described = reading.describe(entry, matrix, samples_file, name)
    pool = _pool(described, options, options.split.drawn_by(seed), name)
    groups = pool.sites if options.split.split == "site" else pool.donors
    division = splits.divide(pool.labels, groups, options.split, seed, f"datasets/{name}")
    looked_at = np.ones(len(division), bool) if options.leaky_preprocessing else division == 0
    raw = reading.read(entry, matrix, described, looked_at, pool.rows)
    _check_expected(entry, described, raw, matrix)
    normalised = scaling.normalise(raw.values, options.values)
    chosen = _choose(normalised, options, looked_at, name)
    parts = {
        split: scaling.dense(normalised[division == index][:, chosen])
        for index, split in enumerate(SPLITS)
    }
    kept = np.flatnonzero(genes.varying(parts["train"]))
    if not len(kept):
        raise InputError(
            f"datasets/{name}: of {len(chosen)} genes none varies in the training split; give more "
            "samples or other values."
        )
    parts = {split: np.ascontiguousarray(part[:, kept]) for split, part in parts.items()}
    fitted = scaling.fit(parts["train"])
    scaled = {
        split: (scaling.fit(part) if options.leaky_preprocessing else fitted).transform(part)
        for split, part in parts.items()
    }
    card = _settings(entry, options, seed, name)
    card |= _contents(described, pool, division, raw, options)
    card["warnings"] = [*raw.warnings, *_labels_among_genes(raw, pool, matrix)]
    card["genes"] |= {
        "chosen": len(chosen),
        "constant_in_train": len(chosen) - len(kept),
        "kept": len(kept),
    }
    card["values"] |= {
        "normalised": dataset_card.value_range(normalised),
        "clipped": dataset_card.clipped(scaled, scaling.LIMIT),
    }
    names = tuple(raw.genes[column] for column in chosen[kept])
    log.info("%s: %d samples, %d genes", name, len(division), len(names))
    return _assemble(pool, groups, division, scaled, _gene_table(names, fitted), card)


def write(prepared: Prepared, paths: Mapping[str, Path]) -> None:
    """Write a prepared dataset; `paths` are those of train, dev, test, genes and card."""
    for split in SPLITS:
        samples.write(getattr(prepared, split), prepared.groups[split].tolist(), paths[split])
    files.write_parquet(prepared.genes, paths["genes"])
    files.write_json(prepared.card, paths["card"])


def _check_expected(
    entry: Mapping[str, Any], described: reading.Described, raw: reading.Raw, matrix: Path
) -> None:
    """Refuse a file that is not the one expected: a download that ended early, say."""
    found = {"genes": raw.notes["genes_in_file"], "samples": len(described)}
    for name, wanted in (entry.get("expected") or {}).items():
        if found[name] != wanted:
            raise InputError(
                f"{matrix}: {found[name]} {name} where {wanted} are expected; fetch the file "
                "again, or correct `expected`."
            )


def _pool(described: reading.Described, options: Preparation, seed: int, name: str) -> _Pool:
    labels = described.labels
    rows = np.arange(len(described))
    suffixes = None
    if options.max_per_class is not None:
        rng = runtime.stream(seed, name, "max_per_class")
        drawn = [
            rng.permutation(np.flatnonzero(labels == label))[: options.max_per_class]
            for label in (0, 1)
        ]
        rows = np.sort(np.concatenate(drawn))
    elif options.resample is not None:
        rng = runtime.stream(seed, name, "resample")
        of_class = [np.flatnonzero(labels == label) for label in (0, 1)]
        drawn = [rng.choice(own, options.resample) for own in of_class if len(own)]
        rows = np.sort(np.concatenate(drawn))
        # How often the sample was drawn before, so that copies have names of their own.
        suffixes = np.arange(len(rows)) - np.searchsorted(rows, rows)
    ids = described.ids[rows]
    if suffixes is not None:
        ids = np.array([f"{id}#{n}" for id, n in zip(ids, suffixes, strict=True)], dtype=np.str_)
    return _Pool(
        rows,
        ids,
        labels[rows],
        described.donors[rows],
        described.sites[rows],
        described.studies[rows],
    )


def _choose(
    normalised: "Matrix", options: Preparation, looked_at: NDArray[np.bool_], name: str
) -> NDArray[np.int64]:
    try:
        return genes.highly_variable(normalised, options.choice, options.values, looked_at)
    except InputError as error:
        raise InputError(f"datasets/{name}, {error}") from None


def _settings(
    entry: Mapping[str, Any], options: Preparation, seed: int, name: str
) -> dict[str, Any]:
    """Begin a card with how the dataset was prepared."""
    return {
        "dataset": name,
        "format": entry["format"],
        "seed": seed,
        "leaky_preprocessing": options.leaky_preprocessing,
        "upstream_leak": options.upstream_leak,
        "resample": options.resample,
        "max_per_class": options.max_per_class,
        "split": {
            **asdict(options.split),
            "fractions": list(options.split.fractions),
            "drawn_by": options.split.drawn_by(seed),
        },
        "choice_of_genes": asdict(options.choice),
    }


def _contents(
    described: reading.Described,
    pool: _Pool,
    division: NDArray[np.int64],
    raw: reading.Raw,
    options: Preparation,
) -> dict[str, Any]:
    """Go on with what was read: samples, groups, duplicates, genes and values."""
    groupings = {"donor": pool.donors, "site": pool.sites, "study": pool.studies}
    totals = np.asarray(raw.values.sum(axis=1)).reshape(-1)
    counts = options.values.values == "counts"
    return {
        "samples": {
            "described": len(described),
            "excluded": dict(described.excluded),
            "not_drawn": len(described) - len(np.unique(pool.rows)),
            "splits": dataset_card.samples(pool.labels, division),
        },
        "groups": {
            group: dataset_card.groups(names, pool.labels, division)
            for group, names in groupings.items()
        },
        "duplicates": dataset_card.duplicates(raw.values, pool.labels, division),
        "genes": dict(raw.notes) | {"expressed": len(raw.genes)},
        "values": {
            **asdict(options.values),
            "share_of_zeros": dataset_card.sparsity(raw.values, options.values.zero),
            "raw": dataset_card.value_range(raw.values),
            "samples_without_counts": int(np.sum(totals == 0)) if counts else None,
        },
    }


def _labels_among_genes(raw: reading.Raw, pool: _Pool, matrix: Path) -> list[str]:
    """Warn of genes that tell the class without exception."""
    found = dataset_card.constant_within_classes(raw.values, pool.labels)
    if not len(found):
        return []
    some = ", ".join(shown(raw.genes[column]) for column in found[:5])
    some += ", …" if len(found) > 5 else ""
    warning = (
        f"{len(found)} of {len(raw.genes)} genes have one value in each class ({some}), as a label "
        "has; if they are no genes, name them under drop"
    )
    log.warning("%s: %s", matrix, warning)
    return [warning]


def _gene_table(names: tuple[str, ...], fitted: scaling.Scaling) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame({"gene": list(names), "low": fitted.low, "high": fitted.high})


def _assemble(
    pool: _Pool,
    groups: NDArray[np.str_],
    division: NDArray[np.int64],
    scaled: Mapping[str, NDArray[np.float32]],
    table: "pd.DataFrame",
    card: dict[str, Any],
) -> Prepared:
    names = tuple(table["gene"])
    of_split = {split: division == index for index, split in enumerate(SPLITS)}
    return Prepared(
        **{
            split: Samples(pool.ids[rows], scaled[split], pool.labels[rows], names)
            for split, rows in of_split.items()
        },
        groups={split: groups[rows] for split, rows in of_split.items()},
        genes=table,
        card=card,
    )
