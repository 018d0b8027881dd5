"""The table of the attackers who know the detector: success against detectability."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege.detection.operating_points import (
    SUSPICION_FPR,
    Alarm,
    Resamples,
    count,
    count_alarms,
)
from genosiege.detection.options import BOTH
from genosiege.detection.roc import aurocs
from genosiege.detection.tables import measures, reading
from genosiege.detection.tables.measures import Auroc, Rate
from genosiege.detection.tables.reading import EXPRESSION, PLACE, Model, Scored
from genosiege.expression.tables.intervals import columns
from genosiege.expression.tables.reading import Cards

FILE = "adaptive.parquet"
_SHARED = {
    "part": "object",
    "detector": "object",
    "penalty": "float64",
    "id": "object",
    "correct_before": "bool",
    "flipped": "bool",
    "suspicion": "float64",
}
EXPRESSION_COLUMNS = _SHARED | {"l0": "float64"}
SEQUENCE_COLUMNS = _SHARED | {"n_edits": "int64"}
"""The columns that are needed beside the scores; the last one is the severity."""

RATES = ("success", "detected_at_5", "undetected_success")

COLUMNS = [
    *PLACE, "leak", "detector", "penalty", "n", *columns("success"), *columns("detected_at_5"),
    *columns("undetected_success"), *columns("auroc"), "mean_suspicion", "mean_severity",
]  # fmt: skip


class Measured(NamedTuple):
    """What one attack that evades one detector came to, in one seed.

    Attributes
    ----------
    n : int
        Samples that were attacked.
    rates : dict of str to Rate
        Those of `RATES`.
    auroc : Auroc
        Of the flips, between them and natural samples.
    means : dict of str to float
        Mean suspicion and severity of the flips.
    """

    n: int
    rates: dict[str, Rate]
    auroc: Auroc
    means: dict[str, float]


def adaptive_table(
    expression_paths: Iterable[str],
    sequence_paths: Iterable[str],
    cards: Cards,
    tails: str = BOTH,
) -> pd.DataFrame:
    """Tabulate what an attacker who knows the detector attains against it.

    Parameters
    ----------
    expression_paths, sequence_paths : iterable of str
        The `adaptive.parquet` of both arms; either may be empty.
    cards : Cards
        Of the expression data.
    tails : str
        Which scores are suspicious; see `Suspicion.from_validation`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/adaptive.rst`: a row per evaded detector and
        penalty. `success` is the share of the attacked samples, all of which the model classified
        correctly, that flip, `detected_at_5` the share of the flips above the threshold of 5 %
        natural validation samples, `undetected_success` the share of the attacked samples that
        flip and stay at or under it; both are nan where these are too few for a threshold.
        `auroc`, `mean_suspicion` and `mean_severity` (features that differ, or edits) are of the
        flips; the natural side is the test split. Rows with the seed `all` are as in
        `detection_table`.

    Raises
    ------
    InputError
        If a file is not where it belongs, or lacks a column or card.
    """
    read = chain(
        reading.read_expression(expression_paths, FILE, EXPRESSION_COLUMNS, tails),
        reading.read_sequence(sequence_paths, FILE, SEQUENCE_COLUMNS, tails),
    )
    rows: list[dict[str, Any]] = []
    for model in reading.models(read, measures.N_RESAMPLES, "adaptive"):
        rows += _of_model(model, cards)
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_model(model: Model, cards: Cards) -> Iterator[dict[str, Any]]:
    everything: dict[tuple[str, float], list[Measured]] = {}
    leaks = [reading.leak(cards, scored.place) for scored in model.seeds]
    for scored, leak in zip(model.seeds, leaks, strict=True):
        for key, measured in _of_seed(scored, model.drawn):
            everything.setdefault(key, []).append(measured)
            yield reading.of_place(scored.place) | {"leak": leak} | _row(key, [measured])
    place = reading.of_place(model.seeds[0].place, reading.ALL_SEEDS)
    for key, seeds in everything.items():
        if len(seeds) > 1:
            yield place | {"leak": reading.common_leak(leaks)} | _row(key, seeds)


def _of_seed(scored: Scored, drawn: Resamples) -> Iterator[tuple[tuple[str, float], Measured]]:
    attacked = scored.part("attacked")
    attacked = attacked[scored.rows["correct_before"].to_numpy()[attacked]]
    evaded = scored.rows["detector"].to_numpy()[attacked]
    penalties = scored.rows["penalty"].to_numpy()[attacked]
    order = {name: number for number, name in enumerate(scored.detectors)}
    for detector in sorted(set(evaded), key=lambda name: order.get(name, len(order))):
        alarm = scored.alarms(detector, SUSPICION_FPR, drawn)
        for penalty in np.unique(penalties[evaded == detector]):
            own = attacked[(evaded == detector) & (penalties == penalty)]
            found = _measured(scored, detector, own, alarm, drawn)
            yield (str(detector), float(penalty)), found


def _measured(
    scored: Scored,
    detector: str,
    own: NDArray[np.intp],
    alarm: Alarm,
    drawn: Resamples,
) -> Measured:
    flipped = scored.rows["flipped"].to_numpy()[own]
    everyone, flips = scored.side(detector, own), scored.side(detector, own[flipped])
    severity = "l0" if scored.place.arm == EXPRESSION else "n_edits"
    total, seen = count(everyone, drawn), count_alarms(flips, alarm, drawn)
    with np.errstate(invalid="ignore"):
        success = seen.total / total
        hidden = (seen.total - seen.above) / total
    unseen = flipped & ~alarm.rings(everyone.scores)[0] if alarm.known else flipped
    scale = scored.scale(detector)
    natural = scale.side(scored.side(detector, scored.part("natural")))
    return Measured(
        n=len(own),
        rates={
            "success": Rate(success, flipped, everyone.clusters),
            "detected_at_5": Rate(seen.share, alarm.rings(flips.scores)[0], flips.clusters),
            "undetected_success": Rate(hidden, unseen, everyone.clusters),
        },
        auroc=Auroc(
            aurocs(natural, [scale.side(flips)], drawn)[0], natural.clusters, flips.clusters
        ),
        means={
            "mean_suspicion": _mean(scored.rows["suspicion"].to_numpy()[own[flipped]]),
            "mean_severity": _mean(scored.rows[severity].to_numpy()[own[flipped]]),
        },
    )


def _mean(values: NDArray[np.generic]) -> float:
    numbers = np.asarray(values, dtype=float)
    numbers = numbers[~np.isnan(numbers)]
    return float(numbers.mean()) if len(numbers) else np.nan


def _row(key: tuple[str, float], seeds: Sequence[Measured]) -> dict[str, Any]:
    row: dict[str, Any] = {"detector": key[0], "penalty": key[1]}
    row["n"] = sum(seed.n for seed in seeds)
    for name in RATES:
        row |= measures.rates(name, [seed.rates[name] for seed in seeds])
    row |= measures.aurocs("auroc", [seed.auroc for seed in seeds])
    for name in seeds[0].means:
        row[name] = _mean(np.array([seed.means[name] for seed in seeds]))
    return row
