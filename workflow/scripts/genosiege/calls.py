"""Which call of the workflow a job belongs to, and whether a later call has begun since.

A killed call leaves its jobs behind, which go on working. The next call may have other settings
and makes the same files: what is left over must not put its own in their place. So every call has
a token; its jobs inherit it, and the working directory remembers whose turn it is.
"""

import os
import uuid
from pathlib import Path

from genosiege.errors import InputError

_VARIABLE = "GENOSIEGE_CALL"


def join(place: Path) -> None:
    """Make this process, and all it starts, part of a call: its parent's, or else a new one.

    Parameters
    ----------
    place : Path
        The file that tells, from `begin` on, which call's turn it is.

    Raises
    ------
    InputError
        If the parent's call was left over (see `check`).
    """
    if _VARIABLE in os.environ:
        check()
    else:
        os.environ[_VARIABLE] = f"{uuid.uuid4().hex} {place.resolve()}"


def begin() -> None:
    """Make it this call's turn; from now on the jobs of all earlier ones are left over."""
    token, place = _own()
    place.parent.mkdir(parents=True, exist_ok=True)
    # Not `files.whole`, which asks whose turn it is.
    temporary = place.with_name(f"{place.name}.{token}")
    temporary.write_text(token)
    os.replace(temporary, place)


def accompany() -> None:
    """Work beside the call whose turn it is, as part of it: nobody is left over."""
    _, place = _own()
    if place.is_file():
        os.environ[_VARIABLE] = f"{place.read_text()} {place}"


def check() -> None:
    """Refuse to go on where a later call has begun.

    Raises
    ------
    InputError
        If this process belongs to a call, and it is another one's turn.
    """
    if _VARIABLE not in os.environ:
        return
    token, place = _own()
    if place.is_file() and place.read_text() != token:
        raise InputError(
            "this job was left over from a call of the workflow that has ended, and another call "
            "has begun; it stops, and nothing has to be done."
        )


def _own() -> tuple[str, Path]:
    token, _, place = os.environ[_VARIABLE].partition(" ")
    return token, Path(place)
