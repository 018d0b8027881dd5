"""Spectra of a model's samples, of its natural errors and of FIMBA's, and how alike they are."""

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege import runtime
from genosiege.detection import spectral, ssim
from genosiege.detection.options import Ssim
from genosiege.detection.ssim import Pools, Rows
from genosiege.errors import InputError
from genosiege.expression import fimba, judging
from genosiege.expression.fimba import Ranked, Rankings
from genosiege.expression.fimba_options import Fimba
from genosiege.expression.judging import Predictor, Values
from genosiege.expression.model_options import ALL
from genosiege.expression.samples import Samples
from genosiege.expression.targets import Targets

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

DRAW, GENE_ORDER, PUBLISHED, P_VALUE = "draw", "gene_order", "published", "p_value"
"""Kinds of rows; `PUBLISHED` names its comparison too."""
EXCHANGEABLE = "exchangeable"
"""In rows of p-values: the comparison of attacked samples with natural errors."""

SSIM_COLUMNS = {
    "targets": "object", "features": "object", "k": "int64", "n": "int64", "view": "object",
    "scale": "object", "comparison": "object", "kind": "object", "number": "int64",
    "ssim": "float64",
}  # fmt: skip
"""Columns of `ssim.parquet`, and their types."""
SPECTRA_COLUMNS = {
    "group": "object", "targets": "object", "frequency": "float64", "mean": "float64",
    "low": "float64", "high": "float64", "n": "int64",
}  # fmt: skip
"""Columns of `spectra.parquet`, and their types."""

REFERENCES = 3
"""Groups of natural samples that the permutation test compares with."""

CELLS = 1_000_000
"""Values to which the published form is cut, by drawing samples, for the random gene orders."""

_BAND = (0.05, 0.95)


class Compared(NamedTuple):
    """What `compare` finds: the rows of `ssim.parquet` and of `spectra.parquet`."""

    ssim: "pd.DataFrame"
    spectra: "pd.DataFrame"


class _Setting(NamedTuple):
    """One attack on the attacked test samples."""

    targets: str
    features: str
    k: int
    main: bool
    moved: Values
    flipped: NDArray[np.bool_]
    aims: NDArray[np.int64]


class _Subject(NamedTuple):
    """What is the same in all settings."""

    natural: Samples
    correct: NDArray[np.bool_]
    origin: Rows
    options: Ssim
    seed: int

    @property
    def attacked(self) -> Samples:
        """The attacked samples as they were."""
        return self.natural.take(self.origin)


def compare(
    model: Predictor,
    dev: Samples,
    test: Samples,
    targets: Mapping[str, Targets],
    rankings: Rankings,
    fimba_options: Fimba,
    options: Ssim,
    seed: int,
) -> Compared:
    """Compare spectra of attacked data with natural ones, beside those of natural errors.

    Parameters
    ----------
    model : Predictor
        The model under attack.
    dev, test : Samples
        Splits that it was not fitted on. Both give natural samples; those of the test split that
        `fimba.attacked` draws are attacked.
    targets : mapping of str to Targets
        The kinds of targets in the options of FIMBA.
    rankings : mapping of (features, importance) to ndarray of int
        As for `fimba.attack`.
    fimba_options : Fimba
        Each kind of targets is compared, with interpolated values, the first t, and all features
        moved, named by the first ranking (the order does not matter then); random features
        beside it, with the largest k below the number of features if there is one.
    options : Ssim
        Sizes of the experiment.
    seed : int
        Seed of the run.

    Returns
    -------
    Compared
        `ssim`: targets, features, k, n (samples of each group), view, scale, comparison, kind,
        number, ssim. Kinds: `draw`, the comparisons of `ssim.COMPARISONS` in one draw of groups;
        `gene_order`, those of draw 0 and the published one under one order of the genes, the
        data's own as number 0; `published`, all attacked samples with themselves before;
        `p_value`, of `ssim.exchangeability` in draw 0 and of `ssim.own_order`.
        `spectra`: group, targets, frequency (cycles per gene), and mean and 5–95 % band over
        samples of the log10 power of single samples, n.

    Raises
    ------
    InputError
        If genes differ, or a ranking or kind of targets is missing or of another shape.
    """
    import pandas as pd

    if dev.genes != test.genes:
        raise InputError("dev and test split have different genes; prepare both together.")
    subject = _subject(model, dev, test, fimba_options, options, seed)
    rows: list[dict[str, Any]] = []
    natural, correct = subject.natural.values, subject.correct
    bands = _band("natural", "", natural[correct])
    bands += _band("natural_error", "", natural[~correct])
    for setting in _settings(model, subject, targets, rankings, fimba_options):
        rows += _rows(subject, setting)
        if setting.main:
            bands += _band("attacked", setting.targets, setting.moved[setting.flipped])
        log.info("targets %s, %s features: compared", setting.targets, setting.features)
    return Compared(
        pd.DataFrame(rows, columns=[*SSIM_COLUMNS]).astype(SSIM_COLUMNS),
        pd.DataFrame(bands, columns=[*SPECTRA_COLUMNS]).astype(SPECTRA_COLUMNS),
    )


