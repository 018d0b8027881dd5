"""The first page of the report: the findings, what stands against them, what was run."""

import html
from collections.abc import Mapping, Sequence

import pandas as pd

from genosiege.input_checks import PHRASES
from genosiege.report import forms
from genosiege.report.about_data import AboutData
from genosiege.report.findings import FINDINGS, Finding

MOST_ROWS = 6
"""Models told of under one finding; the table has all."""

SIGNS = {
    "black_box_beats_white_box": "a black box beats the gradient attack",
    "random_beats_genetic": "edits without a direction beat a directed search",
    "random_flips_more": "edits without a direction flip more, perhaps by chance",
    "saturated_confidence": "the confidence is saturated",
    "flips_lost": "flips were lost in full precision",
    "nothing_tried": "an attack tried nothing in some runs",
    "budget_exhausted": "runs ended at their limit",
    **PHRASES,
}
"""What the kinds of warning signs are called here."""


def render(
    findings: pd.DataFrame,
    described: Mapping[str, Sequence[Sequence[str]]],
    folder: str,
    warnings: pd.DataFrame | None = None,
    data: AboutData | None = None,
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
    warnings : pandas.DataFrame, optional
        The run's table of warning signs, where one is made.
    data : AboutData, optional
        From `about_data.about_data`.

    Returns
    -------
    str
        HTML to stand inside the page; links open the report's figures and tables.
    """
    parts = ["<h1>What came out</h1>"]
    if warnings is not None:
        parts.append(_warnings(warnings, folder))
    for number, (name, finding) in enumerate(FINDINGS.items(), start=1):
        rows = findings[findings["finding"] == name]
        parts.append(f"<h2>{number}. {html.escape(finding.question)}</h2>")
        parts.append(_finding(rows, finding, folder))
    if data is not None:
        parts += _about_data(data, folder)
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


def _table_link(folder: str, table: str, text: str = "Table") -> str:
    return link(f"{folder}/tables/{table}.html", text)


def _warnings(warnings: pd.DataFrame, folder: str) -> str:
    n = len(warnings)
    if not n:
        return f"<p>{_table_link(folder, 'warnings', 'No warning sign')}.</p>"
    counts = warnings["warning"].value_counts(sort=False)
    kinds = "; ".join(
        f"{SIGNS.get(str(kind), str(kind))} ({count})" for kind, count in counts.items()
    )
    text = f"{n} warning sign{'s' if n > 1 else ''}"
    return f"<p>{_table_link(folder, 'warnings', text)}: {html.escape(kinds)}.</p>"


def _finding(rows: pd.DataFrame, finding: Finding, folder: str) -> str:
    if rows.empty:
        return "<p>Not asked in this run.</p>"
    header = ["", *(_common(rows[name]) for name in ("measure", "reference_measure")), "n"]
    body = []
    for row in rows.head(MOST_ROWS).to_dict("records"):
        cells = [
            str(row["subject"]),
            *(forms.interval(row, name, finding.form) for name in ("value", "reference")),
            _count(row["n"]),
        ]
        body.append(_row(cells, header, numbers=(1, 2, 3)))
        if not pd.isna(row["remark"]) and row["remark"]:
            remark = html.escape(str(row["remark"]))
            body.append(f'<tr class="remark"><td colspan="{len(header)}">{remark}</td></tr>')
    more = f" {len(rows) - MOST_ROWS} more in the table." if len(rows) > MOST_ROWS else ""
    shown = [_table_link(folder, finding.table)]
    if finding.figure:
        shown.insert(0, link(f"{folder}/figures/{finding.figure}.svg", "Figure"))
    told = f"<p>{html.escape(finding.answer)}{more} {' · '.join(shown)}</p>"
    return told + _framed(header, body)


def _common(names: "pd.Series[str]") -> str:
    """Head a column with its measure; where models differ in it, with all."""
    return " / ".join(dict.fromkeys(names.astype(str)))


def _count(value: float) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"


def _about_data(data: AboutData, folder: str) -> list[str]:
    """Say what the data mean for the findings; nothing where there is nothing to say."""
    if not data.sentences and not data.accuracy:
        return []
    parts = ["<h1>About the data</h1>"]
    table = _table_link(folder, "data")
    parts += [f"<p>{html.escape(sentence)} {table}</p>" for sentence in data.sentences]
    if data.accuracy:
        parts.append(
            "<p>Accuracy on test sequences with and without a relative in train, by their true "
            f"class. {_table_link(folder, 'by_class')}</p>"
        )
        header, *rows = data.accuracy
        parts.append(_framed(header, [_row(row, header, (2, 3, 4, 5)) for row in rows]))
    return parts


def _table(heading: str, rows: Sequence[Sequence[str]]) -> str:
    header, *body = rows
    table = _framed(header, [_row(row, header) for row in body])
    return f"<h2>{html.escape(heading)}</h2>\n{table}"


def _framed(header: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    lines = "\n".join(rows)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody></table></div>"
    )


def _row(cells: Sequence[str], header: Sequence[str], numbers: Sequence[int] = ()) -> str:
    """Write a row; on a phone each number stands under its heading."""
    written = ""
    for place, (cell, heading) in enumerate(zip(cells, header, strict=True)):
        label = f' class="number" data-label="{html.escape(heading)}"' if place in numbers else ""
        written += f"<td{label}>{html.escape(cell)}</td>"
    return f"<tr>{written}</tr>"
