"""The rows that detectors are given, and what is refused of them."""

import numpy as np
from numpy.typing import NDArray

from genosiege.errors import InputError

Values = NDArray[np.float32]
Labels = NDArray[np.int64]


def check_training(name: str, values: Values, labels: Labels) -> None:
    """Refuse training rows that are none, or have other labels than one each."""
    if values.ndim != 2 or not values.size or labels.shape != values.shape[:1]:
        raise InputError(
            f"detector {name}: training rows {values.shape}, labels {labels.shape}; give at least "
            "one row and one column, and a label for each row."
        )


def check_rows(name: str, values: Values, width: int | None) -> None:
    """Refuse rows of another width than the fitted one; None is not fitted."""
    if width is None:
        raise InputError(f"detector {name}: it is not fitted yet; fit it first.")
    if values.ndim != 2 or values.shape[1] != width:
        raise InputError(
            f"detector {name}: values of shape {values.shape}; give rows of {width} numbers, as "
            "it was fitted on."
        )