def _subject(
    model: Predictor, dev: Samples, test: Samples, fimba_options: Fimba, options: Ssim, seed: int
) -> _Subject:
    natural = Samples(
        np.concatenate([dev.ids, test.ids]),
        np.concatenate([dev.values, test.values]),
        np.concatenate([dev.labels, test.labels]),
        test.genes,
    )
    correct = judging.answers(model, natural.values, natural.labels).correct
    attacked = fimba.attacked(test, fimba_options, seed)
    row_of = {name: row for row, name in enumerate(test.ids.tolist(), start=len(dev))}
    origin = np.array([row_of[name] for name in attacked.ids.tolist()], dtype=np.intp)
    return _Subject(natural, correct, origin, options, seed)


def _settings(
    model: Predictor,
    subject: _Subject,
    targets: Mapping[str, Targets],
    rankings: Rankings,
    options: Fimba,
) -> Iterator[_Setting]:
    """Attack in each setting that is compared; see `compare`."""
    if "interpolated" not in options.values:
        log.info("no interpolated values are asked for: no attacked samples are compared")
        return
    samples, correct = subject.attacked, subject.correct[subject.origin]
    n, p = samples.values.shape
    ranked = fimba.orders(rankings, options, (n, p), subject.seed)
    chosen = _chosen(ranked, options, p)
    for kind, aim, _ in fimba.goals(samples, targets, options):
        aims = fimba.numbered(aim)
        for order, k, main in chosen:
            moved = fimba.move(samples.values, aim, order.order, k, float(options.t[0]))
            after = judging.answers(model, moved, samples.labels).correct
            # Answers may differ in the last bits from batch to batch: what did not move is kept.
            changed = (moved != samples.values).any(axis=1)
            flipped = correct & ~after & changed
            yield _Setting(kind, order.features, k, main, moved, flipped, aims)


def _chosen(ranked: list[Ranked], options: Fimba, p: int) -> list[tuple[Ranked, int, bool]]:
    """Choose orders and how far they are followed; the first is the attack at its worst."""
    first = next((found for found in ranked if found.features != "random"), ranked[0])
    chosen = [(first, p, True)]
    random = next((found for found in ranked if found.features == "random"), first)
    if random is not first:
        below = [int(k) for k in options.k if k != ALL and int(k) < p]
        chosen.append((random, max(below, default=p), False))
    return chosen


def _rows(subject: _Subject, setting: _Setting) -> list[dict[str, Any]]:
    """Give all rows of a setting."""
    natural, options = subject.natural, subject.options
    where = {"targets": setting.targets, "features": setting.features, "k": setting.k}
    names = (subject.seed, "ssim", setting.targets, setting.features)
    pools = Pools(
        natural.values, natural.labels, subject.correct, setting.moved, subject.origin,
        setting.flipped, setting.aims,
    )  # fmt: skip
    rows = _published(subject, setting)
    sizes = pools.sizes(options.max_samples)
    if sizes is not None:
        draws = [
            pools.draw(sizes, runtime.stream(*names, number, "draw"))
            for number in range(options.draws)
        ]
        for number, draw in enumerate(draws):
            rows += _compared(ssim.compared(pools.groups(draw)), DRAW, number, sizes.total)
        for number, order in enumerate(_gene_orders(subject)):
            groups = pools.groups(draws[0], order)
            rows += _compared(ssim.compared(groups), GENE_ORDER, number, sizes.total)
        rows += _exchangeable(pools, sizes, draws[0], options.permutations, names)
    _tell(sizes, setting)
    return [where | row for row in rows + _of_own_order(rows)]


