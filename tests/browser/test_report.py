"""A reader opens the demo's report from disk, offline, at a desk and on a phone."""

import base64
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from opened import Opened

from genosiege.figures import style

pytestmark = pytest.mark.browser

CATEGORIES = ["Attacks", "Baseline", "Data", "Detection", "Expression", "Hardening", "Speed"]


def figures(opened: Opened) -> list[str]:
    return sorted(path for path in opened.results() if path.endswith(".svg"))


def pages(opened: Opened, folder: str) -> list[str]:
    return sorted(path for path in opened.results() if f"/{folder}/" in path and "html" in path)


def frame_of(opened: Opened):
    return opened.page.frame_locator("iframe")


def test_the_front_page_tells_the_findings_with_intervals(desk):
    text = desk.page.inner_text(".prose")
    desk.keep("front_page")

    questions = re.findall(r"^\d\. .+\?$", text, flags=re.MULTILINE)
    assert len(questions) == 6
    assert len(re.findall(r"\d(?: %)? \[[^\]]+, [^\]]+\]", text)) >= 10
    assert "Not asked in this run." not in text
    assert re.search(r"^(\d+|No) warning signs?\b", text, flags=re.MULTILINE)
    assert desk.wrong == []


def test_every_link_of_the_front_page_shows_a_figure_or_a_table(desk):
    links = desk.page.locator(".prose a[onclick]")

    # Two of each finding, and that of the warning signs.
    assert links.count() >= 11
    for number in range(links.count()):
        desk.page.evaluate("app.setView({content: 'rulegraph'})")
        link = links.nth(number)
        name = link.inner_text()
        link.click()
        desk.page.wait_for_selector("div.p-3 > img" if name == "Figure" else "iframe")
    assert desk.wrong == []


def test_every_category_opens_and_lists_its_results(desk):
    listed = desk.page.evaluate("Object.keys(categories)")
    assert sorted(listed) == CATEGORIES

    for category in CATEGORIES:
        desk.page.evaluate("app.setView({navbarMode: 'menu', category: undefined})")
        desk.page.get_by_role("link", name=category, exact=True).click()
        desk.page.wait_for_selector("nav table tbody tr")
        desk.keep(f"category_{category.lower()}")
    assert desk.wrong == []


def test_every_figure_is_visible(desk):
    found = figures(desk)
    assert len(found) > 25

    for path in found:
        desk.show(path)
        size = desk.page.wait_for_function(
            "uri => { const img = document.querySelector('div.p-3 > img');"
            " return img && img.src === uri && img.complete && [img.naturalWidth, img.width]; }",
            arg=desk.results()[path]["data_uri"],
        ).json_value()
        assert min(size) > 100, path
        desk.keep(f"figure_{re.sub(r'.*/(figures|benchmarks)/', '', path)[:-4].replace('/', '_')}")
    assert desk.wrong == []


def test_every_table_is_visible_and_sorts(desk):
    found = [*pages(desk, "tables"), *pages(desk, "benchmarks")]
    assert len(found) > 20

    results = desk.results()
    for path in found:
        desk.show(path)
        desk.page.wait_for_function(
            "uri => document.querySelector('iframe').src === uri", arg=results[path]["data_uri"]
        )
        frame = frame_of(desk)
        frame.locator("h1").wait_for()
        rows = frame.locator("tbody tr")
        assert rows.count() > 0 or "0 rows" in frame.locator("p").first.inner_text(), path
    frame = frame_of(desk)
    frame.locator("th button").first.click()
    assert frame.locator("th[aria-sort=ascending]").count() == 1
    assert desk.wrong == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("edit_explorer", "P before"),
        ("robust_accuracy", "robust accuracy"),
        ("hardening_rounds", "share"),
    ],
)
def test_interactive_plots_draw_and_hovering_shows_values(desk, name, shown):
    desk.show(f"results/demo/interactive/{name}.html")
    frame = frame_of(desk)
    points = frame.locator("g.mark-symbol.role-mark path")
    points.first.wait_for()

    points.last.hover(force=True)

    tip = frame.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert shown in tip.inner_text()
    assert re.search(r"\d\.\d{3}", tip.inner_text())
    desk.keep(f"interactive_{name}")
    assert desk.wrong == []


