"""What a long attack job has already done, kept beside its output until it ends.

A journal holds finished rows, and the answers the model gave to the searches still under
way. Attacks are deterministic, so a rerun replays each unfinished search from those
answers in no time and goes on where the killed job stood. Every attempt writes files of
its own: a child left over from a killed call can add to a journal, never spoil it.
"""

import hashlib
import json
import logging
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genosiege import files
from genosiege.errors import InputError

log = logging.getLogger(__name__)

Logits = NDArray[np.float32]


def fingerprint(*parts: Any) -> str:
    """SHA-256 of anything JSON can write; tells whether two jobs are the same job."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _key(search: str, sequence: str) -> bytes:
    return hashlib.blake2b(f"{search}\x1f{sequence}".encode(), digest_size=16).digest()


class Journal:
    """Finished rows and known answers of one job.

    Parameters
    ----------
    folder : Path
        Where the journal lies, beside the job's output.
    digest : str
        What the job is: model, sequences, options, seeds, code (see `fingerprint`). A
        journal of another job is discarded.
    every : float
        Seconds between two savings.
    """

    def __init__(self, folder: Path, digest: str, every: float = 20.0) -> None:
        self._folder = folder / digest[:16]
        self._root = folder
        self._every = every
        self._saved = time.monotonic()
        self._attempt = uuid.uuid4().hex
        self._n_saved = 0
        self._new_rows: list[dict[str, Any]] = []
        self._new_answers: dict[bytes, Logits] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        self._known: dict[bytes, Logits] = {}
        self._discard_others()
        self._read()

    def _discard_others(self) -> None:
        for other in self._root.glob("*") if self._root.is_dir() else ():
            if other != self._folder:
                log.info("the state of another job (other model, options or code) is discarded")
                shutil.rmtree(other, ignore_errors=True)

    def _read(self) -> None:
        for path in sorted(self._folder.glob("*")):
            if path.name.startswith("."):
                continue
            try:
                self._read_file(path)
            # A disk that was full or lost power leaves files of any content. What they held
            # is only done again: a job must not fail at each rerun over its own notes.
            except (InputError, KeyError, TypeError, ValueError, OSError) as error:
                log.warning("%s: damaged (%s); what it held is done again", path, error)
        if self.rows or self._known:
            log.info(
                "resuming: %d searches are finished, %d answers of others are known",
                len(self.rows),
                len(self._known),
            )

    def _read_file(self, path: Path) -> None:
        if path.suffix == ".json":
            self.rows.update({row["search"]: row for row in files.read_json(path)})
        elif path.suffix == ".safetensors":
            saved = files.read_tensors(path)
            keys, logits = saved["keys"].numpy(), saved["logits"].numpy()
            self._known.update({k.tobytes(): row for k, row in zip(keys, logits, strict=True)})

    def recall(self, search: str, sequences: Sequence[str]) -> dict[str, Logits]:
        """Give the answers an earlier attempt had, of those asked for."""
        if not self._known:
            return {}
        found = ((s, self._known.get(_key(search, s))) for s in sequences)
        return {sequence: row for sequence, row in found if row is not None}

    def note(self, search: str, answers: Mapping[str, Logits]) -> None:
        """Add answers; they reach the disk with the next saving."""
        self._new_answers.update((_key(search, s), row) for s, row in answers.items())

    def finish(self, search: str, row: dict[str, Any]) -> None:
        """Add the row of a search that has ended."""
        self.rows[search] = {"search": search, **row}
        self._new_rows.append(self.rows[search])

    def save_in_time(self) -> None:
        """Save if the last saving is long enough ago."""
        if time.monotonic() - self._saved >= self._every:
            self.save()

    def save(self) -> None:
        """Write what is new into files of this attempt."""
        stem = self._folder / f"{self._attempt}.{self._n_saved:06d}"
        if self._new_answers:
            keys = np.frombuffer(b"".join(self._new_answers), np.uint8).reshape(-1, 16)
            logits = np.stack(list(self._new_answers.values()))
            files.write_tensors(
                {"keys": keys.copy(), "logits": logits},
                stem.with_name(stem.name + ".safetensors"),
            )
        if self._new_rows:
            files.write_json(self._new_rows, stem.with_name(stem.name + ".json"))
        self._new_answers, self._new_rows = {}, []
        self._n_saved += 1
        self._saved = time.monotonic()

    def close(self) -> None:
        """Remove the journal: the job's output is written."""
        shutil.rmtree(self._root, ignore_errors=True)
