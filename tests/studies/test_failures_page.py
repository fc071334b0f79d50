"""The browser of mistakes: whole in one file, small, usable without a mouse and without scripts."""

import base64
import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser import Page, browser
from tests.studies.test_failures import fact
from vlx.studies.failures.browser import browser_page, write_browser
from vlx.studies.failures.numbers import Case

HOSTILE = "<script>alert(1)</script>"
FOUND = "Mistakes", "Why?", ("Because.",)


def view(title: str = "Grad-CAM", maps: int = 3, cells: int = 6) -> dict[str, Any]:
    """Maps of a mistake: the first bright at the top left, the second at the top right."""
    planes = np.zeros((3, cells, cells))
    planes[0, 0, 0] = planes[1, 0, -1] = 1
    planes[2] = (planes[0] - planes[1] + 1) / 2
    grids = [base64.b64encode(np.rint(one * 65535).astype("<u2").tobytes()).decode() for one in planes]
    common = {"high": 2.0, "peak": 1.0, "own": False, "evidence": True, "told": "", "error": ""}
    return {
        "title": title, "box": [0.0, 0.0, 1.0, 1.0], "rows": cells, "cols": cells, "down": None,
        "across": None, "pixels": False, "unit": "",
        "maps": [{**common, "grid": grid, "signed": at == 2} for at, grid in enumerate(grids)][:maps],
    }  # fmt: skip


