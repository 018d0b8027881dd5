"""Curves to look closer at: robust accuracy over edits, and the rounds of hardening."""

import altair as alt
import pandas as pd

from genosiege.figures.style import BLACK, looks
from genosiege.interactive import page

ROBUSTNESS_NOTE = (
    "Share of the attacked test sample that a model classifies correctly and that the attack does "
    "not flip with at most so many edits; the band is a Wilson 95 % interval. Hover over a point "
    "for its numbers; click a name in the legend to bring one curve forward."
)
ROUNDS_NOTE = (
    "Round 0 is the baseline. Choose what is drawn; bands are 95 % intervals. Hover over a point "
    "for its numbers; click a name in the legend to bring one defence forward."
)
WORST = "worst case"

MEASURES = {
    "robust_accuracy": "robust accuracy, fresh attack",
    "accuracy": "clean accuracy",
    "flip_rate": "flip rate, fresh attack",
    "replay_flip_rate": "flip rate, the baseline's adversaries",
}
WIDTH, HEIGHT = 520, 320


def robustness(curve: pd.DataFrame, worst_case: pd.DataFrame) -> alt.TopLevelMixin:
    """Chart robust accuracy over the edit budget.

    Parameters
    ----------
    curve : pandas.DataFrame
        The table `robust_accuracy`.
    worst_case : pandas.DataFrame
        The table `worst_case`; its worst case is drawn in black.
    """
    worst = worst_case[worst_case["attack"] == "worst_case"].assign(attack=WORST)
    wanted = ["task", "encoder", "stage", "seed", "attack", "edit_budget", "n_sequences"]
    rate = ["robust_accuracy", "robust_accuracy_low", "robust_accuracy_high"]
    tables = [table[wanted + rate] for table in (curve, worst) if len(table)]
    if not tables:
        return page.empty("no attack was run")
    rows = pd.concat(tables, ignore_index=True)
    rows = rows[rows["stage"] == "baseline"]
    rows = rows.rename(columns=dict(zip(rate, ("value", "low", "high"), strict=True)))
    rows["model"] = _models(rows)
    look = looks(rows["attack"][rows["attack"] != WORST])
    colours = {WORST: BLACK} | {name: how.colour for name, how in look.items()}
    return _chart(
        rows.drop(columns=["task", "encoder", "seed", "stage"]),
        x="edit_budget", x_title="edit budget (replaced letters)",
        y="robust accuracy", group="attack", colours=colours,
    )  # fmt: skip


def rounds(hardening: pd.DataFrame) -> alt.TopLevelMixin:
    """Chart what each round of each defence changed.

    Parameters
    ----------
    hardening : pandas.DataFrame
        The table `hardening`.
    """
    if hardening.empty:
        return page.empty("no defence was run")
    place = ["task", "encoder", "seed", "defence", "round", "n_sequences", "n_test"]
    parts = [
        hardening[place].assign(
            measure=title,
            n=hardening["n_test" if name == "accuracy" else "n_sequences"],
            value=hardening[name],
            low=hardening[f"{name}_low"],
            high=hardening[f"{name}_high"],
        )
        for name, title in MEASURES.items()
        if name in hardening
    ]
    rows = pd.concat(parts, ignore_index=True).dropna(subset="value")
    rows["model"] = _models(rows)
    colours = {name: how.colour for name, how in looks(rows["defence"]).items()}
    rows = rows.drop(columns=["task", "encoder", "seed", "n_test"])
    return _chart(
        rows.drop(columns="n_sequences").rename(columns={"n": "n_sequences"}),
        x="round", x_title="round",
        y="share", group="defence", colours=colours, measures=[*MEASURES.values()],
    )  # fmt: skip


def _models(rows: pd.DataFrame) -> "pd.Series[str]":
    seed = ("seed " + rows["seed"].astype(str)).replace("seed all", "all seeds")
    return rows["task"] + " · " + rows["encoder"] + " · " + seed


def _chart(
    rows: pd.DataFrame,
    *,
    x: str,
    x_title: str,
    y: str,
    group: str,
    colours: dict[str, str],
    measures: list[str] | None = None,
) -> alt.TopLevelMixin:
    """Lay lines with points over their bands, with a choice of model and of measure."""
    models = sorted(rows["model"].unique())
    # Both are counts: no mark stands between two of them.
    places = sorted({int(place) for place in rows[x]})
    chosen = [_choice("model", models)] + ([_choice("measure", measures)] if measures else [])
    shown = alt.selection_point(name="shown", fields=[group], bind="legend")
    colour = alt.Color(
        f"{group}:N", scale=alt.Scale(domain=[*colours], range=[*colours.values()]), title=group
    )
    base = alt.Chart(page.data(rows)).encode(
        x=alt.X(f"{x}:Q", title=x_title, axis=alt.Axis(values=places, format="d")), color=colour
    )
    for choice in chosen:
        base = base.transform_filter(choice)
    share = alt.Axis(format="%")
    band = base.mark_area(opacity=0.13).encode(
        y=alt.Y("low:Q", title=y, scale=alt.Scale(domain=[0, 1]), axis=share),
        y2="high:Q",
        opacity=alt.when(shown).then(alt.value(0.13)).otherwise(alt.value(0.02)),
    )
    line = base.mark_line(strokeWidth=2).encode(
        y=alt.Y("value:Q", title=y, axis=share),
        strokeDash=alt.StrokeDash(f"{group}:N", scale=page.dashes(colours)),
        opacity=alt.when(shown).then(alt.value(1)).otherwise(alt.value(0.15)),
    )
    point = base.mark_point(filled=True, size=55).encode(
        y="value:Q",
        shape=alt.Shape(f"{group}:N", scale=page.shapes(colours)),
        opacity=alt.when(shown).then(alt.value(1)).otherwise(alt.value(0.15)),
        tooltip=[
            alt.Tooltip(f"{group}:N"),
            alt.Tooltip(f"{x}:Q", title=x_title),
            alt.Tooltip("value:Q", title=y, format=".4f"),
            alt.Tooltip("low:Q", title="low", format=".4f"),
            alt.Tooltip("high:Q", title="high", format=".4f"),
            alt.Tooltip("n_sequences:Q", title="n", format=","),
        ],
    )
    layered = alt.layer(band, line, point).add_params(shown, *chosen)
    return page.finished(layered.properties(width=WIDTH, height=HEIGHT))


def _choice(field: str, options: list[str]) -> alt.Parameter:
    return alt.selection_point(
        name=field, fields=[field], value=options[0],
        bind=alt.binding_select(options=options, name=field),
    )  # fmt: skip
