"""A Vega-Lite chart as one HTML page that draws without a network."""

import json
import os
from collections.abc import Iterable
from itertools import cycle
from typing import Any, TypeVar, cast

import altair as alt
import pandas as pd
import vl_convert

from genosiege import files
from genosiege.report import html_page

_STYLE = """p { max-width: 46rem; }
#chart { overflow-x: auto; }
/* Choices stand above what they choose. */
#chart.vega-embed, #chart .chart-wrapper { display: flex; flex-direction: column; }
.vega-bindings { order: -1; }
.vega-bind { margin: .2rem 0; }
.vega-bind-name { display: inline-block; min-width: 7em; }
select { font: inherit; }"""

_CHART = """<div id="chart"></div>
<script type="module">
{library}
</script>
<script type="module">
window.vegaEmbed("#chart", {specification}, {{renderer: "svg",
  actions: {{export: true, source: false, compiled: false, editor: false}}}});
</script>"""

FONT = "system-ui, sans-serif"

# Vega-Lite's own in its order, which are eight and five, and others: twelve attacks and the worst
# case. Paths lie in a square from -1 to 1.
_SHAPES = (
    "circle", "square", "cross", "diamond", "triangle-up", "triangle-down", "triangle-right",
    "triangle-left",
    "M.5,-.87L1,0L.5,.87L-.5,.87L-1,0L-.5,-.87Z",
    "M0,-1L.23,-.31L.95,-.31L.36,.12L.59,.81L0,.38L-.59,.81L-.36,.12L-.95,-.31L-.23,-.31Z",
    "M0,-1L.95,-.31L.59,.81L-.59,.81L-.95,-.31Z",
    "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z",
    "M0,-1L.4,0L0,1L-.4,0Z",
)  # fmt: skip
_DASHES = (
    (1, 0), (4, 2), (2, 1), (1, 1), (1, 2, 4, 2), (8, 2), (6, 2, 1, 2, 1, 2), (1, 4), (8, 2, 2, 2),
    (6, 6), (12, 3), (10, 2, 1, 2), (3, 6),
)  # fmt: skip

Chart = TypeVar("Chart", bound=alt.TopLevelMixin)


def shapes(names: Iterable[str]) -> alt.Scale:
    """Give each of up to thirteen names a marker of its own."""
    domain = [*names]
    return alt.Scale(domain=domain, range=[shape for shape, _ in zip(cycle(_SHAPES), domain)])


def dashes(names: Iterable[str]) -> alt.Scale:
    """Give each of up to thirteen names dashes of its own."""
    domain = [*names]
    return alt.Scale(domain=domain, range=[[*dash] for dash, _ in zip(cycle(_DASHES), domain)])


def write(chart: alt.TopLevelMixin, title: str, note: str, path: str | os.PathLike[str]) -> None:
    """Write a chart as a page of its own.

    Parameters
    ----------
    chart : altair chart
        Its data are kept inside the page.
    title, note : str
        Heading, and how to read and to use the chart.
    path : str
        Where the page goes.
    """
    specification = json.dumps(chart.to_dict(), sort_keys=True, allow_nan=False)
    library = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=_supported_version()
    )
    content = _CHART.format(
        library=library,
        # Inside a script, the end of a tag would end the script.
        specification=specification.replace("</", "<\\/"),
    )
    with files.whole(path) as temporary:
        temporary.write_text(html_page.render(title, note, _STYLE, content), encoding="utf-8")


def data(rows: pd.DataFrame) -> alt.InlineData:
    """Take a table into a chart, what is missing as null; equal tables give equal bytes."""
    whole = rows.astype(object).where(rows.notna(), None)
    return alt.InlineData(values=cast(Any, whole.to_dict("records")))


def empty(why: str) -> alt.Chart:
    """Say in a chart why there is nothing to draw."""
    said = alt.Chart(data(pd.DataFrame({"why": [why]}))).mark_text(fontSize=13, color="#555")
    blank: alt.Chart = said.encode(text="why:N").properties(width=460, height=80)
    return finished(blank)


def finished(chart: Chart) -> Chart:
    """Give a chart the house style: plain fonts, dark text, no frame."""
    styled: Chart = chart.configure(
        font=FONT,
        axis=alt.AxisConfig(labelFontSize=12, titleFontSize=12, labelColor="#1a1a1a",
                            titleColor="#1a1a1a", titleFontWeight="normal", gridColor="#e6e6e6"),
        legend=alt.LegendConfig(labelFontSize=12, titleFontSize=12, labelLimit=320,
                                symbolOpacity=1),
        view=alt.ViewConfig(stroke=None),
    )  # fmt: skip
    return styled


def _supported_version() -> str:
    """Give the newest Vega-Lite that vl-convert has of the generation that altair writes."""
    generation = alt.SCHEMA_VERSION.lstrip("v").split(".")[0]
    known = [v for v in vl_convert.get_vegalite_versions() if v.split(".")[0] == generation]
    return max(known, key=lambda version: tuple(map(int, version.split("."))))