def case(
    folder: Path, at: int, said: str, truth: str, chance: float, nats: float, *, photo: int = 0, **more: Any
) -> Case:
    path = folder / f"{photo}.png"
    if not path.exists():
        pixels = np.random.default_rng(photo).integers(0, 255, (8, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((300, 240), Image.Resampling.BICUBIC).save(path)
    score = {"score": 1.0, "probability": chance, "image": nats, "blank": -1.0}
    scores = {"said": score, "truth": {**score, "image": -nats}, "contrast": score}
    views = [view(), view("Integrated gradients")]
    made = fact(True, said, truth, scores=scores, views=views, peaks={"m": 1.0, "n": 1.0}, **more)
    return Case("model", str(at), path, "", made)


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    return [
        case(tmp_path, 1, "dog", "cat", 0.5, 3.0),
        case(tmp_path, 2, "dog", "cow", 0.9, 1.0),
        case(tmp_path, 3, "bus", "cow", 0.7, 2.0, photo=1),
        Case("other", "4", Path("gone.png"), "a <b> car", fact(False)),
    ]


def test_nothing_but_its_one_script_runs(cases: list[Case]) -> None:
    cases[0].facts["said"] = cases[1].facts["truth"] = HOSTILE
    text = browser_page(*FOUND, cases, 10, 1)
    assert HOSTILE not in text
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src &#39;none&#39;" in policy or "default-src 'none'" in policy
    assert f"sha256-{digest}" in policy
    assert not re.search(r"(src|href)=\"(?!data:|#|report\.html)", text)


def test_photos_stand_once_and_a_mistake_costs_little(tmp_path: Path, cases: list[Case]) -> None:
    text = browser_page(*FOUND, cases, 10, 1)
    assert len(re.findall(r'id="photo-\d"', text)) == 2  # of three mistakes on two photos
    many = [case(tmp_path, at, "dog", "cat", 0.5, 1.0, photo=at) for at in range(20)]
    each = (len(browser_page(*FOUND, many, 20, 1)) - len(browser_page(*FOUND, many, 1, 1))) / 19
    assert each < 40_000  # so 500 of them make 20 MB at most


def test_the_page_holds_so_many_and_says_what_it_leaves_out(tmp_path: Path, cases: list[Case]) -> None:
    text = write_browser(tmp_path / "m.html", *FOUND, cases, 2, 1).read_text(encoding="utf-8")
    assert re.findall(r'data-confidence="([^"]*)"', text) == ["0.9", "0.7"]
    assert "3 of 4 things that were decided are mistakes" in text
    assert "leaves 1 out" in text
    cases[0].facts["scores"]["said"]["probability"] = None
    assert 'data-confidence=""' in browser_page(*FOUND, cases, 3, 1)


# In a browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    names = ("chromium", "chromium-browser", "google-chrome")
    driver, binary = shutil.which("chromedriver"), next(filter(None, map(shutil.which, names)), None)
    if driver is None or binary is None:
        pytest.skip("chromium and chromedriver are not installed")
    with browser(driver, binary, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(window: Page, tmp_path: Path, cases: list[Case]) -> Page:
    window.size(1200, 900)
    window.open(write_browser(tmp_path / "m.html", *FOUND, cases, 10, 1))
    return window


def shown(page: Page) -> list[str]:
    """The images of the mistakes that are shown, in their order."""
    code = "return [...document.querySelectorAll('.item:not([hidden]) .name')].map(h => h.textContent)"
    return [text.rpartition(" ")[2] for text in page.js(code)]


def change(page: Page, name: str, value: str) -> None:
    page.js(
        "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('change'))",
        name,
        value,
    )


def test_mistakes_are_sorted_and_filtered(page: Page) -> None:
    assert shown(page) == ["2", "3", "1"]
    change(page, "sort", "evidence")
    assert shown(page) == ["1", "3", "2"]
    change(page, "sort", "truth")
    assert shown(page) == ["2", "3", "1"]
    change(page, "truth", "cow")
    assert shown(page) == ["2", "3"]
    change(page, "said", "bus")
    assert shown(page) == ["3"]
    assert page.js("return document.getElementById('left').textContent") == "1 of 3 mistakes"
    page.js("document.getElementById('reset').click()")
    page.wait("document.getElementById('left').textContent === '3 mistakes'")
    page.js("document.querySelector('.confusions [data-said=dog][data-truth=cow]').focus()")
    page.press("\ue007")  # Enter
    page.wait("document.getElementById('left').textContent === '1 of 3 mistakes'")
    assert shown(page) == ["2"]
    assert page.js("return document.querySelectorAll('.confusions [aria-pressed=true]').length") == 1
    assert [entry for entry in page.log("browser") if "getImageData" not in entry["message"]] == []


def test_maps_are_drawn_where_they_lie_and_others_by_another_method(page: Page) -> None:
    page.wait("document.querySelector('.map').width > 1")
    corners = (
        "const c = document.querySelectorAll('.item:not([hidden]) .map')[arguments[0]];"
        "const at = (x) => c.getContext('2d').getImageData(x, 4, 1, 1).data[3];"
        "return [at(4), at(c.width - 5)]"
    )
    said, truth, contrast = (page.js(corners, at) for at in range(3))
    assert said[0] > 180 > 20 > said[1]
    assert truth[1] > 180 > 20 > truth[0]
    assert min(contrast) > 180
    assert page.js("return document.querySelector('.where').textContent") == (
        "highest on the object that was missed"
    )
    change(page, "method", "Integrated gradients")
    assert page.js("return document.querySelector('.where').textContent") == ""


def test_on_a_phone_and_without_scripts(page: Page) -> None:
    page.size(390, 800, mobile=True)
    assert page.js("return document.documentElement.scrollWidth") <= 390
    low = page.js(
        "return [...document.querySelectorAll('select, button')].map(b => b.getBoundingClientRect().height)"
    )
    assert min(low) >= 40
    page.cdp("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.cdp("Page.reload", {})
        page.wait("document.readyState === 'complete' && document.body.classList.contains('still')")
        seen = "return [...document.querySelectorAll(arguments[0])].filter(e => e.offsetHeight > 0).length"
        assert page.js(seen, ".item") == 3
        assert page.js(seen, ".small img") == 9
        assert page.js(seen, ".controls") == 0
    finally:
        page.cdp("Emulation.setScriptExecutionDisabled", {"value": False})
