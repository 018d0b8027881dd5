"""What adversarial training against the feature-importance attack gains over its rounds."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from genosiege import runtime
from genosiege.comparisons import holm, mcnemar
from genosiege.errors import InputError
from genosiege.expression.tables import intervals, reading
from genosiege.expression.tables.intervals import columns
from genosiege.expression.tables.reading import PLACE, Cards, Place

ROWS = {
    "defence": "object",
    "round": "int64",
    "attack": "object",
    "k": "int64",
    "t": "float64",
    "id": "object",
    "label": "int64",
    "p_true": "float64",
    "correct": "bool",
    "status": "object",
    "n_added": "int64",
}
CONTROL = "random_noise"
ATTACK = ["attack", "k", "t"]

COLUMNS = [
    *PLACE, "leak", "defence", *ATTACK, "round", "is_last", "n_added", "status", "n", "n_attacked",
    *columns("accuracy"), *columns("balanced_accuracy"), *columns("gain"), "gain_p",
    "gain_p_adjusted", *columns("gain_over_noise"), "gain_over_noise_p",
    "gain_over_noise_p_adjusted",
]  # fmt: skip


class _Tested(NamedTuple):
    """Answers of one model to one attack: `correct` (s, n), several times each if s > 1."""

    ids: NDArray[np.object_]
    labels: NDArray[np.int64]
    correct: NDArray[np.bool_]
    measured: bool
    facts: dict[str, Any]


def hardening_table(paths: Iterable[str], cards: Cards) -> pd.DataFrame:
    """Tabulate every round of every defence under every attack.

    Parameters
    ----------
    paths : iterable of str
        The models' `hardening.parquet`.
    cards : Cards
        Of the data.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/expression_hardening.rst`. Tests, and Holm's
        adjustment over those of one model and seed, are of the last round alone.

    Raises
    ------
    InputError
        If round 0 is missing, or rounds were tested on different samples.
    """
    rows: list[dict[str, Any]] = []
    for place, table, path in reading.read(paths, "hardening.parquet", ROWS):
        rows += _of_model(place, table, path, cards.leak(place.dataset, place.seed))
    return reading.frame(rows, COLUMNS, [*PLACE, "defence", *ATTACK, "round"])


def _of_model(place: Place, table: pd.DataFrame, path: str, leak: str) -> list[dict[str, Any]]:
    found = {
        _key(key): _tested(own, path)
        for key, own in table.groupby(["defence", *ATTACK, "round"], dropna=False, sort=True)
    }
    last = {key[0]: max(other[-1] for other in found if other[0] == key[0]) for key in found}
    rows = []
    for key, tested in found.items():
        defence, attack, k, t, number = key
        row = place.columns | {"leak": leak, "defence": defence, "attack": attack, "k": k}
        row |= {"t": np.nan if t is None else t, "round": number}
        row |= {"is_last": number == last[defence]} | tested.facts
        if (*key[:-1], 0) not in found:
            raise InputError(f"{path}: {defence} has no round 0; harden the model again.")
        before = found[*key[:-1], 0] if number > 0 else None
        control = found.get((CONTROL, *key[1:])) if defence != CONTROL and number > 0 else None
        for name, other in (("gain", before), ("gain_over_noise", control)):
            row |= _compared(name, tested, other, (*place, *map(str, key)), path)
            if not row["is_last"]:
                row[f"{name}_p"] = np.nan
        rows.append(row)
    for name in ("gain", "gain_over_noise"):
        adjusted = holm([row[f"{name}_p"] for row in rows])
        for row, p in zip(rows, adjusted, strict=True):
            row[f"{name}_p_adjusted"] = float(p)
    return rows


def _key(key: tuple[Hashable, ...]) -> tuple[Any, ...]:
    """Write nan as None, which is equal to itself."""
    return tuple(None if part != part else part for part in key)


def _tested(own: pd.DataFrame, path: str) -> _Tested:
    own = own.sort_values("id", kind="stable")
    ids, times = np.unique(own["id"].to_numpy(dtype=object), return_counts=True)
    if len(set(times)) > 1:
        raise InputError(f"{path}: some samples were attacked more often; harden the model again.")
    correct = own["correct"].to_numpy().reshape(len(ids), -1).T
    labels = own["label"].to_numpy().reshape(len(ids), -1)[:, 0]
    measured = bool(np.isfinite(own["p_true"]).all())
    status = own["status"].astype(str)
    facts: dict[str, Any] = {
        "n_added": int(own["n_added"].iloc[0]),
        "status": "; ".join(sorted(status.unique())),
        "n": len(ids),
        "n_attacked": int(own.loc[status == "attacked", "id"].nunique()),
    }
    for name in ("accuracy", "balanced_accuracy"):
        facts |= intervals.unknown(name)
    if measured:
        facts |= intervals.rate("accuracy", correct)
        facts |= intervals.balanced_accuracy("balanced_accuracy", correct, labels)
    return _Tested(ids, labels, correct, measured, facts)


def _compared(
    name: str, own: _Tested, other: _Tested | None, stream: tuple[str | int, ...], path: str
) -> Mapping[str, float]:
    """Subtract another model's accuracy on the same samples from one's own."""
    if other is None or not own.measured or not other.measured:
        return intervals.unknown(name) | {f"{name}_p": np.nan}
    if not np.array_equal(own.ids, other.ids):
        raise InputError(f"{path}: rounds were tested on different samples; harden them again.")
    if len(own.correct) == len(other.correct) == 1:
        found = mcnemar(own.correct[0], other.correct[0])
        value = intervals.named(name, found.difference, found.interval)
        return value | {f"{name}_p": found.p}
    differences = own.correct.mean(axis=0) - other.correct.mean(axis=0)
    (interval,) = intervals.ratios(
        differences[:, None], np.ones((len(differences), 1)), runtime.stream(*stream, name)
    )
    p = 1.0
    if differences.any():
        p = float(wilcoxon(differences, zero_method="pratt").pvalue)
    return intervals.named(name, float(differences.mean()), interval) | {f"{name}_p": p}
