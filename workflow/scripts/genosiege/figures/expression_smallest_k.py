"""How many features must move, as a distribution over the samples."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray
from scipy.stats import norm

from genosiege.expression.tables.reading import Cards
from genosiege.expression.tables.reading import Rows as Found
from genosiege.expression.tables.smallest_k_table import needed, tried
from genosiege.figures.expression_attack import AIMS
from genosiege.figures.expression_panels import (
    grey,
    grid,
    legend,
    model_looks,
    preferred,
    share_axis,
    usual_t,
)
from genosiege.figures.style import Look, say, styled

EMPTY = "no smallest k was searched for"


@styled
def distribution(found: Iterable[Found], cards: Cards) -> Figure:
    """Draw the share of samples that flip with at most a share of the genes.

    Parameters
    ----------
    found : iterable of Rows
        The models' `smallest_k.parquet`, read with `smallest_k_table.ROWS`. Seeds are pooled.
    cards : Cards
        They say how many genes there are.
    """
    tables = [
        entry.rows.assign(
            dataset=entry.place.dataset,
            model=entry.place.model,
            n_genes=cards.n_genes(entry.place.dataset, entry.place.seed),
        )
        for entry in found
    ]
    if not tables or not sum(map(len, tables)):
        return grid([], [], 1.0, EMPTY).figure
    table = pd.concat(tables, ignore_index=True)
    table = table[np.isclose(table["t"], usual_t(table))]
    ranked = table.loc[table["features"] != "random", "importance"]
    importance = preferred(ranked, "global") if len(ranked) else "none"
    table = table[(table["features"] == "random") | (table["importance"] == importance)]
    look = model_looks(table)
    aims = [aim for aim in AIMS if aim in set(table["targets"])]
    drawn = grid(aims, sorted(table["dataset"].unique()), 3.2, EMPTY)
    low = float((1 / table["n_genes"]).min())
    for (aim, dataset), ax in drawn.panels.items():
        own = table[(table["dataset"] == dataset) & (table["targets"] == aim)]
        ax.set_title(f"{dataset}\n{AIMS[aim][0]}")
        _draw(ax, own, look, low)
    handles = [Line2D([], [], color=how.colour, lw=1.6, label=name) for name, how in look.items()]
    if (table["features"] == "random").any():
        handles += [grey("SHAP features", "-"), grey("random features", "--")]
    legend(drawn.figure, handles)
    return drawn.figure


def _draw(ax: Axes, own: pd.DataFrame, look: dict[str, Look], low: float) -> None:
    attacked = tried(own)
    if attacked.empty:
        return say(ax, "no sample was attacked")
    for (model, features), rows in attacked.groupby(["model", "features"], sort=True):
        shares = np.sort(needed(rows) / rows["n_genes"].to_numpy(dtype=float))
        last = float((rows["tried_to"] / rows["n_genes"]).max())
        x, y = _steps(shares, last)
        thin, colour = features == "random", look[str(model)].colour
        ax.plot(x, y, drawstyle="steps-post", color=colour, ls="--" if thin else "-",
                lw=0.9 if thin else 1.6)  # fmt: skip
        if not thin:
            # A sample that several seeds test may be easy in all: it counts once.
            ends = _wilson(y, rows["id"].nunique())
            ax.fill_between(x, *ends, step="post", color=colour, alpha=0.12, linewidth=0)
    ax.set_xscale("log")
    ax.set_xlim(low, 1.08)
    ax.xaxis.set_major_locator(LogLocator(numticks=6))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g}%"))
    genes = " or ".join(f"{n:,}" for n in sorted(own["n_genes"].unique()))
    counts = attacked[attacked["features"] != "random"].groupby("model").size()
    sizes = sorted({int(n) for n in counts}) or [0]
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    ax.set_xlabel(f"features moved (share of {genes} genes; log scale)\nn = {n} samples per model")
    share_axis(ax, "samples flipped")
    return None


def _steps(
    shares: NDArray[np.float64], last: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the places where the distribution rises, and its heights; it ends where search did."""
    x = np.unique(np.append(shares[np.isfinite(shares)], last))
    y = np.searchsorted(shares, x, side="right") / len(shares)
    # From the left edge of the panel on, where nothing has flipped yet.
    return np.append(1e-9, x), np.append(0.0, y)


def _wilson(y: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's 95 % interval of each height, as in `statistics.wilson_interval`."""
    z2 = float(norm.ppf(0.975)) ** 2
    middle = (y + z2 / (2 * n)) / (1 + z2 / n)
    reach = np.sqrt(z2 * (y * (1 - y) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return middle - reach, middle + reach
