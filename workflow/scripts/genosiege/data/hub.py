"""Fetch one file of a Hugging Face repository, with its failures as one line."""

import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genosiege.data.transfer import RETRIED_STATUS, AbsentError, CutError, reason
from genosiege.errors import InputError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

log = logging.getLogger(__name__)

TRIES = 5
_CHECK_NETWORK = "check the network, the proxy settings (https_proxy) and HF_ENDPOINT, then rerun"


def fetch(
    repo: str,
    path: str,
    revision: str,
    repo_type: Literal["dataset", "model"],
    target: Path,
) -> str:
    """Fetch one file; the environment's HF_ENDPOINT and HF_TOKEN count.

    Parameters
    ----------
    repo, path, revision, repo_type
        Which file. One that is in the hub's own cache is taken from there, if the
        revision is a full commit hash.
    target : Path
        The file to be made.

    Returns
    -------
    str
        What the file is called in messages.

    Raises
    ------
    AbsentError
        If the repository has no such file.
    InputError
        If the hub refuses, or cannot be reached after all retries.

    Notes
    -----
    A connection that is cut is resumed by the library where it broke off. It deletes the
    part of a killed process, which therefore starts anew.
    """
    import huggingface_hub

    where = f"{repo}/{path} at revision {revision[:12]}"
    if re.fullmatch("[0-9a-f]{40}", revision):
        # The cache may be asked alone only where the name can mean but one commit.
        cached = huggingface_hub.try_to_load_from_cache(
            repo, path, revision=revision, repo_type=repo_type
        )
        if isinstance(cached, str):
            shutil.copyfile(cached, target)
            return where
    with tempfile.TemporaryDirectory(prefix=".hub-", dir=target.parent) as folder:
        for attempt in range(1, TRIES + 1):
            try:
                with _one_line_errors(where):
                    fetched = huggingface_hub.hf_hub_download(
                        repo,
                        path,
                        repo_type=repo_type,
                        revision=revision,
                        local_dir=folder,
                        endpoint=os.environ.get("HF_ENDPOINT") or None,
                    )
                break
            except CutError as error:
                if attempt == TRIES:
                    raise InputError(
                        f"{where}: the download failed {attempt} times ({error}); {_CHECK_NETWORK}."
                    ) from error
                log.warning("%s: %s; retry %d", where, error, attempt)
                time.sleep(2.0 ** (attempt - 1))
        os.replace(fetched, target)
    return where


@contextmanager
def _one_line_errors(where: str) -> Iterator[None]:
    """Turn the hub's exceptions into `InputError`, or `CutError` where a retry may help."""
    import httpx
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise InputError(f"{where}: this is no name of a repository; correct repo.") from error
    except errors.HfHubHTTPError as error:
        if error.response.status_code in RETRIED_STATUS:
            raise CutError(f"the server answers {error.response.status_code}") from error
        raise _refused(where, error) from error
    except errors.LocalEntryNotFoundError as error:
        # The library has asked for the file's size, and retried that, by now.
        if isinstance(error.__cause__, errors.HfHubHTTPError):
            raise _refused(where, error.__cause__) from error
        raise InputError(
            f"{where}: {os.environ.get('HF_ENDPOINT') or 'the hub'} cannot be reached "
            f"({reason(error)}); {_CHECK_NETWORK}."
        ) from error
    except (httpx.TransportError, errors.XetDownloadError, RuntimeError) as error:
        # RuntimeError: what the library's Xet transport raises for a network failure.
        raise CutError(reason(error)) from error
    except OSError as error:
        # A file that came short has no errno; a full disk has one, and is no network failure.
        if error.errno is not None:
            raise
        raise CutError(reason(error)) from error


def _refused(where: str, error: "HfHubHTTPError") -> InputError:
    from huggingface_hub import errors

    status = error.response.status_code
    if isinstance(error, (errors.RepositoryNotFoundError, errors.RevisionNotFoundError)):
        return InputError(
            f"{where}: the hub has no such repository or revision, or shows it only to its "
            "members; correct repo and revision, or set HF_TOKEN."
        )
    # Mirrors of the hub give the status without the hub's own error code.
    if status == 404:
        return AbsentError(f"{where}: the hub has no such file; correct the source.")
    if status in RETRIED_STATUS:
        return InputError(f"{where}: the hub answers {status} again and again; rerun later.")
    return InputError(f"{where}: the hub answers {status}; correct the source or set HF_TOKEN.")
