"""Render docs/results.md and the README's blocks of results from the tables beside this file."""

import csv
import math
import re
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

BLOCKS = ("demo", "results", "speed")
"""Parts of the README between <!-- name --> and <!-- /name -->, from readme_{name}.md.j2."""


class ResultError(Exception):
    """A template asks for what the tables do not say, or not only once."""


class Results:
    """The tables `docs/results/{run}/{table}.csv`, and the settings of the runs, under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read = cache(self._table)
        self._yaml = cache(lambda path: yaml.safe_load((root / path).read_text(encoding="utf-8")))

    def _table(self, run: str, table: str) -> list[dict[str, str]]:
        with (self.root / f"docs/results/{run}/{table}.csv").open(encoding="utf-8") as lines:
            return list(csv.DictReader(lines))

    def has(self, run: str, table: str, column: str | None = None) -> bool:
        """Tell whether a table is kept, with at least one row and the column."""
        kept = (self.root / f"docs/results/{run}/{table}.csv").exists()
        return kept and any(column in (None, *row) for row in self._read(run, table)[:1])

    def rows(self, run: str, table: str, least: int = 1, **where: Any) -> list[dict[str, str]]:
        """Give the rows whose cells are as asked for (a list: any of it), at least so many."""
        found = self._read(run, table)
        if unknown := [name for name in where if found and name not in found[0]]:
            raise ResultError(f"{run}/{table}.csv: no column {', '.join(unknown)}.")
        chosen = [row for row in found if all(_is(row[name], where[name]) for name in where)]
        if len(chosen) < least:
            raise ResultError(f"{run}/{table}.csv: no row with {where}.")
        return chosen

    def count(self, run: str, table: str, **where: Any) -> int:
        """Count these rows; none is an answer."""
        return len(self.rows(run, table, 0, **where))

    def row(self, run: str, table: str, **where: Any) -> dict[str, str]:
        """Give the only row whose cells are as asked for."""
        if len(found := self.rows(run, table, **where)) > 1:
            raise ResultError(f"{run}/{table}.csv: {len(found)} rows with {where}, not one.")
        return found[0]

    def value(self, run: str, table: str, column: str, **where: Any) -> str:
        """Give one cell of this row."""
        return _cell(self.row(run, table, **where), column)

    def rate(self, run: str, table: str, column: str, **where: Any) -> str:
        """Format a value of this row with its interval."""
        return interval(self.row(run, table, **where), column)

    def numbers(self, run: str, table: str, column: str, **where: Any) -> list[float]:
        """Give a column's numbers in these rows; empty cells are left out."""
        cells = (_cell(row, column) for row in self.rows(run, table, **where))
        return [float(cell) for cell in cells if cell]

    def setting(self, run: str, path: str) -> Any:
        """Give a setting of an experiment: its overlay over config.yaml, keys joined by `/`."""
        files = ("config/config.yaml", f"config/results/{run}.yaml")
        found: Any = merged(*map(self._yaml, files))
        for key in path.split("/"):
            if not isinstance(found, dict) or key not in found:
                raise ResultError(f"config/results/{run}.yaml: there is no setting {path}.")
            found = found[key]
        return found


def merged(base: Any, overlay: Any) -> Any:
    """Lay settings over others: mappings are merged, all else is replaced."""
    if not isinstance(base, dict) or not isinstance(overlay, dict):
        return overlay
    return base | {key: merged(base.get(key), value) for key, value in overlay.items()}


def _is(cell: str, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_is(cell, one) for one in wanted)
    try:  # a number may have lost its last digits on its way through a file
        return cell == wanted or math.isclose(float(cell), wanted, abs_tol=1e-9, rel_tol=1e-6)
    except (TypeError, ValueError):
        return False


def _cell(row: dict[str, str], column: str) -> str:
    if column not in row:
        raise ResultError(f"No column {column} among {', '.join(row)}.")
    return row[column]


def number(cell: Any, digits: int = 3, scale: float = 1, sign: str = "-") -> str:
    """Format a number with so many decimals; `sign="+"` shows the sign of gains, too.

    A median of counts may be infinite: more than was tried.
    """
    if cell not in ("", None) and math.isinf(float(cell)):
        return "more than tried"
    text = "–" if cell in ("", None) else f"{scale * float(cell):{sign},.{digits}f}"
    return text.replace("-", "−") if text.strip("+-0.") else text.lstrip("+-")


def interval(row: dict[str, str], column: str, **form: Any) -> str:
    """Format a row's value as `value [low, high]`, without brackets where no interval is known."""
    value, low, high = (_cell(row, column + end) for end in ("", "_low", "_high"))
    around = f" [{number(low, **form)}, {number(high, **form)}]" if low and high else ""
    return number(value, **form) + around


def claim(sentence: str, *conditions: bool) -> str:
    """Give a sentence that holds only under conditions; an error where one does not."""
    if all(conditions):
        return sentence
    raise ResultError(f"The tables no longer say: {sentence}")


def render(root: Path, template: str) -> str:
    """Render a template of `docs`."""
    results = Results(root)
    options = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    jinja = jinja2.Environment(undefined=jinja2.StrictUndefined, **options)  # type: ignore[arg-type]
    jinja.globals |= {name: getattr(results, name) for name in dir(results) if name[0] != "_"}
    jinja.globals |= {"interval": interval, "claim": claim}
    jinja.filters |= {"number": number, "whole": lambda value: number(value, digits=0)}
    jinja.filters |= {"p": lambda value: f"{float(value):.2g}" if value else "–"}
    jinja.filters |= {"figure": lambda value: f"{float(value):,g}" if value else "–"}
    jinja.filters |= {"share": lambda value: f"{float(value):.1%}" if value else "–"}
    jinja.filters |= {"fraction": lambda value: str(Fraction(value).limit_denominator(100))}
    return jinja.from_string((root / "docs" / template).read_text(encoding="utf-8")).render()


def readme(root: Path) -> str:
    """Give the README with its blocks rendered."""
    text = (root / "README.md").read_text(encoding="utf-8")
    for name in BLOCKS:
        block = render(root, f"readme_{name}.md.j2")
        place = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
        # A function, so that nothing of the block is taken for a reference to a group.
        text, n = place.subn(lambda _, block=block: block, text)
        if n != 1:
            raise ResultError(f"README.md needs one line <!-- {name} --> and one <!-- /{name} -->.")
    return text


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1]
    (here / "docs/results.md").write_text(render(here, "results.md.j2"), encoding="utf-8")
    (here / "README.md").write_text(readme(here), encoding="utf-8")
