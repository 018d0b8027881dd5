"""Scores of detectors, read with what their place among the results says."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege import files
from genosiege.detection import options
from genosiege.detection.operating_points import (
    Alarm,
    Resamples,
    Side,
    Suspicion,
    alarms,
    resamples,
)
from genosiege.detection.options import BOTH
from genosiege.errors import InputError
from genosiege.expression.tables.reading import Cards, place_of
from genosiege.runtime import stream

PLACE = ["arm", "data", "model", "seed"]
"""The columns that tell which model a row is about."""

EXPRESSION, SEQUENCE = "expression", "sequence"
ALL_SEEDS = "all"
"""What stands for the seed in a row about all of them."""

log = logging.getLogger(__name__)

SCORE = "score_"
_SEQUENCE = r"/sequence/(?P<task>[^/]+)/(?P<encoder>[^/]+)/seed(?P<seed>\d+)/baseline/"
_ORDERS = {EXPRESSION: options.EXPRESSION, SEQUENCE: options.SEQUENCE}


class Place(NamedTuple):
    """A model among the results: its arm, dataset or task, name and seed."""

    arm: str
    data: str
    model: str
    seed: int


class Scored(NamedTuple):
    """The scores of one model's samples.

    Attributes
    ----------
    place : Place
        Which model.
    rows : pandas.DataFrame
        The columns that were asked for, and `score_<detector>`.
    clusters : ndarray, shape (n,)
        The id of each row, or its number among all ids of the model.
    path : str
        The file.
    tails : str
        Which scores are suspicious.
    """

    place: Place
    rows: pd.DataFrame
    clusters: NDArray[np.generic]
    path: str
    tails: str

    @property
    def detectors(self) -> list[str]:
        """The detectors whose scores there are, in the order of the options."""
        names = [str(c).removeprefix(SCORE) for c in self.rows if str(c).startswith(SCORE)]
        known = _ORDERS[self.place.arm]
        return [name for name in known if name in names] + sorted(set(names) - set(known))

    def part(self, name: str) -> NDArray[np.intp]:
        """Give the row numbers of a part."""
        return np.flatnonzero((self.rows["part"] == name).to_numpy())

    def side(self, detector: str, taken: NDArray[np.intp]) -> Side:
        """Give a detector's scores of some rows, with their ids."""
        if f"{SCORE}{detector}" not in self.rows:
            raise InputError(
                f"{self.path}: column {SCORE}{detector} is missing; make this file again."
            )
        return Side(self.rows[f"{SCORE}{detector}"].to_numpy()[taken], self.clusters[taken])

    def scale(self, detector: str) -> Suspicion:
        """Give the scale of a detector's suspicion: it is fitted once, as the detector is."""
        natural = self.side(detector, self.part("validation"))
        return Suspicion.from_validation(natural.scores, self.tails)

    def alarms(self, detector: str, fpr: float, drawn: Resamples) -> Alarm:
        """Set a detector's alarm from the natural validation data, in each resample."""
        return alarms(self.side(detector, self.part("validation")), fpr, drawn, self.tails)


class Model(NamedTuple):
    """A model's results of several seeds, and resamples of ids that serve all of them."""

    seeds: Sequence[Scored]
    drawn: Resamples


def read_expression(
    paths: Iterable[str], name: str, columns: Mapping[str, str], tails: str = BOTH
) -> Iterator[Scored]:
    """Read one file of each model of expression, sorted by place.

    Parameters
    ----------
    paths : iterable of str
        `…/expression/dataset/model/seedN/name`.
    name : str
        What each is called.
    columns : mapping of str to str
        The columns that are needed beside the scores, with their types.
    tails : str
        Which scores are suspicious; see `Suspicion.from_validation`.

    Raises
    ------
    InputError
        If a path is not of that form, a file is missing or no parquet, lacks a column, or has
        a score that is no number.
    """
    places = {path: Place(EXPRESSION, *place_of(path, name)) for path in paths}
    return _read(places, columns, tails)


def read_sequence(
    paths: Iterable[str], name: str, columns: Mapping[str, str], tails: str = BOTH
) -> Iterator[Scored]:
    """Read one file of each baseline of sequences; as `read_expression`."""
    return _read({path: sequence_place(path, name) for path in paths}, columns, tails)


def sequence_place(path: str, name: str) -> Place:
    """Take a model's place from `…/sequence/task/encoder/seedN/baseline/name`."""
    found = re.search(_SEQUENCE + re.escape(name) + "$", Path(path).as_posix())
    if found is None:
        raise InputError(
            f"{path}: this file lies at sequence/task/encoder/seedN/baseline/{name}; move it there."
        )
    return Place(SEQUENCE, found["task"], found["encoder"], int(found["seed"]))


def _read(places: Mapping[str, Place], columns: Mapping[str, str], tails: str) -> Iterator[Scored]:
    for path, place in sorted(places.items(), key=lambda both: (both[1], both[0])):
        rows = files.read_parquet(path)
        missing = [column for column in columns if column not in rows]
        scores = [str(column) for column in rows if str(column).startswith(SCORE)]
        if missing:
            raise InputError(f"{path}: column {missing[0]} is missing; make this file again.")
        if not scores:
            log.info("%s: no detector could look at this model", path)
            continue
        rows = rows[[*columns, *scores]].astype(dict(columns) | dict.fromkeys(scores, "float64"))
        wrong = [name for name in scores if not np.isfinite(rows[name].to_numpy()).all()]
        if wrong:
            raise InputError(
                f"{path}: {wrong[0]} holds what is no finite number; make this file again."
            )
        natural = (rows["part"] == "validation").to_numpy()
        if not natural.any():
            raise InputError(f"{path}: no natural validation sample is in it; make it again.")
        yield Scored(place, rows, rows["id"].to_numpy(dtype=str), path, tails)


def models(scored: Iterable[Scored], n_resamples: int, purpose: str) -> Iterator[Model]:
    """Bring the seeds of each model together, and draw the ids that they all resample.

    Parameters
    ----------
    scored : iterable of Scored
        Sorted by place.
    n_resamples : int
        Number of resamples.
    purpose : str
        What is estimated: part of the random stream's name.
    """
    seeds: list[Scored] = []
    for one in scored:
        if seeds and one.place[:3] != seeds[0].place[:3]:
            yield _model(seeds, n_resamples, purpose)
            seeds = []
        seeds.append(one)
    if seeds:
        yield _model(seeds, n_resamples, purpose)


def _model(seeds: Sequence[Scored], n_resamples: int, purpose: str) -> Model:
    names = np.unique(np.concatenate([np.unique(one.clusters) for one in seeds]))
    generator = stream(*seeds[0].place[:3], "table", purpose)
    drawn = resamples(np.arange(len(names)), n_resamples, generator)
    return Model(
        [one._replace(clusters=np.searchsorted(names, one.clusters)) for one in seeds], drawn
    )


def leak(cards: Cards, place: Place, targets: str = "") -> str:
    """Say what of an expression model's test split was known before; "" for sequences."""
    return cards.leak(place.data, place.seed, targets) if place.arm == EXPRESSION else ""


def common_leak(leaks: Iterable[str]) -> str:
    """Join what several seeds say of leaks, each once."""
    return "; ".join(dict.fromkeys(part for text in leaks for part in text.split("; ") if part))


def of_place(place: Place, seed: str | None = None) -> dict[str, str]:
    """Give the columns `PLACE` of a row: the seed is a text, as it may be `all`."""
    return place._asdict() | {"seed": str(place.seed) if seed is None else seed}
