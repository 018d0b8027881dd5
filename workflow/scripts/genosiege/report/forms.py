"""How numbers stand on the front page: shares, changes and counts, with their intervals."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

Form = Callable[[float], str]


def share(value: float) -> str:
    """Give a share in per cent."""
    return f"{100 * value:.1f} %"


def change(value: float) -> str:
    """Give a change of a share in percentage points, with its sign."""
    # What rounds to nothing has no sign.
    points = round(100 * value, 1) + 0.0
    return f"{points:+.1f}".replace("-", "−") if points else "0.0"


def count(value: float) -> str:
    """Give a count, which may be a median of counts; inf is more than was tried."""
    return f"{value:,.1f}".removesuffix(".0") if math.isfinite(value) else "more than tried"


def interval(row: "Mapping[Any, Any] | pd.Series[Any]", name: str, form: Form) -> str:
    """Give a value with the interval in `{name}_low` and `{name}_high`, as far as there are."""
    if pd.isna(row[name]):
        return "–"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    # Above a lower end of inf there is nothing to say.
    known = not pd.isna(low) and not pd.isna(high) and math.isfinite(low)
    return form(row[name]) + (f" [{form(low)}, {form(high)}]" if known else "")
