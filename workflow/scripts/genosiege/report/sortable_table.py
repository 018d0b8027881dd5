"""A table as one HTML page that sorts by a click and asks nothing of the network."""

import html
import math
import os
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from genosiege import files
from genosiege.report import html_page

_STYLE = """div { overflow: auto; max-height: 85vh; border: 1px solid #ccc; }
table { border-collapse: collapse; white-space: nowrap; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; background: #eee; padding: 0; }
th button { all: unset; cursor: pointer; padding: .3rem .7rem; font-weight: 600; }
th button:focus-visible { outline: 2px solid #0072b2; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
tbody tr:nth-child(even) { background: #f7f7f7; }"""

_SORTING = """<script>
document.querySelectorAll("th button").forEach(function (button, column) {
  button.addEventListener("click", function () {
    var head = button.parentNode, body = document.querySelector("tbody");
    var up = head.getAttribute("aria-sort") !== "ascending";
    document.querySelectorAll("th").forEach(function (th) { th.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    function key(row) { return row.cells[column].dataset.value; }
    Array.from(body.rows).sort(function (a, b) {
      var x = key(a), y = key(b);
      if (x === "" || y === "") return (x === "") - (y === "");  // empty cells stay last
      var order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return up ? order : -order;
    }).forEach(function (row) { body.appendChild(row); });
  });
});
</script>"""

_NOTE = (
    "{n_rows} rows. A click on a column's name sorts by it. In brackets: intervals, 95 % unless "
    "the caption says otherwise. Rounded to four digits; the CSV file has all."
)


def render(table: pd.DataFrame, title: str) -> str:
    """Give the HTML page of a table.

    Parameters
    ----------
    table : pandas.DataFrame
        What to show, without its index; empty cells for missing values. A column `x` with
        `x_low` and `x_high` becomes one: 0.5 [0.4, 0.6].
    title : str
        Heading of the page.

    Returns
    -------
    str
        A whole page, without any reference to another file.
    """
    names = [str(name) for name in table.columns]
    rated = {name for name in names if {f"{name}_low", f"{name}_high"} <= set(names)}
    ends = {f"{name}_{end}" for name in rated for end in ("low", "high")}
    kept = [name for name in names if name not in ends]
    header = "".join(
        f'<th scope="col"><button type="button">{html.escape(name)}</button></th>' for name in kept
    )
    body = "\n".join(
        f"<tr>{''.join(_cell(row, name, name in rated) for name in kept)}</tr>"
        for row in table.to_dict("records")
    )
    content = (
        f'<div tabindex="0"><table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{body}\n</tbody>\n'
        f"</table></div>\n{_SORTING}"
    )
    return html_page.render(title, _NOTE.format(n_rows=len(table)), _STYLE, content)


def write(table: pd.DataFrame, title: str, path: str | os.PathLike[str]) -> None:
    """Write the HTML page of a table."""
    with files.whole(path) as temporary:
        temporary.write_text(render(table, title), encoding="utf-8")


def _cell(row: Mapping[Hashable, Any], name: str, rated: bool) -> str:
    value = row[name]
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return '<td data-value=""></td>'
    if isinstance(value, int | float):
        shown = _rounded(value)
        if rated:
            shown += f" [{_rounded(row[f'{name}_low'])}, {_rounded(row[f'{name}_high'])}]"
        return f'<td class="number" data-value="{value!r}">{shown}</td>'
    text = html.escape(str(value))
    return f'<td data-value="{text}">{text}</td>'


def _rounded(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    # Never 1.2e+04, which nobody compares at a glance; tiny values may be powers.
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
