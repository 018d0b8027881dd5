"""What an attack changes, against chance: places, bases, motifs, and what the model reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.sequence import motifs, shuffles, summaries
from genosiege.sequence.constraints import BASES, Constraints
from genosiege.sequence.positions import edit_density
from genosiege.sequence.results import AttackResult, ModelResult
from genosiege.sequence.shuffles import Edited, Shuffle
from genosiege.sequence.site_changes import SiteChanges
from genosiege.statistics import Interval, bootstrap_interval, weighted_mean

BIN_WIDTH = 10
"""Width of a position bin, bp."""
N_SHUFFLES = 1000
TOP_SHARE = 0.1
"""Share of the positions that counts as the most important ones."""
NONE_SEEN = 3.689
"""Upper 97.5 % limit of a Poisson mean of which no event was seen, -ln 0.025."""

COLUMNS = [
    *summaries.GROUP, "feature", "level", "n", "observed", "expected", "fold", "low", "high",
    "null_low", "null_high",
]  # fmt: skip

SUBSTITUTIONS = [(old, new) for old in range(4) for new in range(4) if old != new]
"""The twelve substitutions, as codes of ACGT."""

UNIFORM_KINDS = frozenset({"gradient", "greedy", "random"})
"""Kinds of attack to which the three other bases are equal candidates."""


class Measured(NamedTuple):
    """A statistic of the edits beside its null; r rows of attack tables, d shuffles.

    Attributes
    ----------
    feature, level : str
        What was measured.
    observed, expected : ndarray, shape (r,)
        Of each row, and the mean over its shuffles.
    null : ndarray, shape (d,)
        The sum over the rows in each shuffle.
    """

    feature: str
    level: str
    observed: NDArray[np.float64]
    expected: NDArray[np.float64]
    null: NDArray[np.float64]


def interpretability_table(
    results: Iterable[AttackResult],
    certificates: Iterable[ModelResult],
    tss_index: Mapping[str, int | None],
    constraints: Mapping[str, Mapping[str, Any]],
    kinds: Mapping[str, str],
) -> pd.DataFrame:
    """Tabulate what the successful edits change, against edits put at random.

    Parameters
    ----------
    results : iterable of AttackResult
        Attack tables; those that differ in the model's seed only are pooled.
    certificates : iterable of ModelResult
        From `results.read_certificate`; they hold the importance of each position.
    tss_index : mapping of str to int or None
        For each task the 0-based offset of the transcription start site, if it has one.
    constraints : mapping
        Section `constraints` of the configuration.
    kinds : mapping of str to str
        For each attack its kind.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, as in the caption `workflow/report/interpretability.rst`; no row for an
        attack without success.

    Raises
    ------
    InputError
        If a certificate has no importance, or a rule of `constraints` is unknown.
    """
    known = {(c.task, c.encoder, c.seed, c.stage): _importance(c) for c in certificates}
    table: list[dict[str, Any]] = []
    for key, members in summaries.grouped(results).items():
        won = summaries.runs(members, successes=True)
        won = won[won["edits"] != ""].reset_index(drop=True)
        if won.empty:
            continue
        task, encoder, stage, attack, _ = key
        origin = tss_index.get(task)
        rules = Constraints.from_config(constraints, origin)
        # Motifs matter to what may be edited only where they are a hard rule.
        kept = rules.motif_list if rules.motifs == "hard" else ()
        found = shuffles.edited(won, replace(rules, motif_list=kept))
        importance = [
            known.get((task, encoder, seed, stage), {}).get(name)
            for seed, name in zip(won["seed"], won["id"], strict=True)
        ]
        share = _transition_share(found, rules, kinds.get(attack, ""))
        # Each draws its own shuffles, as all of a large table would fill the memory.
        change, agreement = (
            shuffles.shuffled(found, share, N_SHUFFLES, runtime.stream(*key, purpose))
            for purpose in ("change", "agreement")
        )
        rows = [
            *_position_rows(won, origin or 0, runtime.stream(*key, "position")),
            *_change_rows(found, change, motifs.of_configuration(constraints), origin, key),
            *_agreement_rows(found, agreement, importance, key),
        ]
        table += [dict(zip(summaries.GROUP, key, strict=True)) | row for row in rows]
    return pd.DataFrame(table, columns=COLUMNS)


def _importance(certificate: ModelResult) -> dict[str, NDArray[np.float64]]:
    """Take from a certificate the importance of the positions of each sequence."""
    rows = certificate.rows
    if "importance" not in rows:
        raise InputError(
            f"{certificate.task}, {certificate.encoder}, seed {certificate.seed}: the column "
            "importance of its certificate is missing; certify again."
        )
    single = rows[rows["k"] == 1]
    return {
        str(name): np.asarray(values, dtype=np.float64)
        for name, values in zip(single["id"], single["importance"], strict=True)
    }


def _transition_share(found: Edited, rules: Constraints, kind: str) -> float:
    """Give the probability of a transition in the null, so that it proposes as the attack."""
    if rules.transitions == "hard":
        return 1.0
    if kind in UNIFORM_KINDS or (kind == "genetic" and rules.transitions == "off"):
        return 1 / 3
    if kind == "genetic":
        return rules.transition_weight
    # The others draw by options of their own, or from a list: their own share is kept.
    return float(np.mean(found.old ^ found.new == 2))


def _position_rows(
    won: pd.DataFrame, origin: int, generator: np.random.Generator
) -> list[dict[str, Any]]:
    length = int(won["original"].str.len().max())
    edges = np.append(np.arange(0, length, BIN_WIDTH), length)
    density = edit_density(won, edges, generator)
    return [
        {
            "feature": "position",
            "level": f"{density.edges[i] - origin}..{density.edges[i + 1] - 1 - origin}",
            "n": int(density.observed.sum()),
            "observed": density.observed[i],
            "expected": density.expected[i],
            "fold": density.fold[i],
            "low": density.low[i],
            "high": density.high[i],
            "null_low": density.null_low[i],
            "null_high": density.null_high[i],
        }
        for i in range(len(density.fold))
    ]


def _change_rows(
    found: Edited,
    shuffled: Iterable[Shuffle],
    motif_list: Sequence[motifs.Motif],
    origin: int | None,
    key: tuple[str, ...],
) -> list[dict[str, Any]]:
    """Make the rows of substitutions, transitions and motifs."""
    sites = SiteChanges(found.codes[found.sequence], motif_list, origin)
    names = [("substitution", f"{BASES[old]}>{BASES[new]}") for old, new in SUBSTITUTIONS]
    names += [("transition", "share")]
    names += [(f"motif_{how}", name) for how in ("lost", "created") for name in sites.names]
    observed = _changes(found, sites, found.position, found.new)
    expected = np.zeros_like(observed)
    sums = []
    for position, new in shuffled:
        drawn = _changes(found, sites, position, new)
        expected += drawn
        sums.append(drawn.sum(axis=0))
    null, expected = np.array(sums), expected / len(sums)
    rows = []
    for i, (feature, level) in enumerate(names):
        measured = Measured(feature, level, observed[:, i], expected[:, i], null[:, i])
        # A share has the same fold as the count it is made of.
        per = len(found.row) if feature == "transition" else 1
        rows.append(_row(measured, len(found.row), per, found.sequence, key))
    return rows


def _changes(
    found: Edited, sites: SiteChanges, position: NDArray[np.int64], new: NDArray[np.int8]
) -> NDArray[np.float64]:
    """Count, for each row, the twelve substitutions, transitions, sites lost and created."""
    n = len(found.sequence)
    old = found.codes[found.sequence[found.row], position]
    types = np.bincount(found.row * 16 + old * 4 + new, minlength=16 * n).reshape(n, 16)
    twelve = types[:, [old * 4 + new for old, new in SUBSTITUTIONS]]
    transitions = np.bincount(found.row, weights=old ^ new == 2, minlength=n)
    return np.column_stack([twelve, transitions, *sites.count(found.row, position, new)])


def _row(
    measured: Measured, n: int, per: int, clusters: NDArray[np.int64], key: tuple[str, ...]
) -> dict[str, Any]:
    """Compare a sum over rows with its null; `per` turns sums into means."""
    total, chance = measured.observed.sum(), measured.expected.sum()
    row = {"feature": measured.feature, "level": measured.level, "n": n}
    row |= {"observed": total / per, "expected": chance / per}
    if chance == 0:
        return row | dict.fromkeys(["fold", "low", "high", "null_low", "null_high"], np.nan)
    generator = runtime.stream(*key, measured.feature, measured.level)
    interval = _ratio_interval(measured.observed, measured.expected, clusters, generator)
    if total == 0:
        # No resample of nothing has anything, which would pass for certainty.
        interval = Interval(0.0, NONE_SEEN / chance)
    band = np.quantile(measured.null / chance, [0.025, 0.975])
    return row | _ends(total / chance, interval, band)


def _ratio_interval(
    observed: NDArray[np.float64],
    expected: NDArray[np.float64],
    clusters: NDArray[np.int64],
    generator: np.random.Generator,
) -> Interval:
    """Give the bootstrap interval of a ratio of sums that resamples whole clusters."""
    below = np.bincount(clusters, weights=expected)

    def ratio(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        scale = weights @ below
        # A resample without any place for the event has no ratio.
        ratios: NDArray[np.float64] = np.full(len(scale), np.nan)
        return np.divide(weights @ values, scale, out=ratios, where=scale > 0)

    above = np.bincount(clusters, weights=observed)
    return bootstrap_interval(above, np.arange(len(above)), ratio, generator)


def _agreement_rows(
    found: Edited,
    shuffled: Iterable[Shuffle],
    importance: Sequence[NDArray[np.float64] | None],
    key: tuple[str, ...],
) -> list[dict[str, Any]]:
    """Compare where the edits fall with what in-silico mutagenesis finds important."""
    ranks = np.full((len(importance), found.codes.shape[1]), np.nan)
    top = ranks.copy()
    for i, values in enumerate(importance):
        places = found.editable[found.sequence[i]]
        if values is not None and len(values) > places.max():
            ranks[i, places], top[i, places] = _ranks(values[places])
    sizes = np.isfinite(ranks).sum(axis=1)
    counts = np.bincount(found.row)
    # Where every position is edited, none is left to compare with.
    (used,) = np.nonzero(sizes > counts)
    if not len(used):
        return []
    in_top, auroc = _agreement(found, ranks, top, found.position)
    null = [_agreement(found, ranks, top, position) for position, _ in shuffled]
    null_top, null_auroc = (np.array(part)[:, used] for part in zip(*null, strict=True))
    clusters, n_edits = found.sequence[used], int(counts[used].sum())
    clusters = np.unique(clusters, return_inverse=True)[1]
    measured = Measured(
        "mutagenesis_agreement", "top_decile", in_top[used], null_top.mean(0), null_top.sum(1)
    )
    rows = [_row(measured, n_edits, n_edits, clusters, key)]
    interval = bootstrap_interval(
        auroc[used], clusters, weighted_mean, runtime.stream(*key, "auroc")
    )
    mean, chance = auroc[used].mean(), null_auroc.mean()
    ends = _ends(mean / chance, interval, np.quantile(null_auroc.mean(1), [0.025, 0.975]))
    row = {"feature": "mutagenesis_agreement", "level": "auroc", "n": len(used)}
    return [*rows, row | {"observed": mean, "expected": chance} | ends]


def _ends(fold: float, interval: Interval, band: NDArray[np.float64]) -> dict[str, float]:
    return {
        "fold": fold,
        "low": interval.low,
        "high": interval.high,
        "null_low": float(band[0]),
        "null_high": float(band[1]),
    }


def _agreement(
    found: Edited,
    ranks: NDArray[np.float64],
    top: NDArray[np.float64],
    position: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give, for each row, its edits among the top positions and their AUROC by importance.

    The AUROC is Mann and Whitney's U of edited against unedited positions, over its maximum.
    """
    n = np.isfinite(ranks).sum(axis=1)
    k = np.bincount(found.row).astype(float)
    in_top = np.bincount(found.row, weights=top[found.row, position]).astype(float)
    u = np.bincount(found.row, weights=ranks[found.row, position]) - k * (k + 1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        auroc: NDArray[np.float64] = u / (k * (n - k))
    return in_top, auroc


def _ranks(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rank positions by importance (1 least), and say how far each is among the top ones.

    Equal values share their ranks' mean, and their part of the places left at the top.
    """
    last = rankdata(values, "max")
    tied = last - rankdata(values, "min") + 1
    n_top = np.ceil(TOP_SHARE * len(values))
    top = np.clip(last - (len(values) - n_top), 0, tied) / tied
    return rankdata(values), top
