"""What several unit tests share."""

from collections.abc import Iterator

import pytest
from loopback import Loopback, serving


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small models run faster on one thread than on many."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A file server on loopback, which is also the hub."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving() as loopback:
        monkeypatch.setenv("HF_ENDPOINT", loopback.address)
        yield loopback
