"""A rater's page in a real browser: keys, phone, going on after it was closed, saving to the server."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Page, browser
from tests.studies.people_small import study
from vlx.studies.people.answers import read_answers
from vlx.studies.people.make import Made
from vlx.studies.people.pages import write_pages
from vlx.studies.people.questions import Kind
from vlx.studies.people.serve import study_server

RATER = "rater-00"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    names = ("chromium", "chromium-browser", "google-chrome")
    driver = shutil.which("chromedriver")
    binary = next(filter(None, map(shutil.which, names)), None)
    if driver is None or binary is None:
        pytest.skip("chromium and chromedriver are not installed")
    with browser(driver, binary, tmp_path_factory.mktemp("profile")) as page:
        yield page


def made_of(folder: Path, kind: Kind) -> Made:
    made = study(folder, kind)
    write_pages(made, [RATER])
    return made


def opened(window: Page, made: Made, width: int = 1200) -> None:
    """The first page of a rater who never was here."""
    window.size(width, 800, mobile=width < 600)
    path = made.folder / "pages" / f"{RATER}.html"
    window.open(path)
    window.js("localStorage.clear()")
    window.open(path)
    window.wait("!document.getElementById('intro').hidden")


def count(window: Page) -> str:
    return window.js("return document.getElementById('count').textContent")


def kept(window: Page, made: Made) -> list[dict]:
    """The answers in the browser's storage."""
    text = window.js("return localStorage.getItem(arguments[0])", f"study {made.key.study} {RATER}")
    return json.loads(text)["lines"]


def test_keys_answer_and_change(window: Page, tmp_path: Path):
    made = made_of(tmp_path, "discrimination")
    opened(window, made)
    window.js("document.getElementById('begin').click()")
    asked = len(made.key.raters[RATER])
    assert count(window) == f"1 of {asked}"
    assert window.js("return document.activeElement.id") == "asked"  # what a screen reader says next
    window.press("2")
    assert count(window) == f"2 of {asked}"
    window.press("7")  # no such answer
    window.press("ArrowRight")
    assert window.js("return document.activeElement.textContent").startswith("1")
    window.press("ArrowRight")
    window.press("ArrowRight")
    assert window.js("return document.activeElement.textContent").startswith("2")
    window.press("\ue007")  # Enter
    assert count(window) == f"3 of {asked}"
    window.press("\ue003")  # Backspace
    assert count(window) == f"2 of {asked}"
    assert window.js("return document.querySelectorAll('#answers [aria-pressed=true]').length") == 1
    window.press("1")
    codes = made.key.raters[RATER]
    assert {one["question"]: (one["answer"], one["n"]) for one in kept(window, made)} == {
        codes[0]: (2, 1),
        codes[1]: (1, 3),
    }
    errors = [one for one in window.log("browser") if one["level"] == "SEVERE"]
    assert not errors


def test_a_closed_page_goes_on_and_its_answers_are_downloaded(window: Page, tmp_path: Path):
    made = made_of(tmp_path, "trust")
    opened(window, made)
    window.js("document.getElementById('begin').click()")
    asked = len(made.key.raters[RATER])
    for key in "15":
        window.press(key)
    window.open(made.folder / "pages" / f"{RATER}.html")
    window.wait("!document.getElementById('task').hidden")
    assert count(window) == f"3 of {asked}"
    for _ in range(asked - 2):
        window.press("4")
    window.wait("!document.getElementById('end').hidden")
    assert "download" in window.js("return document.getElementById('how').textContent")
    text = window.js(
        "const make = URL.createObjectURL; let blob;"
        "URL.createObjectURL = (given) => { blob = given; return 'data:,'; };"
        "HTMLAnchorElement.prototype.click = function () { window.named = this.download; };"
        "document.getElementById('download').click(); URL.createObjectURL = make;"
        "window.told = null; blob.text().then((text) => { window.told = text; }); return window.named"
    )
    assert text == f"answers-{RATER}.jsonl"
    window.wait("window.told !== null")
    (made.folder / "answers").mkdir()
    (made.folder / "answers" / "sent.jsonl").write_text(window.js("return window.told"))
    found = read_answers(made.key, made.folder / "answers")
    first = made.key.raters[RATER][0]
    assert len(found.of) == asked
    assert found.of[RATER, first].answer == -2
    assert not found.left_out
    assert [url for url in window.requests() if not url.startswith(("file:", "blob:"))] == []


@pytest.mark.parametrize("kind", ["discrimination", "trust"])
def test_a_phone_shows_all_answers_without_scrolling_sideways(window: Page, tmp_path: Path, kind: Kind):
    made = made_of(tmp_path, kind)
    opened(window, made, 390)
    window.cdp("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        window.tap("#begin")
        window.wait("!document.getElementById('task').hidden")
        wide = window.js("return document.documentElement.scrollWidth")
        assert wide <= 390
        boxes = window.js(
            "return [...document.querySelectorAll('#answers button')].map((b) => { const r = "
            "b.getBoundingClientRect(); return [r.height, r.bottom] })"
        )
        assert all(height >= 44 for height, _ in boxes)  # a finger's width
        assert boxes[-1][1] <= 800
        window.tap("#answers button:last-child")
        window.wait("document.getElementById('count').textContent.startsWith('2 of')")
    finally:
        window.cdp("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_names_for_those_who_listen(window: Page, tmp_path: Path):
    made = made_of(tmp_path, "trust")
    opened(window, made)
    window.js("document.getElementById('begin').click()")
    alts = window.js("return [...document.querySelectorAll('#pictures img')].map((one) => one.alt)")
    assert alts == ["What robot A went by", "What robot B went by"]
    labelled = window.js("return document.getElementById('answers').getAttribute('aria-labelledby')")
    assert labelled == "asked"
    assert window.js("return document.documentElement.lang") == "en"


def test_answers_go_to_the_server_and_come_back(window: Page, tmp_path: Path):
    made = study(tmp_path, "discrimination")
    write_pages(made)
    with study_server(made.folder, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            link = server.links()[0]
            window.js("window.location.href = arguments[0]", link)
            window.wait("location.protocol === 'http:' && document.getElementById('intro')")
            window.wait("!document.getElementById('intro').hidden")
            window.js("document.getElementById('begin').click()")
            for key in "121":
                window.press(key)
            path = made.folder / "answers" / f"{RATER}.jsonl"
            end = time.monotonic() + 30
            while not path.is_file() or path.read_text().count("\n") < 3:
                assert time.monotonic() < end
                time.sleep(0.05)
            window.wait("document.getElementById('state').textContent.includes('saved')")
            window.js("localStorage.clear(); location.reload()")  # another browser, as it were
            window.wait("(document.getElementById('count') || {}).textContent?.startsWith('4 of')")
            answers = [line.answer for line in server.saved.of(RATER)]
            assert answers == [1, 2, 1]
        finally:
            server.shutdown()
            thread.join()


def test_dark_is_dark(window: Page, tmp_path: Path):
    made = made_of(tmp_path, "trust")
    window.prefer(prefers_color_scheme="dark")
    try:
        opened(window, made)
        assert window.picture().convert("L").getpixel((5, 790)) < 60
    finally:
        window.prefer(prefers_color_scheme="light")
