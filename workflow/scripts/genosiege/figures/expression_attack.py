"""FIMBA over the number of features, and what each of its parts adds."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genosiege.figures.expression_panels import (
    average,
    dodges,
    dots,
    grey,
    grid,
    legend,
    model_handles,
    model_looks,
    preferred,
    share_axis,
    texts,
    usual_t,
)
from genosiege.figures.style import COLOURS, GREY, Look, say, styled

EMPTY = "no attack was run"
WORDS = ("dataset", "model", "targets", "importance", "features", "values")
AIMS = {
    "opposite": ("towards the other class", COLOURS[0], "o"),
    "error": ("towards known errors", COLOURS[1], "s"),
    "test_error": ("towards errors of the test split (leaks)", COLOURS[3], "D"),
    "none": ("to random values", COLOURS[2], "^"),
}
"""What is drawn of each kind of targets: words, colour, marker."""
DASHES = {"shap": "-", "permutation": "-.", "random": "--"}
ACCURACY = ("attacked_accuracy", "attacked_accuracy_low", "attacked_accuracy_high")
MOST_K = 4
"""Panels beside each other in the ablation."""
ARMS = (
    "all", "FIMBA", "VAE only", "SHAP only", "interpolation only", "random × uniform",
)  # fmt: skip


@styled
def accuracy_over_k(table: pd.DataFrame) -> Figure:
    """Draw the accuracy before and after the attack over k, a panel per dataset and model.

    Parameters
    ----------
    table : pandas.DataFrame
        From `fimba_table.fimba_table`. Of several seeds the mean is drawn, of several t the one
        closest to 8/9, of `importance` the global one where there is one.
    """
    table = texts(table, *WORDS)
    table = table[table["n_attacked"] > 0]
    datasets, models = (sorted(table[name].unique()) for name in ("dataset", "model"))
    drawn = grid(datasets, models, 2.7, EMPTY)
    if table.empty:
        return drawn.figure
    table = _chosen(table)
    for (dataset, model), ax in drawn.panels.items():
        own = table[table["dataset"] == dataset]
        if not (own["model"] == model).any():
            say(ax, "not attacked")
            continue
        numbers = {k: place for place, k in enumerate(sorted(own["k"].unique()))}
        _draw_lines(ax, own[own["model"] == model], numbers)
        whole = set(own["n_genes"])
        names = [f"all\n({k:,})" if k in whole else f"{k}" for k in numbers]
        ax.set_xticks(range(len(names)), names, fontsize=8)
        ax.set_xlim(-0.5, len(names) - 0.5)
        share_axis(ax, "accuracy" if model == models[0] else "")
        ax.set_xlabel(f"features moved (k)\nn = {own['n'].max()} test samples")
    shown = [AIMS[name] for name in AIMS if name in set(table["targets"])]
    handles = [Line2D([], [], color=c, marker=m, lw=1.3, ms=5, label=words)
               for words, c, m in shown]  # fmt: skip
    for features, dashes in DASHES.items():
        if features in set(table["features"]):
            name = "SHAP" if features == "shap" else features
            handles.append(grey(f"{name} features", dashes, "o", features != "random"))
    legend(drawn.figure, [*handles, grey("without an attack", ":")])
    return drawn.figure


def _chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out what would need further panels."""
    ranked = table.loc[table["importance"] != "none", "importance"]
    importance = preferred(ranked, "global") if len(ranked) else "none"
    t = usual_t(table)
    return table[
        table["importance"].isin(["none", importance])
        & (table["t"].isna() | np.isclose(table["t"], t))
    ]


def _draw_lines(ax: Axes, own: pd.DataFrame, numbers: dict[int, int]) -> None:
    clean = own["clean_accuracy"].mean()
    ax.axhline(clean, color=GREY, lw=1.3, ls=":")
    lines = [
        (aim, features, rows)
        for aim in AIMS
        for features in DASHES
        for rows in [own[(own["targets"] == aim) & (own["features"] == features)]]
        if len(rows)
    ]
    for shift, (aim, features, rows) in zip(dodges(len(lines), 0.5), lines, strict=True):
        line = average(rows, ["k"], ACCURACY)
        _, colour, marker = AIMS[aim]
        x = np.array([numbers[k] for k in line["k"]]) + shift
        face = "white" if features == "random" else colour
        y, low, high = (line[name] for name in ACCURACY)
        ax.vlines(x, low, high, color=colour, lw=0.9)
        ax.plot(x, y, color=colour, ls=DASHES[features], lw=1.3, marker=marker, ms=4.5, mfc=face,
                clip_on=False, zorder=3)  # fmt: skip


@styled
def ablation(table: pd.DataFrame) -> Figure:
    """Draw the accuracy after each arm of the attack, a panel per dataset and k.

    Parameters
    ----------
    table : pandas.DataFrame
        From `ablation.ablation_table`. Drawn is the autoencoder that saw most, the targets
        `opposite` where there are any, and the t closest to 8/9; of several seeds the mean.
    """
    table = texts(table, "dataset", "model", "targets", "importance", "arm")
    table = table[table[ACCURACY[0]].notna()]
    if table.empty:
        return grid([], [], 1.0, EMPTY).figure
    targets = preferred(table["targets"], "opposite", "error")
    importance = preferred(table["importance"], "global")
    table = table[(table["targets"] == targets) & (table["importance"] == importance)]
    table = table[np.isclose(table["t"], usual_t(table))]
    datasets, numbers = sorted(table["dataset"].unique()), _some(table)
    look = model_looks(table)
    columns = max(len(found) for found in numbers.values())
    drawn = grid(datasets, [str(place) for place in range(columns)], 3.6, EMPTY)
    for (dataset, place), ax in drawn.panels.items():
        if int(place) >= len(numbers[dataset]):
            ax.set_axis_off()
            ax.set_title("")
            continue
        own, k = table[table["dataset"] == dataset], numbers[dataset][int(place)]
        _draw_arms(ax, own[own["k"] == k], look, first=place == "0")
        ax.set_title(f"{dataset}\nk = {k:,}")
    legend(drawn.figure, model_handles(look))
    return drawn.figure


def _draw_arms(ax: Axes, own: pd.DataFrame, look: Mapping[str, Look], first: bool) -> None:
    largest = own["fraction"].max()
    own = own[own["fraction"].isna() | (own["fraction"] == largest)]
    arms = [arm for arm in ARMS if arm in set(own["arm"])]
    dots(ax, average(own, ["arm", "model"], ACCURACY), "arm", arms, ACCURACY[0], look)
    if not first:
        ax.set_yticklabels([])
    seen = "" if pd.isna(largest) else f"\nVAE trained on {largest:.0f}% of train"
    share_axis(ax, f"accuracy after the attack\n(n = {own['n'].max()} test samples){seen}", "x")


def _some(table: pd.DataFrame) -> dict[str, list[int]]:
    """Choose the k that are drawn: evenly among those of the fullest comparison."""
    chosen = {}
    for dataset, own in table.groupby("dataset", sort=True):
        with_vae = own[own["fraction"].notna()]
        known = sorted((with_vae if len(with_vae) else own)["k"].unique())
        places = np.linspace(0, len(known) - 1, min(MOST_K, len(known))).round().astype(int)
        chosen[str(dataset)] = [int(known[place]) for place in np.unique(places)]
    return chosen
