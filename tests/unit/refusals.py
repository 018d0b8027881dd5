"""How tests look at what a user is told of a mistake."""

from collections.abc import Callable
from typing import Any

import pytest

from genosiege.errors import InputError


def refusal(function: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """Call, expect an `InputError` of one line, and give that line."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message
