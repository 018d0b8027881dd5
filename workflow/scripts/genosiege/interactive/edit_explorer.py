"""The edit explorer: every attacked sequence a point; a click shows what was edited in it."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from genosiege.figures.style import looks
from genosiege.interactive import page
from genosiege.sequence.results import AttackResult

MOST_RUNS = 200
"""Runs of one attack on one model that a page holds; more would slow the browser."""

LINE, CELL = 50, 11
"""Letters in a line of the sequence, and the width of one in pixels."""

NOTE = (
    "Each point is one attacked sequence of the first model seed. Click a point to see its "
    "sequence below, with the edits in colour under the letters they replace; hover for the "
    f"numbers; click a name in the legend to see one attack alone. At most {MOST_RUNS} runs per "
    "attack and model are kept, the first by id; the table of the attack has all."
)

_KEPT = [
    "id", "label", "n_edits", "edits", "p_true_before", "p_true_after", "n_queries_unique",
    "original", "adversarial",
]  # fmt: skip


def points(results: Sequence[AttackResult]) -> pd.DataFrame:
    """Take the runs that the page shows, one row each.

    Parameters
    ----------
    results : sequence of AttackResult
        Attack tables; of several model seeds the first is taken.

    Returns
    -------
    pandas.DataFrame
        `model`, `attack`, `outcome`, `key` (a number of its own) and columns of the attack
        table.
    """
    seeds = [result.seed for result in results]
    parts = [
        _runs(result).assign(model=f"{result.task} · {result.encoder}", attack=result.attack)
        for result in results
        if result.seed == min(seeds)
    ]
    if not any(len(part) for part in parts):
        return pd.DataFrame(columns=["key", "model", "attack", "outcome", *_KEPT])
    found = pd.concat(parts).sort_values(["model", "attack"], kind="stable")
    return found.assign(key=range(len(found))).reset_index(drop=True)


def chart(results: Sequence[AttackResult], attacks: Sequence[str]) -> alt.TopLevelMixin:
    """Make the chart of the edit explorer.

    Parameters
    ----------
    results : sequence of AttackResult
        Attack tables.
    attacks : sequence of str
        All attacks of the run, for the colours that they have in all figures.
    """
    rows = points(results)
    if rows.empty:
        return page.empty("no sequence was attacked")
    models = sorted(rows["model"].unique())
    model = alt.selection_point(
        name="model", fields=["model"], value=models[0],
        bind=alt.binding_select(options=models, name="model"),
    )  # fmt: skip
    shown = alt.selection_point(name="shown", fields=["attack"], bind="legend")
    first = rows[rows["outcome"] == "flipped"]["key"]
    start = int(first.iloc[0]) if len(first) else 0
    pick = alt.selection_point(name="pick", fields=["key"], value=[{"key": start}], empty=False)
    base = alt.Chart(page.data(rows.round(4)))
    return page.finished(
        alt.vconcat(
            _scatter(base, attacks, model, shown, pick),
            _heading(base, pick),
            _sequence(base, pick),
            spacing=6,
        )
    )


def _runs(result: AttackResult) -> pd.DataFrame:
    rows = result.attacked
    rows = rows[rows["attack_seed"] == rows["attack_seed"].min()].sort_values("id").head(MOST_RUNS)
    outcome = rows["success_flip"].map({True: "flipped", False: "not flipped"})
    kept: pd.DataFrame = rows[_KEPT].assign(outcome=outcome)
    return kept


def _scatter(
    base: alt.Chart,
    attacks: Sequence[str],
    model: alt.Parameter,
    shown: alt.Parameter,
    pick: alt.Parameter,
) -> alt.Chart:
    look = looks(attacks)
    colour = alt.Scale(domain=[*look], range=[how.colour for how in look.values()])
    points: alt.Chart = (
        base.mark_point(filled=True, size=60, stroke="black")
        .encode(
            x=alt.X("spread:Q", title="edits", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("p_true_after:Q", title="P(true class) after", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("attack:N", scale=colour),
            shape=alt.Shape("attack:N", scale=page.shapes(look)),
            opacity=alt.when(shown).then(alt.value(0.8)).otherwise(alt.value(0.06)),
            strokeWidth=alt.when(pick).then(alt.value(2.5)).otherwise(alt.value(0)),
            size=alt.when(pick).then(alt.value(160)).otherwise(alt.value(60)),
            tooltip=[
                alt.Tooltip("attack:N"),
                alt.Tooltip("id:N", title="sequence"),
                alt.Tooltip("label:O", title="class"),
                alt.Tooltip("outcome:N"),
                alt.Tooltip("n_edits:Q", title="edits"),
                alt.Tooltip("edits:N", title="which"),
                alt.Tooltip("p_true_before:Q", title="P before", format=".3f"),
                alt.Tooltip("p_true_after:Q", title="P after", format=".3f"),
                alt.Tooltip("n_queries_unique:Q", title="queries", format=","),
            ],
        )
        .add_params(model, shown, pick)
        .transform_filter(model)
        # Equal numbers of edits would hide each other: a spread that is the same each time.
        .transform_calculate(spread="datum.n_edits + (datum.key * 0.6180339887 % 1 - 0.5) / 2")
        .properties(width=LINE * CELL, height=260)
    )
    return points


def _heading(base: alt.Chart, pick: alt.Parameter) -> alt.Chart:
    """Say which adversary is picked."""
    said = (
        "datum.model + ' · ' + datum.attack + ' · ' + datum.id + ', class ' + datum.label"
        " + ' · P(true class) ' + format(datum.p_true_before, '.3f') + ' → '"
        " + format(datum.p_true_after, '.3f') + ', ' + datum.n_edits"
        " + (datum.n_edits === 1 ? ' edit' : ' edits')"
    )
    heading: alt.Chart = (
        base.transform_filter(pick)
        .transform_calculate(said=said)
        .mark_text(align="left", fontSize=12, fontWeight="bold", color="#1a1a1a")
        .encode(text="said:N", x=alt.value(0))
        .properties(width=LINE * CELL, height=22)
    )
    return heading


def _sequence(base: alt.Chart, pick: alt.Parameter) -> alt.LayerChart | alt.FacetChart:
    """Write the picked sequence in lines, its edits under the letters that they replace."""
    letters = (
        base.transform_filter(pick)
        .transform_calculate(old="split(datum.original, '')", new="split(datum.adversarial, '')")
        .transform_flatten(["old", "new"])
        .transform_window(number="row_number()")
        .transform_calculate(
            position="datum.number - 1",
            column=f"(datum.number - 1) % {LINE}",
            line=f"floor((datum.number - 1) / {LINE}) * {LINE}",
            edited="datum.old !== datum.new",
        )
        .encode(
            x=alt.X("column:O", axis=None),
            y=alt.Y("line:O", title="0-based position", axis=alt.Axis(ticks=False, domain=False)),
            tooltip=[
                alt.Tooltip("position:Q", title="position"),
                alt.Tooltip("old:N", title="original"),
                alt.Tooltip("new:N", title="adversary"),
            ],
        )
    )
    edited = letters.transform_filter("datum.edited")
    return alt.layer(
        letters.mark_text(font="monospace", fontSize=12, dy=-7, color="#333").encode(text="old:N"),
        edited.mark_rect(color="#ffd9b3", opacity=0.7),
        edited.mark_text(
            font="monospace", fontSize=13, dy=8, color="#8a2f00", fontWeight="bold"
        ).encode(text="new:N"),
    ).properties(width=LINE * CELL, height=alt.Step(34))
