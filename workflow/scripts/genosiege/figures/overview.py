"""All attacks on all models at one glance."""

import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.figure import Figure

from genosiege.figures.style import ink_on, over_seeds, panels, styled

WORST = "worst_case"
COLOURS = "cividis"


@styled
def robust_accuracy(curve: pd.DataFrame, worst_case: pd.DataFrame) -> Figure:
    """Draw robust accuracy at the largest budget, a row per model, a column per attack.

    Parameters
    ----------
    curve : pandas.DataFrame
        From `summaries.robust_accuracy_table`.
    worst_case : pandas.DataFrame
        From `worst_case.worst_case_table`.
    """
    shown = _at_most_edits(curve, worst_case)
    if shown.empty:
        return panels(0, 0, 0, empty="no attack was run")[0]
    figure = Figure(figsize=(3.6 + 0.95 * shown.shape[1], 1.3 + 0.42 * len(shown)))
    figure.set_layout_engine("constrained")
    ax = figure.subplots()
    # Dark is broken: what little is left of a model's accuracy.
    sns.heatmap(
        100 * shown, vmin=0, vmax=100, cmap=COLOURS, annot=True, fmt=".1f", linewidths=1.5,
        linecolor="white", ax=ax, annot_kws={"fontsize": 9},
        cbar_kws={"label": "robust accuracy (%)", "shrink": 0.9},
    )  # fmt: skip
    # As in the other matrices: seaborn's own choice falls below a contrast of 4.5 between the two.
    for text, value in zip(ax.texts, shown.to_numpy()[shown.notna().to_numpy()], strict=True):
        text.set_color(ink_on(colormaps[COLOURS](value)))
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0)
    ax.set_xticklabels(ax.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
    ax.set_yticklabels(ax.get_yticklabels(), rotation=0)
    return figure


def _at_most_edits(curve: pd.DataFrame, worst_case: pd.DataFrame) -> pd.DataFrame:
    """Arrange the values: without an attack, under each attack, in the worst case."""
    worst = worst_case[worst_case["attack"] == WORST]
    both = pd.concat([table for table in (curve, worst) if len(table)] or [curve])
    both = both[both["stage"] == "baseline"]
    if both.empty:
        return pd.DataFrame()
    keys = ["task", "encoder", "attack", "edit_budget"]
    mean = over_seeds(both, keys, ["robust_accuracy"])
    mean["model"] = mean["task"] + " · " + mean["encoder"]
    last = mean.groupby(["model", "attack"])["robust_accuracy"].last().unstack("attack")
    clean = mean[mean["edit_budget"] == 0].groupby("model")["robust_accuracy"].first()
    last.insert(0, "no attack", clean)
    order = sorted(name for name in last.columns if name not in ("no attack", WORST))
    end = [WORST] if WORST in last else []
    return last[["no attack", *order, *end]].rename(columns={WORST: "worst case"})
