"""Results of the expression arm, read with what their place among the results says."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from genosiege import files
from genosiege.errors import InputError

PLACE = ["dataset", "model", "seed"]
"""The columns that tell which model a row is about."""

LEAKED_TARGETS = "test_error"
"""Targets that are errors of the test split itself, as published."""

_MODEL = r"/expression/(?P<dataset>[^/]+)/(?P<model>[^/]+)/seed(?P<seed>\d+)/"
_VAE = r"/expression/(?P<dataset>[^/]+)/vae/seed(?P<seed>\d+)/fraction(?P<fraction>\d+)/"
_CARD = r"/data/(?P<dataset>[^/]+)/seed(?P<seed>\d+)/card\.json$"


class Place(NamedTuple):
    """A model among the results."""

    dataset: str
    model: str
    seed: int

    @property
    def columns(self) -> dict[str, str | int]:
        """What a row about this model says of it."""
        return self._asdict()


class Rows(NamedTuple):
    """One table of one model."""

    place: Place
    rows: pd.DataFrame
    path: str


class VaePlace(NamedTuple):
    """A VAE among the results; `fraction` is the percentage of train that it saw."""

    dataset: str
    seed: int
    fraction: int


@dataclass(frozen=True)
class Cards:
    """Cards of prepared data by dataset and seed; most datasets have one for each seed."""

    cards: Mapping[tuple[str, int], Mapping[str, Any]]

    @classmethod
    def read(cls, paths: Iterable[str]) -> "Cards":
        """Read cards, `…/data/dataset/seedN/card.json`.

        Raises
        ------
        InputError
            If a path is not of that form, or a file is missing or no JSON.
        """
        found = {}
        for path in paths:
            place = re.search(_CARD, Path(path).as_posix())
            if place is None:
                raise InputError(
                    f"{path}: a card lies at data/dataset/seedN/card.json; move the file there."
                )
            found[place["dataset"], int(place["seed"])] = files.read_json(path)
        return cls(found)

    def of(self, dataset: str, seed: int) -> Mapping[str, Any]:
        """Give one card.

        Raises
        ------
        InputError
            If it was not read.
        """
        try:
            return self.cards[dataset, seed]
        except KeyError:
            raise InputError(
                f"{dataset}, seed {seed}: there is no card of these data; prepare them again."
            ) from None

    def n_genes(self, dataset: str, seed: int) -> int:
        """Give the number of features of the models of these data."""
        return int(self.of(dataset, seed)["genes"]["kept"])

    def leak(self, dataset: str, seed: int, targets: str = "") -> str:
        """Say what of the test split was known before the test; "" where nothing was.

        Parameters
        ----------
        dataset, seed
            Which data.
        targets : str
            Of the attack, where the row is about one.
        """
        card = self.of(dataset, seed)
        marks = {
            "preprocessing": card.get("leaky_preprocessing", False),
            "upstream": card.get("upstream_leak", False),
            "test targets": targets == LEAKED_TARGETS,
        }
        return "; ".join(name for name, marked in marks.items() if marked)


def place_of(path: str, name: str) -> Place:
    """Take a model's place from the path of one of its files.

    Parameters
    ----------
    path : str
        `…/expression/dataset/model/seedN/name`.
    name : str
        What the file is called.

    Raises
    ------
    InputError
        If the path is not of that form.
    """
    found = re.search(_MODEL + re.escape(name) + "$", Path(path).as_posix())
    if found is None:
        raise InputError(
            f"{path}: this file lies at expression/dataset/model/seedN/{name}; move it there."
        )
    return Place(found["dataset"], found["model"], int(found["seed"]))


def vae_place(path: str) -> VaePlace:
    """Take a VAE's place from `…/expression/dataset/vae/seedN/fractionP/model.json`."""
    found = re.search(_VAE + r"model\.json$", Path(path).as_posix())
    if found is None:
        raise InputError(
            f"{path}: a VAE lies at expression/dataset/vae/seedN/fractionP/model.json; "
            "move the file there."
        )
    return VaePlace(found["dataset"], int(found["seed"]), int(found["fraction"]))


def read(paths: Iterable[str], name: str, columns: Mapping[str, str]) -> Iterator[Rows]:
    """Read a table of several models, one after the other, sorted by place.

    One by one, as a table of attacks may have a million rows for each model.

    Parameters
    ----------
    paths : iterable of str
        Of the files.
    name : str
        What each is called, such as `fimba.parquet`.
    columns : mapping of str to str
        The columns that are needed, with their types; others are left out.

    Yields
    ------
    Rows
        One per file.

    Raises
    ------
    InputError
        If a path is not of the form of `place_of`, a file is missing or no parquet, or lacks
        a column.
    """
    for place, path in sorted((place_of(path, name), path) for path in paths):
        yield Rows(place, typed(files.read_parquet(path), columns, path), path)


def typed(rows: pd.DataFrame, columns: Mapping[str, str], path: str) -> pd.DataFrame:
    """Take the columns that are needed, of the types that they should have."""
    missing = [column for column in columns if column not in rows]
    if missing:
        raise InputError(f"{path}: column {missing[0]} is missing; make this file again.")
    return rows[list(columns)].astype(dict(columns))


def descriptions(paths: Iterable[str], name: str) -> dict[Place, Mapping[str, Any]]:
    """Read the JSON files of several models, sorted by place; errors as for `read`."""
    return {
        place: files.read_json(path)
        for place, path in sorted((place_of(path, name), path) for path in paths)
    }


def field(content: Mapping[str, Any], name: str, where: object) -> Any:
    """Take a field of a JSON file.

    Raises
    ------
    InputError
        If it is not there.
    """
    if not isinstance(content, Mapping) or name not in content:
        raise InputError(f"{where}: {name} is missing; make this file again.")
    return content[name]


def frame(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], by: Sequence[str]
) -> pd.DataFrame:
    """Make a table of these columns, also where there is no row, sorted by some of them."""
    table = pd.DataFrame([*rows], columns=[*columns])
    return table.sort_values([*by], kind="stable", ignore_index=True) if len(table) else table
