"""What poison costs, and what adversarial training gains."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from genosiege.figures.expression_panels import (
    FAINT,
    average,
    dodges,
    grey,
    grid,
    legend,
    share_axis,
    texts,
    usual_t,
)
from genosiege.figures.style import COLOURS, GREY, say, styled

LOST = ("accuracy_lost", "accuracy_lost_low", "accuracy_lost_high")
ACCURACY = ("accuracy", "accuracy_low", "accuracy_high")
BLUES = ("#56B4E9", "#0072B2", "#00304D")
GREYS = ("#AAAAAA", "#777777", "#333333")
MARKERS = ("o", "s", "D")
DEFENCES = {
    "fimba": ("trained on adversaries", COLOURS[0], True),
    "random_noise": ("trained on random noise (control)", COLOURS[1], False),
}
ATTACKS = {
    "clean": ("no attack", ":", "^"),
    "random": ("random features moved", "--", "s"),
    "fimba": ("important features moved (FIMBA)", "-", "o"),
}


@styled
def poisoning(table: pd.DataFrame) -> Figure:
    """Draw the accuracy that poison costs over its rate, a panel per dataset and model.

    Parameters
    ----------
    table : pandas.DataFrame
        From `poisoning_table.poisoning_table`; of several seeds the mean.
    """
    table = texts(table, "dataset", "model", "kind", "status")
    # Without poison there is no rate: `refit` stands in the table alone.
    table = table[(table["status"] == "retrained") & (table["kind"] != "refit")]
    datasets, models = (sorted(table[name].unique()) for name in ("dataset", "model"))
    drawn = grid(datasets, models, 2.7, "no data were poisoned")
    if table.empty:
        return drawn.figure
    series = _series(table)
    values = table[[*LOST]].to_numpy(dtype=float)
    low, high = min(float(np.nanmin(values)), 0.0), max(float(np.nanmax(values)), 0.0)
    rates = sorted(table["rate"].unique())
    for (dataset, model), ax in drawn.panels.items():
        own = table[(table["dataset"] == dataset) & (table["model"] == model)]
        if own.empty:
            say(ax, "not poisoned")
            continue
        for shift, ((kind, fraction), how) in zip(
            dodges(len(series), 0.8), series.items(), strict=True
        ):
            rows = own[(own["kind"] == kind) & (own["fraction"] == fraction)]
            _draw_costs(ax, average(rows, ["rate"], LOST), rates, float(shift), how)
        ax.axhline(0, color=GREY, lw=1, ls=":")
        ax.set_xticks(range(len(rates)), [f"{rate:g}%" for rate in rates])
        ax.set_xlim(-0.5, len(rates) - 0.5)
        ax.set_ylim(low - 0.05 * (high - low) - 1e-3, high + 0.05 * (high - low) + 1e-3)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g}"))
        ax.grid(axis="y", color=FAINT, lw=0.8)
        ax.set_axisbelow(True)
        if model == models[0]:
            ax.set_ylabel("accuracy lost\n(percentage points)")
        ax.set_xlabel(f"poison (of train)\nn = {own['n'].max()} test samples")
    legend(drawn.figure, series.values())
    return drawn.figure


def _series(table: pd.DataFrame) -> dict[tuple[str, int], Line2D]:
    """Give each kind of poison its look: darker where the autoencoder saw more, controls hollow."""
    found = table[["kind", "fraction"]].drop_duplicates()
    fractions = sorted(found.loc[~found["kind"].isin(["label_flip", "refit"]), "fraction"].unique())
    series = {}
    for kind, name, shades in (
        ("vae", "by the autoencoder", BLUES), ("reconstruction", "reconstructions (control)", GREYS)
    ):  # fmt: skip
        for place, fraction in enumerate(fractions):
            if ((found["kind"] == kind) & (found["fraction"] == fraction)).any():
                shade = min(place, len(shades) - 1) if len(fractions) > 1 else 1
                series[kind, int(fraction)] = Line2D(
                    [], [], ls="none", ms=5, marker=MARKERS[shade], color=shades[shade],
                    mfc=shades[shade] if kind == "vae" else "white",
                    label=f"{name}, VAE on {fraction:.0f}%",
                )  # fmt: skip
    for fraction in found.loc[found["kind"] == "label_flip", "fraction"].unique():
        series["label_flip", int(fraction)] = Line2D(
            [], [], ls="none", ms=6, marker="v", color=COLOURS[1], mfc="white",
            label="labels flipped (control)",
        )  # fmt: skip
    return series


def _draw_costs(
    ax: Axes, line: pd.DataFrame, rates: list[float], shift: float, how: Line2D
) -> None:
    x = np.array([rates.index(rate) for rate in line["rate"]]) + shift
    y, low, high = (line[name] for name in LOST)
    ax.vlines(x, low, high, color=how.get_color(), lw=1)
    ax.plot(x, y, ls="none", marker=how.get_marker(), ms=4.5, color=how.get_color(),
            mfc=how.get_markerfacecolor(), zorder=3)  # fmt: skip


@styled
def hardening(table: pd.DataFrame) -> Figure:
    """Draw the accuracy over the rounds of adversarial training, a panel per dataset and model.

    Parameters
    ----------
    table : pandas.DataFrame
        From `hardening_table.hardening_table`. Drawn is the largest k that was measured, and the t
        closest to 8/9; of several seeds the mean.
    """
    table = texts(table, "dataset", "model", "defence", "attack")
    table = table[table["accuracy"].notna()]
    datasets, models = (sorted(table[name].unique()) for name in ("dataset", "model"))
    drawn = grid(datasets, models, 2.8, "no model was hardened")
    if table.empty:
        return drawn.figure
    t = usual_t(table)
    table = table[table["t"].isna() | np.isclose(table["t"], t)]
    for (dataset, model), ax in drawn.panels.items():
        own = table[(table["dataset"] == dataset) & (table["model"] == model)]
        ax.set_title(f"{dataset}\n{model}")
        if own.empty:
            say(ax, "not hardened")
            continue
        k = own["k"].max()
        _draw_rounds(ax, own[own["k"].isin([0, k])])
        share_axis(ax, "accuracy" if model == models[0] else "")
        ax.set_xlabel(f"round (0: before)\nk = {k}\nn = {own['n'].max()} test samples")
    handles = [
        Line2D([], [], color=colour, ls="none", marker="o", ms=6, label=words,
               mfc=colour if filled else "white")
        for name, (words, colour, filled) in DEFENCES.items() if name in set(table["defence"])
    ]  # fmt: skip
    handles += [
        grey(words, dashes, marker)
        for name, (words, dashes, marker) in ATTACKS.items() if name in set(table["attack"])
    ]  # fmt: skip
    legend(drawn.figure, handles)
    return drawn.figure


def _draw_rounds(ax: Axes, own: pd.DataFrame) -> None:
    lines = [(defence, attack) for defence in DEFENCES for attack in ATTACKS]
    for shift, (defence, attack) in zip(dodges(len(lines), 0.4), lines, strict=True):
        rows = own[(own["defence"] == defence) & (own["attack"] == attack)]
        line = average(rows, ["round"], ACCURACY)
        _, colour, filled = DEFENCES[defence]
        _, dashes, marker = ATTACKS[attack]
        x = line["round"].to_numpy(dtype=float) + shift
        y, low, high = (line[name] for name in ACCURACY)
        ax.vlines(x, low, high, color=colour, lw=0.9)
        ax.plot(x, y, color=colour, ls=dashes, lw=1.3, marker=marker, ms=4.5, zorder=3,
                mfc=colour if filled else "white", clip_on=False)  # fmt: skip
    ax.set_xlim(-0.5, own["round"].max() + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