def _tell(sizes: ssim.Sizes | None, setting: _Setting) -> None:
    where = f"targets {setting.targets}, {setting.features} features"
    if sizes is None:
        log.info("%s: too few samples that the model gets right; only as published", where)
        return
    for there, what in ((sizes.errors, "natural errors"), (sizes.attacked, "targets of flips")):
        if not there:
            log.info("%s: too few %s to compare", where, what)


def _gene_orders(subject: _Subject) -> Iterator[Rows]:
    """Give the data's own order, then random ones, the same for all settings and models."""
    p = subject.natural.values.shape[1]
    yield np.arange(p)
    for number in range(1, subject.options.gene_orders + 1):
        yield runtime.stream(subject.seed, number, "gene order").permutation(p)


def _compared(
    found: Mapping[tuple[ssim.View, str], float], kind: str, number: int, n: int
) -> list[dict[str, Any]]:
    return [
        {
            "n": n, "view": view, "scale": scale, "comparison": comparison, "kind": kind,
            "number": number, "ssim": value,
        }
        for ((view, scale), comparison), value in found.items()
    ]  # fmt: skip


def _published(subject: _Subject, setting: _Setting) -> list[dict[str, Any]]:
    """Compare attacked samples with themselves before: all, and under each order of genes."""
    before, after = subject.attacked, setting.moved
    n, p = after.shape
    few = max(1, CELLS // p)
    kept = fimba.stratified(
        before.labels, few, runtime.stream(subject.seed, "ssim", "samples of gene orders")
    )
    rows = []
    for number, order in enumerate(_gene_orders(subject)):
        found = ssim.published(before.values[kept][:, order], after[kept][:, order])
        rows += _compared(_as_published(found), GENE_ORDER, number, len(kept))
    found = ssim.published(before.values, after)
    return _compared(_as_published(found), PUBLISHED, 0, n) + rows


def _as_published(found: Mapping[ssim.View, float]) -> dict[tuple[ssim.View, str], float]:
    return {(view, PUBLISHED): value for view, value in found.items()}


def _exchangeable(
    pools: Pools,
    sizes: ssim.Sizes,
    draw: ssim.Draw,
    permutations: int,
    names: tuple[str | int, ...],
) -> list[dict[str, Any]]:
    """Test the attacked samples against the natural errors of a draw."""
    if not (sizes.errors and sizes.attacked):
        return []
    others = pools.references(sizes, draw, REFERENCES, runtime.stream(*names, "references"))
    groups = pools.groups(draw)
    found = ssim.exchangeability(
        [pools.values[rows] for rows in others],
        groups[ssim.ATTACKED],
        groups[ssim.ERROR],
        sizes.labels,
        permutations,
        runtime.stream(*names, "permutations"),
    )
    named = {(view, EXCHANGEABLE): p_value for view, p_value in found.items()}
    return _compared(named, P_VALUE, 0, sizes.total)


def _of_own_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rank the data's own order of genes among the random ones, in each comparison."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["kind"] == GENE_ORDER:
            place = (row["view"], row["scale"], row["comparison"])
            found.setdefault(place, []).append(row)
    return [
        own[0] | {"kind": P_VALUE, "ssim": ssim.own_order(np.array([row["ssim"] for row in own]))}
        for own in found.values()
    ]


def _band(group: str, targets: str, values: Values) -> list[dict[str, Any]]:
    """Summarise the spectra of single samples by frequency; nothing without samples."""
    n, p = values.shape
    if not n:
        return []
    log_powers = spectral.log_power(spectral.row_spectra(values))
    mean, (low, high) = log_powers.mean(axis=0), np.quantile(log_powers, _BAND, axis=0)
    return [
        {
            "group": group, "targets": targets, "frequency": frequency, "mean": mean[place],
            "low": low[place], "high": high[place], "n": n,
        }
        for place, frequency in enumerate(spectral.frequencies(p))
    ]  # fmt: skip
