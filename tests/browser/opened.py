"""A report that is open in a browser."""

from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "results/demo/report.html"
SCREENSHOTS = ROOT / "results/screenshots"

DESK = ViewportSize(width=1440, height=900)
WAIT_MS = 15_000

PHONE = ViewportSize(width=390, height=844)


class Opened:
    """The report in a window of some size, and what went wrong in it."""

    def __init__(self, browser: Browser, size: ViewportSize) -> None:
        context = browser.new_context(viewport=size, offline=True)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.wrong: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on(
            "requestfailed", lambda request: self.wrong.append(f"failed: {request.url[:90]}")
        )
        self.page.on("request", self._see)
        self.page.goto(REPORT.as_uri())
        self.page.wait_for_selector("text=What came out")

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.wrong.append(f"console: {message.text[:200]}")

    def _see(self, request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:", "about:")):
            self.wrong.append(f"asked: {request.url[:90]}")

    def results(self) -> dict[str, dict[str, object]]:
        """What the report holds, by path."""
        return self.page.evaluate("results")

    def show(self, path: str) -> None:
        """Open a figure or a page, as the button beside its name does."""
        kind = "html" if path.endswith(".html") else "img"
        self.page.evaluate(
            "([kind, path]) => app.setView({content: kind, contentPath: results[path].data_uri,"
            " resultPath: path})",
            [kind, path],
        )

    def keep(self, name: str) -> None:
        """Take a picture of the window."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")
