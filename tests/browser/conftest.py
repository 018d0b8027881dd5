"""The demo's report in headless Chromium, with the network cut."""

import os
import shutil
from collections.abc import Iterator

import pytest
from opened import DESK, PHONE, REPORT, ROOT, Opened
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("there is no Chromium; install Debian's package chromium.")
    if not REPORT.exists():
        pytest.fail(f"{REPORT.relative_to(ROOT)}: make it first, by make demo.")
    # Whatever is asked of the network finds nobody; root has no sandbox.
    cut = ["--host-resolver-rules=MAP * ~NOTFOUND"]
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=cut + alone)
        yield started
        started.close()


@pytest.fixture
def desk(browser: Browser) -> Iterator[Opened]:
    opened = Opened(browser, DESK)
    yield opened
    opened.page.context.close()


@pytest.fixture
def phone(browser: Browser) -> Iterator[Opened]:
    opened = Opened(browser, PHONE)
    yield opened
    opened.page.context.close()
