"""The page in a browser: whole at every width, without a request to the network and without an error."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import BROWSER, needs_axe, needs_browser, opened, probed, violations

pytestmark = [pytest.mark.long, pytest.mark.processes]

#: What every test of the page needs to know of the document, as JavaScript that ends up in its title.
PROBE = """<script>
const slides = [...document.querySelectorAll(".slide")];
document.title = JSON.stringify({
  wide: document.documentElement.scrollWidth,
  window: innerWidth,
  shown: slides.filter((slide) => !slide.hidden).length,
  loaded: [...document.images].every((image) => image.complete && image.naturalWidth > 0),
  buttons: document.querySelectorAll("th button").length,
});
</script>"""


class Page(HTMLParser):
    """The tags of a page, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_loads_nothing_and_its_policy_forbids_it(image_page: Path) -> None:
    found = Page(image_page.read_text())
    loaded = [
        value
        for tag, attributes in found.tags
        for name, value in attributes.items()
        if name in ("src", "srcset", "href", "action", "poster", "data") and value and not value.startswith("#")
    ]
    assert loaded
    assert all(value.startswith("data:") for value in loaded)
    assert "url(" not in image_page.read_text()
    (policy,) = [attributes["content"] or "" for tag, attributes in found.tags if "http-equiv" in attributes]
    assert policy.startswith("default-src 'none'; img-src data:")
    assert "unsafe-inline'" in policy.split("style-src")[1].split(";")[0]
    assert re.search(r"script-src 'sha256-[\w+/=]+'$", policy)


def test_the_page_says_all_of_it_to_those_who_hear_it(image_page: Path) -> None:
    found = Page(image_page.read_text())
    names = [attributes.get("id") for _, attributes in found.tags if attributes.get("id")]
    assert len(names) == len(set(names))
    assert all(attributes.get("alt") for tag, attributes in found.tags if tag == "img")
    assert all(attributes.get("scope") for tag, attributes in found.tags if tag == "th")
    scrolled = [attributes for tag, attributes in found.tags if "scroll" in (attributes.get("class") or "").split()]
    assert all("tabindex" in attributes and attributes.get("aria-label") for attributes in scrolled)
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert max(np.diff(levels)) <= 1


def test_words_and_badges_stand_out_from_their_ground(image_page: Path) -> None:
    def brightness(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", image_page.read_text()))
    for name in ("ink", "soft", "good", "doubtful", "failed", "pending"):  # on white and pale, or white on them
        assert (brightness("#f5f6f7") + 0.05) / (brightness(colours[name]) + 0.05) > 4.5, name


@needs_browser
@pytest.mark.parametrize(
    "width", [500, pytest.param(800, marks=pytest.mark.slow), 1600]
)  # headless windows aren't narrower than 500
def test_the_page_fits_its_window_and_logs_no_error(width: int, image_page: Path, tmp_path: Path) -> None:
    for shown in (image_page, probed(image_page, PROBE, tmp_path / "probe.html")):
        title, logged = opened(shown, tmp_path, width=width)
        assert [line for line in logged.splitlines() if "CONSOLE" in line] == []
    told = json.loads(title)
    assert told["wide"] <= told["window"]
    assert told["shown"] == 1
    assert told["loaded"]
    assert told["buttons"] > 5


@needs_browser
def test_the_page_fits_a_phone_and_what_is_scrolled_fades(image_page: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": 400, "height": 800})
        window.set_default_timeout(180_000)
        window.goto(image_page.as_uri())
        assert window.evaluate("document.documentElement.scrollWidth") <= 400
        window.evaluate(
            "path => { document.body.appendChild(document.createElement('li')).textContent = path; }", "/a" * 99
        )
        assert window.evaluate("document.documentElement.scrollWidth") <= 400  # paths of failed frames are long
        table = window.locator(".scroll.tall")
        assert "more" in (table.get_attribute("class") or "")
        table.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
        playwright.expect(table).not_to_have_class(re.compile(r"\bmore\b"))
        browser.close()


@needs_axe
def test_axe_core_objects_to_nothing_on_a_page_of_images(image_page: Path, tmp_path: Path) -> None:
    assert violations(image_page, tmp_path) == []


@pytest.mark.slow
@needs_axe
def test_axe_core_objects_to_nothing_on_a_page_of_structures(atoms_page: Path, tmp_path: Path) -> None:
    assert violations(atoms_page, tmp_path) == []
