"""The table of the detectors: how well each tells attacked samples from natural ones."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genosiege.detection.operating_points import FPRS, Alarm, Resamples, Side, count_alarms
from genosiege.detection.options import BOTH
from genosiege.detection.roc import aurocs
from genosiege.detection.tables import attacks, measures, reading
from genosiege.detection.tables.attacks import Attacked
from genosiege.detection.tables.measures import Auroc, Rate
from genosiege.detection.tables.reading import PLACE, Model, Scored
from genosiege.expression.tables.intervals import columns
from genosiege.expression.tables.reading import Cards

PERCENT = ("1", "5")
"""The rates of `FPRS`, as columns name them."""

COLUMNS = [
    *PLACE, "leak", *attacks.ATTACK, *attacks.GROUP, "detector", "n_validation", "n_natural",
    "n_adversaries", "n_targets", *columns("auroc"), *columns("tpr_at_1"), "fpr_at_1",
    *columns("tpr_at_5"), "fpr_at_5",
]  # fmt: skip


class Measured(NamedTuple):
    """What one detector makes of the adversaries of one seed.

    Attributes
    ----------
    columns : dict
        Of the setting, and `leak`.
    n : dict
        The columns `n_validation`, `n_natural`, `n_adversaries` and `n_targets`.
    auroc : Auroc
        Between the adversaries and what they are told from.
    tpr : tuple of Rate
        Share of the adversaries above the threshold, for each of `FPRS`.
    fpr : tuple of float
        Share of the natural samples above it.
    """

    columns: dict[str, Any]
    n: dict[str, float]
    auroc: Auroc
    tpr: tuple[Rate, ...]
    fpr: tuple[float, ...]


Key = tuple[Any, ...]


def detection_table(
    expression_paths: Iterable[str],
    sequence_paths: Iterable[str],
    cards: Cards,
    tails: str = BOTH,
) -> pd.DataFrame:
    """Tabulate how well each detector tells each attack from natural data.

    Parameters
    ----------
    expression_paths, sequence_paths : iterable of str
        The `detection.parquet` of both arms; either may be empty.
    cards : Cards
        Of the expression data.
    tails : str
        Which scores are suspicious; see `Suspicion.from_validation`.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/detection.rst`. Adversaries are the samples
        that the attack changed and the model classified correctly before, with `successful` those
        of them that flip; sets of random features are counted together. They are told from all
        natural samples of the test split, whether the model is right about them or not, or
        (`null` mutants) from natural mutants of the same sequences with as many edits. Thresholds
        come from the natural validation samples alone; where these are too few for one, the
        rates at it are nan. So is what there are no adversaries for. With several seeds there are
        rows with the seed `all`: the means over seeds, and the sums of n. All genes are one
        severity there, named by the largest number of them.

    Raises
    ------
    InputError
        If a file is not where it belongs, or lacks a column or card.

    Notes
    -----
    Intervals: see `measures.rates` and `measures.aurocs`. Whole ids are resampled, of validation
    data, natural and attacked samples at once and in all seeds alike, so the interval of a rate
    holds what the threshold, too, would be with other validation data. The scale of the two tails,
    which an AUROC needs, belongs to the detector, as what it was fitted to: it is not drawn anew.
    """
    read = chain(
        reading.read_expression(expression_paths, attacks.FILE, attacks.EXPRESSION_COLUMNS, tails),
        reading.read_sequence(sequence_paths, attacks.FILE, attacks.SEQUENCE_COLUMNS, tails),
    )
    rows: list[dict[str, Any]] = []
    for model in reading.models(read, measures.N_RESAMPLES, "detection"):
        rows += _of_model(model, cards)
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_model(model: Model, cards: Cards) -> Iterator[dict[str, Any]]:
    everything: dict[Key, list[Measured]] = {}
    for scored in model.seeds:
        groups = attacks.attacked(scored, cards)
        found: dict[Key, Measured] = {}
        for detector in scored.detectors:
            found |= _of_detector(scored, detector, groups, model.drawn, cards)
        # By setting, then by detector.
        for group in groups:
            for detector in scored.detectors:
                measured = found[(*group.key, detector)]
                everything.setdefault((*group.key, detector), []).append(measured)
                yield reading.of_place(scored.place) | _row([measured])
    for seeds in everything.values():
        if len(seeds) > 1:
            place = reading.of_place(model.seeds[0].place, reading.ALL_SEEDS)
            yield place | _row(seeds)


def _of_detector(
    scored: Scored, detector: str, groups: Sequence[Attacked], drawn: Resamples, cards: Cards
) -> dict[Key, Measured]:
    """Measure one detector on all attacks of one seed."""
    scale = scored.scale(detector)
    alarms = [scored.alarms(detector, fpr, drawn) for fpr in FPRS]
    sides = [scored.side(detector, group.adversaries) for group in groups]
    suspicious = [scale.side(side) for side in sides]
    found = {}
    for members in _by_natural(groups):
        natural = scored.side(detector, groups[members[0]].natural)
        areas = aurocs(scale.side(natural), [suspicious[i] for i in members], drawn)
        fpr = tuple(_share(natural, alarm) for alarm in alarms)
        for i, area in zip(members, areas, strict=True):
            group, side = groups[i], sides[i]
            leak = reading.leak(cards, scored.place, group.columns["targets"])
            found[(*group.key, detector)] = Measured(
                columns=group.columns | {"leak": leak, "detector": detector},
                n={
                    "n_validation": len(scored.part("validation")),
                    "n_natural": len(natural.scores),
                    "n_adversaries": len(side.scores),
                    "n_targets": group.n_targets,
                },
                auroc=Auroc(area, natural.clusters, side.clusters),
                tpr=tuple(_rate(side, alarm, drawn) for alarm in alarms),
                fpr=fpr,
            )
    return found


def _by_natural(groups: Sequence[Attacked]) -> list[list[int]]:
    """Bring together the groups that share their natural samples."""
    shared: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        shared.setdefault(id(group.natural), []).append(number)
    return list(shared.values())


def _rate(side: Side, alarm: Alarm, drawn: Resamples) -> Rate:
    return Rate(count_alarms(side, alarm, drawn).share, alarm.rings(side.scores)[0], side.clusters)


def _share(side: Side, alarm: Alarm) -> float:
    known = len(side.scores) and alarm.known
    return float(alarm.rings(side.scores)[0].mean()) if known else np.nan


def _row(seeds: Sequence[Measured]) -> dict[str, Any]:
    """Give the columns of a row about one seed, or the means over several."""
    row = dict(seeds[0].columns)
    row["leak"] = reading.common_leak(seed.columns["leak"] for seed in seeds)
    # Seeds may have different numbers of genes, and then differ in what all of them are.
    row["severity"] = max((seed.columns["severity"] for seed in seeds), key=attacks.order)
    row |= {name: sum(seed.n[name] for seed in seeds) for name in seeds[0].n}
    row |= measures.aurocs("auroc", [seed.auroc for seed in seeds])
    for number, percent in enumerate(PERCENT):
        row |= measures.rates(f"tpr_at_{percent}", [seed.tpr[number] for seed in seeds])
        fpr = np.array([seed.fpr[number] for seed in seeds])
        known = fpr[~np.isnan(fpr)]
        row[f"fpr_at_{percent}"] = float(known.mean()) if len(known) else np.nan
    return row
