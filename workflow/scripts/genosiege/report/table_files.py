"""The two forms in which the report shows a table: a CSV file and a page that sorts."""

from collections.abc import Collection, Mapping
from typing import Protocol

import pandas as pd

from genosiege import files
from genosiege.report import sortable_table


class Places(Protocol):
    """Where files go, by name: a mapping, or the outputs of a rule."""

    def __getitem__(self, name: str, /) -> str:
        """Give the path of one file."""


def write(
    tables: Mapping[str, pd.DataFrame], places: Places, without_page: Collection[str] = ()
) -> None:
    """Write each table as CSV file and as sortable page.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        By name. A table without rows keeps its header.
    places : mapping of str to str
        For each table the path of its CSV file by its name, and of its page by
        `{name}_page`.
    without_page : collection of str
        Tables that are too long for a page.
    """
    for name, table in tables.items():
        with files.whole(places[name]) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
        if name not in without_page:
            title = name.replace("_", " ").capitalize()
            sortable_table.write(table, title, places[f"{name}_page"])
