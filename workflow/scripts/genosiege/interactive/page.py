"""A Vega-Lite chart as one HTML page that draws without a network."""

import json
import os
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

Chart = TypeVar("Chart", bound=alt.TopLevelMixin)


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
