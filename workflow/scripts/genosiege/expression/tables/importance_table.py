"""Which genes models look at, and how far rankings agree."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import hypergeom, spearmanr

from genosiege.expression.tables import reading
from genosiege.expression.tables.reading import Cards, Place

ROWS = {
    "method": "object",
    "gene": "object",
    "importance": "float64",
    "rank": "int64",
    "n_samples": "int64",
    "n_queries": "int64",
}
TOP = (10, 50, 100)
"""How many of the first genes are compared."""

COLUMNS = [
    "dataset", "leak", "compared", "model", "method", "other", "k", "status", "n_seeds",
    "n_pairs", "n_genes", "n_important", "overlap", "overlap_sd", "overlap_by_chance",
    "rank_correlation", "rank_correlation_sd", "n_samples", "n_queries", "top_genes",
]  # fmt: skip
_BY = ["dataset", "compared", "model", "method", "other", "k"]


class Ranking(NamedTuple):
    """Importance of each gene for one model by one method.

    Attributes
    ----------
    place, method
        Whose ranking.
    importance : pandas.Series of float
        By gene, in the order of the ranks.
    n_samples, n_queries : int
        Samples explained and times the model was asked.
    """

    place: Place
    method: str
    importance: "pd.Series[float]"
    n_samples: int
    n_queries: int

    def top(self, k: int) -> list[str]:
        """Give the first k genes, as far as they have any importance."""
        first = self.importance.iloc[:k]
        return [str(gene) for gene in first.index[first > 0]]


def importance_table(paths: Iterable[str], cards: Cards) -> pd.DataFrame:
    """Compare rankings between seeds, models and methods.

    Parameters
    ----------
    paths : iterable of str
        The models' `importance.parquet`.
    cards : Cards
        Of the data.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/importance.rst`.
    """
    found = list(rankings(paths))
    datasets = sorted({ranking.place.dataset for ranking in found})
    rows = [
        {"dataset": dataset, "leak": _leak(own, cards)} | row
        for dataset in datasets
        for own in [[ranking for ranking in found if ranking.place.dataset == dataset]]
        for compared in _comparisons(own)
        for k in TOP
        for row in [_row(compared, k)]
    ]
    return reading.frame(rows, COLUMNS, _BY)


def rankings(paths: Iterable[str]) -> Iterator[Ranking]:
    """Read the rankings of several models, sorted by place and method."""
    for place, table, _ in reading.read(paths, "importance.parquet", ROWS):
        for method, own in table.sort_values("rank").groupby("method", sort=True):
            yield Ranking(
                place=place,
                method=str(method),
                importance=own.set_index("gene")["importance"],
                n_samples=int(own["n_samples"].iloc[0]),
                n_queries=int(own["n_queries"].iloc[0]),
            )


class _Compared(NamedTuple):
    """Pairs of rankings that are told of in one row for each k."""

    compared: str
    model: str
    method: str
    other: str
    pairs: Sequence[tuple[Ranking, Ranking]]
    members: Sequence[Ranking]


def _comparisons(found: Sequence[Ranking]) -> Iterator[_Compared]:
    """Pair the rankings of a dataset: seeds of a model, then models, then methods of a seed."""
    of: dict[tuple[str, str], list[Ranking]] = {}
    for ranking in found:
        of.setdefault((ranking.place.model, ranking.method), []).append(ranking)
    for (model, method), own in sorted(of.items()):
        yield _Compared("seeds", model, method, "", list(combinations(own, 2)), own)
    for first, second in combinations(sorted(of), 2):
        if first[0] != second[0] and first[1] != second[1]:
            continue
        compared = "models" if first[1] == second[1] else "methods"
        pairs = [
            (one, two)
            for one in of[first]
            for two in of[second]
            if one.place.seed == two.place.seed
        ]
        other = second[0] if compared == "models" else second[1]
        if pairs:
            yield _Compared(compared, *first, other, pairs, [])


def _row(compared: _Compared, k: int) -> dict[str, Any]:
    name, model, method, other, pairs, members = compared
    known = members or [ranking for pair in pairs for ranking in pair]
    row: dict[str, Any] = {
        "compared": name, "model": model, "method": method, "other": other, "k": k,
        "n_seeds": len({ranking.place.seed for ranking in known}), "n_pairs": len(pairs),
        "n_genes": float(np.mean([len(ranking.importance) for ranking in known])),
        "n_important": float(np.mean([int((r.importance > 0).sum()) for r in known])),
        "n_samples": np.nan, "n_queries": np.nan, "top_genes": "",
    }  # fmt: skip
    if members:
        row["n_samples"] = float(np.mean([ranking.n_samples for ranking in members]))
        row["n_queries"] = float(np.mean([ranking.n_queries for ranking in members]))
        row["top_genes"] = "; ".join(top_genes(members, k))
    exceeds = any(len(ranking.importance) < k for ranking in known)
    row["status"] = _status(len(pairs), exceeds)
    agreement = [(overlap(*pair, k), by_chance(*pair, k)) for pair in pairs if not exceeds]
    overlaps, chances = np.reshape(np.array(agreement, dtype=float), (-1, 2)).T
    row |= _spread("overlap", overlaps) | {"overlap_by_chance": _mean(chances)}
    return row | _spread("rank_correlation", np.array([rank_correlation(*p) for p in pairs]))


def _status(n_pairs: int, exceeds: bool) -> str:
    reasons = ["one seed"] if not n_pairs else []
    return "; ".join(reasons + (["k_exceeds_features"] if exceeds else [])) or "compared"


def top_genes(members: Sequence[Ranking], k: int) -> list[str]:
    """Give the k genes with the best mean rank over seeds, those without importance left out.

    A gene that a seed's data have not kept has the rank after the last one there.
    """
    ranks = pd.concat(
        [pd.Series(np.arange(len(r.importance)), index=r.importance.index) for r in members],
        axis=1,
    )
    last = pd.Series([len(r.importance) for r in members], index=ranks.columns)
    important = {gene for r in members for gene in r.top(len(r.importance))}
    mean = ranks.fillna(last).mean(axis=1).sort_index().sort_values(kind="stable")
    return [str(gene) for gene in mean.index if gene in important][:k]


def overlap(first: Ranking, second: Ranking, k: int) -> float:
    """Jaccard index of two rankings' first k genes: shared ones over all; nan without any."""
    one, two = set(first.top(k)), set(second.top(k))
    return len(one & two) / len(one | two) if one | two else np.nan


def by_chance(first: Ranking, second: Ranking, k: int) -> float:
    """Expect the Jaccard index of as many genes drawn at random from either model's genes."""
    n_one, n_two = len(first.top(k)), len(second.top(k))
    if not n_one + n_two:
        return np.nan
    p_one, p_two = len(first.importance), len(second.importance)
    common = len(first.importance.index.intersection(second.importance.index))
    # First how many of one's genes the other could have, then how many of those it draws.
    drawn = np.arange(min(n_one, common) + 1)
    shared = np.arange(min(n_one, n_two) + 1)
    chances = hypergeom.pmf(drawn, p_one, common, n_one) @ hypergeom.pmf(
        shared[None, :], p_two, drawn[:, None], n_two
    )
    return float(chances @ (shared / (n_one + n_two - shared)))


def rank_correlation(first: Ranking, second: Ranking) -> float:
    """Spearman's correlation over the genes of both; nan where one finds all equal."""
    genes = first.importance.index.intersection(second.importance.index)
    one, two = (ranking.importance.loc[genes].to_numpy() for ranking in (first, second))
    if len(genes) < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return np.nan
    return float(spearmanr(one, two).statistic)


def _spread(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    sd = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return {name: _mean(values), f"{name}_sd": sd}


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else np.nan


def _leak(found: Sequence[Ranking], cards: Cards) -> str:
    """Join the marks of all seeds; they are those of the dataset."""
    marks = {cards.leak(ranking.place.dataset, ranking.place.seed) for ranking in found}
    return "; ".join(sorted(marks - {""}))