def test_a_click_on_a_point_shows_another_adversary(desk):
    desk.show("results/demo/interactive/edit_explorer.html")
    frame = frame_of(desk)
    heading = frame.locator("text=/P\\(true class\\) \\d/").first
    heading.wait_for()
    before = heading.inner_html()

    frame.locator("g.mark-symbol.role-mark path").last.click(force=True)

    frame.locator("g.mark-rect.role-mark path").first.wait_for(state="attached")
    assert frame.locator("text=/P\\(true class\\) \\d/").first.inner_html() != before
    assert desk.wrong == []


def test_a_caption_opens_with_its_text(desk):
    desk.page.evaluate("app.showResultInfo('results/demo/figures/fimba.svg')")

    assert len(desk.page.inner_text("nav .prose")) > 200
    desk.keep("caption")


def sideways(opened: Opened) -> int:
    """Give by how many pixels the page is wider than the window."""
    return opened.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def beyond(opened: Opened) -> float:
    """Give by how many pixels numbers and remarks of findings leave the window."""
    return opened.page.evaluate(
        "Math.max(...[...document.querySelectorAll('.prose td.number, .prose tr.remark td')]"
        ".map(cell => cell.getBoundingClientRect().right)) - window.innerWidth"
    )


def test_on_a_phone_the_page_never_scrolls_sideways(phone):
    views = {
        "front": "app.setView({navbarMode: 'menu'})",
        "category": "app.showCategory('Attacks')",
        "caption": "app.showResultInfo('results/demo/tables/attacks.csv')",
    }
    for name, view in views.items():
        phone.page.evaluate(view)
        phone.page.wait_for_timeout(300)
        phone.keep(f"phone_{name}")
        assert sideways(phone) <= 0, name
        if name == "front":
            assert beyond(phone) <= 0
    for path in (
        "results/demo/figures/robust_accuracy.svg",
        "results/demo/tables/attacks.html",
        "results/demo/interactive/edit_explorer.html",
    ):
        phone.show(path)
        phone.page.wait_for_timeout(800)
        phone.keep(f"phone_{path.rsplit('/', 1)[1].replace('.', '_')}")
        assert sideways(phone) <= 0, path
    assert phone.wrong == []


def contrast(colour: str) -> float:
    return 1.05 / (style.luminance(np.array(to_rgb(colour))) + 0.05)


def test_text_of_figures_stands_out_from_white(desk):
    pale = {}
    for path, result in desk.results().items():
        if not path.endswith(".svg"):
            continue
        svg = base64.b64decode(str(result["data_uri"]).split(",", 1)[1]).decode()
        fills = {fill for text in re.findall(r"<text[^>]*>", svg)
                 for fill in re.findall(r"fill: (#\w{6})", text)}  # fmt: skip
        # White stands on dark cells alone: the matrices choose between it and black.
        found = {fill for fill in fills - {"#ffffff"} if contrast(fill) < 4.5}
        if found:
            pale[path] = found

    assert pale == {}


def test_text_of_tables_stands_out_from_its_ground(desk):
    desk.show("results/demo/tables/attacks.html")
    frame_of(desk).locator("tbody tr").first.wait_for()
    inner = next(frame for frame in desk.page.frames if frame.parent_frame)

    pairs = inner.evaluate(
        """() => [...document.querySelectorAll('h1, p, th button, tbody tr td')].map(node => {
            const ground = n => !n ? 'rgb(255, 255, 255)' :
                getComputedStyle(n).backgroundColor !== 'rgba(0, 0, 0, 0)'
                ? getComputedStyle(n).backgroundColor : ground(n.parentElement);
            return [getComputedStyle(node).color, ground(node)];
        })"""
    )

    def lightness(colour: str) -> float:
        rgb = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
        return style.luminance(rgb) + 0.05

    ratios = [lightness(ground) / lightness(ink) for ink, ground in pairs]
    assert len(ratios) > 20
    assert min(ratios) >= 4.5
