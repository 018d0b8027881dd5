"""The first page of the report: the five findings, and what was run."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from genosiege.report.findings import FINDINGS, Finding

MOST_ROWS = 6
"""Models told of under one finding; the table has all."""

CHANGES = ("hardening",)
"""Findings whose values are changes in percentage points."""


def render(
    findings: pd.DataFrame, described: Mapping[str, Sequence[Sequence[str]]], folder: str
) -> str:
    """Give the part of the first page that a run itself fills in.

    Parameters
    ----------
    findings : pandas.DataFrame
        From `findings.findings_table`.
    described : mapping of str to rows of strings
        What was run, by heading; of each table the first row is its header.
    folder : str
        The run's folder as the report names it, without a slash at its end.

    Returns
    -------
    str
        HTML to stand inside the page; links open the report's figures and tables.
    """
    parts = ["<h1>What came out</h1>"]
    for number, (name, finding) in enumerate(FINDINGS.items(), start=1):
        rows = findings[findings["finding"] == name]
        parts.append(f"<h2>{number}. {html.escape(finding.question)}</h2>")
        parts.append(_finding(rows, finding, folder, name in CHANGES))
    parts.append("<h1>What was run</h1>")
    parts += [_table(heading, rows) for heading, rows in described.items()]
    return "\n".join(parts) + "\n"


def link(path: str, text: str) -> str:
    """Make a link that opens a figure or a page of the report beside the front page."""
    content = "html" if path.endswith(".html") else "img"
    action = (
        f"app.setView({{content: '{content}', contentPath: results['{path}'].data_uri, "
        f"resultPath: '{path}'}}); return false"
    )
    return f'<a href="#" onclick="{html.escape(action)}">{html.escape(text)}</a>'


def _finding(rows: pd.DataFrame, finding: Finding, folder: str, is_change: bool) -> str:
    if rows.empty:
        return "<p>Not asked in this run.</p>"
    shown = _change if is_change else _share
    told = [
        [
            str(row["subject"]),
            _interval(row, "value", shown),
            _interval(row, "reference", shown),
            _count(row["n"]),
            "" if pd.isna(row["remark"]) else str(row["remark"]),
        ]
        for row in rows.head(MOST_ROWS).to_dict("records")
    ]
    header = ["", *_headers(rows), "n", ""]
    more = f" {len(rows) - MOST_ROWS} more in the table." if len(rows) > MOST_ROWS else ""
    table = finding.tables[0]
    return (
        f"<p>{html.escape(finding.answer)}{more} "
        f"{link(f'{folder}/figures/{finding.figure}.svg', 'Figure')} · "
        f"{link(f'{folder}/tables/{table}.html', 'Table')}</p>"
        + _table("", [header, *told], numbers=(1, 2, 3))
    )


def _headers(rows: pd.DataFrame) -> list[str]:
    """Head two columns with their measure; where models differ in it, with the common part."""
    return [_common(rows[name].astype(str)) for name in ("measure", "reference_measure")]


def _common(names: "pd.Series[str]") -> str:
    if names.nunique() == 1:
        return str(names.iloc[0])
    return " / ".join(dict.fromkeys(names))


def _interval(row: Mapping[Any, Any], name: str, shown: Any) -> str:
    if pd.isna(row[name]):
        return "–"
    ends = (row[f"{name}_low"], row[f"{name}_high"])
    if any(pd.isna(end) for end in ends):
        return str(shown(row[name]))
    return f"{shown(row[name])} [{shown(ends[0])}, {shown(ends[1])}]"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _change(value: float) -> str:
    # What rounds to nothing has no sign.
    points = round(100 * value, 1) + 0.0
    return f"{points:+.1f}".replace("-", "−") if points else "0.0"


def _count(value: float) -> str:
    return "" if value is None or math.isnan(value) else f"{int(value):,}"


def _table(heading: str, rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    head, *body = rows

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=number' if place in numbers else ''}>{html.escape(cell)}</{tag}>"
            for place, cell in enumerate(row)
        )

    lines = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in body)
    title = f"<h2>{html.escape(heading)}</h2>\n" if heading else ""
    return (
        f'{title}<div class="wide"><table>\n<thead><tr>{cells(head, "th")}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody></table></div>"
    )
