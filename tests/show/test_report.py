"""The report page: what it holds, and how it behaves in a real browser."""

import base64
import gc
import hashlib
import io
import json
import re
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser import Page, browser
from tests.explained import answers, at_pixels, caption, photo, told
from vlx import Explanation, Frame, VlxError
from vlx.show.colours import OPACITY, ramp, scales, tint
from vlx.show.report import report_card, report_page, write_report

HOSTILE = "<script>alert(1)</script>"


class _Read(HTMLParser):
    """Tags, attributes and the visible text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while tag in self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)


def _page(*items: list[Explanation], names: tuple[str, ...] = ()) -> str:
    named = [*names, *[""] * len(items)]
    return report_page([report_card(item, name) for item, name in zip(items, named, strict=False)])


def _data(page: str) -> list[dict]:
    found = re.findall(r'<script type="application/json" class="data">(.*?)</script>', page, re.S)
    return [json.loads(text) for text in found]


def test_nothing_is_loaded_from_anywhere() -> None:
    page = _page([caption(), at_pixels()], [answers()], names=("https://example.org/a.jpg", "//b.png"))
    for tag, attributes in _Read(page).tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(name) or ""
            assert not value or value.startswith(("data:", "#")), (tag, name, value)
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in page
    assert "url(" not in page


def test_policy_allows_exactly_the_pages_own_script_and_style() -> None:
    read = _Read(_page([caption()]))
    policy = next(a["content"] for t, a in read.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:;")
    for kind, texts in (("style", read.texts["style"]), ("script", read.texts["script"][-1:])):
        digest = base64.b64encode(hashlib.sha256("".join(texts).encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_hostile_text_stays_text() -> None:
    words = f"{HOSTILE} \"quoted\" 'single' &amp; </article> {{{{7*7}}}}"
    page = _page(
        [caption(words)],
        [answers(f"Is {HOSTILE} a dog?")],
        names=('"><img src=x onerror=alert(1)>.jpg', HOSTILE),
    )
    read = _Read(page)
    assert sum(tag == "script" for tag, _ in read.tags) == 2 + 2  # data of two items, ramps, the script
    assert not any("onerror" in attributes for _, attributes in read.tags)
    assert HOSTILE in read.texts["button"]
    assert "{{7*7}}" in read.texts["button"]
    assert _data(page)[0]["targets"][:2] == words.split()[:2]


def test_maps_are_stored_as_the_numbers_of_their_grid_on_the_shared_scale() -> None:
    made = caption()
    (data,) = _data(_page([made]))
    view = data["views"][0]
    assert (view["rows"], view["cols"], view["pixels"]) == (4, 6, False)
    for plane, stored in zip(made.raw, view["maps"], strict=True):
        grid = np.frombuffer(base64.b64decode(stored["grid"]), "<u2").reshape(4, 6)
        np.testing.assert_allclose(grid / 65535 * stored["high"], plane, atol=stored["high"] / 65535)
    assert [m["high"] for m in view["maps"][:4]] == [pytest.approx(0.3)] * 4
    assert [m["own"] for m in view["maps"]] == [False] * 4 + [True]
    assert [m["evidence"] for m in view["maps"]] == [True] * 3 + [False, True]
    np.testing.assert_allclose([m["peak"] for m in view["maps"]], [1 / 3, 2 / 3, 1, 0, 1], rtol=1e-5)


def test_signed_maps_are_stored_symmetric_about_0() -> None:
    made = caption()
    raw = made.raw.copy()
    raw[0, 0, 0] = -0.5
    (data,) = _data(_page([replace(made, raw=raw)]))
    first = data["views"][0]["maps"][0]
    grid = np.frombuffer(base64.b64decode(first["grid"]), "<u2").reshape(4, 6)
    assert first["signed"]
    assert first["high"] == 0.5
    np.testing.assert_allclose((grid / 65535 * 2 - 1) * 0.5, raw[0], atol=1e-5)


def test_gradients_are_stored_as_pictures_with_their_grey() -> None:
    (data,) = _data(_page([caption(), at_pixels()]))
    view = data["views"][1]
    assert view["pixels"]
    assert view["title"] == "Guided Grad-CAM"
    first, last = view["maps"][0], view["maps"][3]
    assert first["zero"] == 85  # 0 on -1 to 2
    assert last["zero"] == 128
    assert not last["evidence"]
    picture = Image.open(io.BytesIO(base64.b64decode(first["jpeg"])))
    assert picture.size == (48, 32)
    assert abs(np.asarray(picture)[30, 45].astype(int) - 85).max() <= 3


def test_box_is_a_share_of_the_photo() -> None:
    crop = replace(caption(), frame=Frame((60, 90), (32, 32), (0.0, 15.0, 60.0, 75.0)))
    box = _data(_page([crop]))[0]["views"][0]["box"]
    np.testing.assert_allclose(box, [0, 15 / 90, 1, 75 / 90])


def test_each_photo_is_embedded_once_and_small() -> None:
    large = photo(1500, 3000)
    page = _page([caption(image=large), at_pixels(image=large)], [caption("a cat", large)])
    embedded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(embedded) == 1
    assert Image.open(io.BytesIO(base64.b64decode(embedded[0]))).size == (640, 320)
    assert page.count('data-same="photo-1"') == 2


def test_scores_provenance_and_unknown_words_are_on_the_page() -> None:
    page = _page([replace(caption(), unknown=("wug", "blick"))], names=("dog.jpg",))
    read = _Read(page)
    assert {"wug", "blick"} <= set(read.texts["q"])
    cells = read.texts["td"]
    assert {"-0.5", "-9.5", "0.6", "7.48e-05", "none positive"} <= set(cells)
    assert {"a model", "features.3", "grad_cam", "torch 2"} <= set(read.texts["dd"])
    assert any("dog.jpg" in text for text in read.texts["h2"])


def test_an_answer_shows_its_question_probability_and_the_likeliest() -> None:
    read = _Read(_page([answers()]))
    assert "What colour is the dog?" in read.texts["p"]
    spans = read.texts["span"]
    assert "probability 0.90, logit 3.5" in spans
    assert "no positive evidence" in spans
    assert "green" in spans
    assert "0.05" in spans


def test_words_said_to_a_prompt_show_it() -> None:
    page = _page([replace(caption(), prompt="What is there?")])
    assert "What is there?" in _Read(page).texts["p"]
    (article,) = [attributes for tag, attributes in _Read(page).tags if tag == "article"]
    assert (article["data-text"] or "").startswith("What is there? a dog on grass")
    (picture, *_) = [attributes for tag, attributes in _Read(page).tags if tag == "img"]
    assert picture["alt"] == "Photo, captioned: a dog on grass"


def test_every_photo_has_a_text_and_every_button_starts_unpressed() -> None:
    read = _Read(_page([caption()], [answers()]))
    images = [attributes for tag, attributes in read.tags if tag == "img"]
    assert images[0]["alt"] == "Photo, captioned: a dog on grass"
    assert all("alt" in attributes for attributes in images)
    assert "Grad-CAM for blue: no positive evidence" in [a["alt"] for a in images]


def test_only_some_words_explained() -> None:
    made = caption()
    some = replace(made, raw=made.raw[1:2], targets=made.targets[1:2])
    read = _Read(_page([some]))
    assert read.texts["button"] == ["dog"]
    assert [t for t in read.texts["span"] if t in ("a", "on", "grass")] == ["a", "on", "grass"]


def test_write_report_takes_a_generator_and_writes_whole(tmp_path: Path) -> None:
    path = write_report(tmp_path / "new" / "report.html", ([caption(w)] for w in ("a cat", "a dog")))
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_nothing_large_is_kept_of_items_that_were_read(tmp_path: Path) -> None:
    kept: list[weakref.ref[Explanation]] = []

    def items() -> Iterator[list[Explanation]]:
        for word in ("cat", "dog", "bus", "car"):
            made = caption(f"a {word}")
            kept.append(weakref.ref(made))
            yield [made]
            del made
            gc.collect()
            assert sum(ref() is not None for ref in kept) <= 1

    write_report(tmp_path / "r.html", items())
    assert len(kept) == 4


def test_a_file_name_that_is_no_text_is_written(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", [[caption()]], names=["caf\udce9.jpg"])
    assert "caf?.jpg" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_what_cannot_be_reported_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    with pytest.raises(VlxError, match="nothing to report"):
        write_report(path, [])
    with pytest.raises(VlxError, match="an item of a report is empty"):
        write_report(path, [[]])
    with pytest.raises(VlxError, match="share their text and targets"):
        write_report(path, [[caption("a cat"), caption("a dog")]])
    assert not path.exists()


# In a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    names = ("chromium", "chromium-browser", "google-chrome")
    driver = shutil.which("chromedriver")
    binary = next(filter(None, map(shutil.which, names)), None)
    if driver is None or binary is None:
        pytest.skip("chromium and chromedriver are not installed")
    with browser(driver, binary, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(window: Page) -> Page:
    window.size(1200, 900)
    window.prefer(prefers_color_scheme="light", prefers_reduced_motion="no-preference")
    return window


def _map(page: Page, figure: int = 0) -> np.ndarray:
    """The pixels of a map's canvas, RGBA."""
    found = page.js(
        "const c = document.querySelectorAll('.map')[arguments[0]];"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return [c.height, c.width, btoa(Array.from(d, v => String.fromCharCode(v)).join(''))]",
        figure,
    )
    data = np.frombuffer(base64.b64decode(found[2]), np.uint8)
    return data.reshape(found[0], found[1], 4)


def _chosen(page: Page, within: str = "") -> list[str]:
    pressed = f"document.querySelectorAll('{within}[aria-pressed=true]')"
    return page.js(f"return [...{pressed}].map(b => b.textContent)")


def _clean(page: Page) -> None:
    """Assert that only the file itself was asked for and nothing was complained about."""
    asked = page.requests()
    assert [address.partition(":")[0] for address in asked] == ["file"]
    # Chromium advises on how these tests read the canvas back; that is not the page's doing.
    said = [entry["message"] for entry in page.log("browser")]
    assert [message for message in said if "getImageData" not in message] == []


def test_pointing_at_a_word_shows_its_map_at_its_place(page: Page, tmp_path: Path) -> None:
    page.open(write_report(tmp_path / "r.html", [[caption()]]))
    page.js("document.querySelector('.words button').focus()")
    page.press("Escape")
    assert not _map(page).any()
    page.point("[data-target='2']")  # the brightest word; its cell is row 1 of 4, column 2 of 6
    shown = _map(page)
    row, col = np.unravel_index(shown[..., 3].argmax(), shown.shape[:2])
    opaque = shown[..., 3] >= round(255 * OPACITY) - 1
    rows, cols = np.nonzero(opaque)
    assert (rows.mean(), cols.mean()) == pytest.approx((60 * 1.5 / 4 - 0.5, 90 * 2.5 / 6 - 0.5), abs=1)
    assert opaque[row, col]
    assert not shown[45:, :, 3].any()
    assert not shown[:, 60:, 3].any()
    assert "on: log-probability −2.5, probability 0.20." in page.js(
        "return document.querySelector('.readout').textContent"
    )
    page.point("h1")
    assert not _map(page).any()
    assert _chosen(page) == []
    _clean(page)


def test_the_page_draws_a_map_as_the_figure_does(page: Page, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    crop = Frame((60, 90), (32, 32), (-6.0, 15.0, 54.0, 75.0))
    made = replace(caption(), frame=crop, raw=rng.normal(size=(5, 4, 4)).astype(np.float32))
    page.open(write_report(tmp_path / "r.html", [[made]]))
    page.js("document.querySelector(\"[data-target='1']\").focus()")
    expected = tint(made.maps[1], scales(made)[1])
    expected[~crop.covered().numpy()] = 0
    shown = _map(page)
    assert abs(shown[..., 3].astype(int) - expected[..., 3]).max() <= 5  # one step of the ramp
    solid = expected[..., 3] > 100  # a canvas rounds colours of low opacity
    assert abs(shown[solid, :3].astype(int) - expected[solid, :3]).max() <= 5


def test_words_without_evidence_say_so_and_the_caption_has_its_own_scale(page: Page, tmp_path: Path) -> None:
    page.open(write_report(tmp_path / "r.html", [[caption()]]))
    ends = "return [...document.querySelectorAll('.ends span')].map(e => e.textContent)"
    assert page.js(ends) == ["0", "0.15", "0.3"]
    page.point("[data-target='3']")
    assert page.js("return document.querySelector('.stamp').checkVisibility()")
    assert not _map(page).any()
    assert page.js(ends) == ["0", "0.15", "0.3"]
    assert "No positive evidence" in page.js("return document.querySelector('.readout').textContent")
    page.point("[data-target='4']")
    assert not page.js("return document.querySelector('.stamp').checkVisibility()")
    assert page.js(ends) == ["0", "4.5", "9"]
    assert "scale of its own" in page.js("return document.querySelector('.readout').textContent")


def test_arrow_keys_walk_the_words(page: Page, tmp_path: Path) -> None:
    page.open(write_report(tmp_path / "r.html", [[caption()], [caption("a cat")]]))
    page.press("Tab")
    page.wait("document.activeElement.matches('h2 a')")
    page.press("Tab")
    assert _chosen(page, "#item-1 ") == ["a"]
    walked = []
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "End", "ArrowRight", "ArrowLeft", "Home"):
        page.press(key)
        walked += _chosen(page, "#item-1 ")
    assert walked == ["dog", "on", "dog", "whole caption", "a", "whole caption", "a"]
    stops = "return document.querySelectorAll('#item-1 .words [tabindex=\"0\"]').length"
    assert page.js(stops) == 1
    page.press("Escape")
    assert _chosen(page, "#item-1 ") == []
    assert not _map(page).any()
    assert page.js(stops) == 1
    assert page.js("return document.querySelector('#item-1 .readout').textContent") == ""
    outline = page.js("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    _clean(page)


def test_tapping_a_word_keeps_its_map(page: Page, tmp_path: Path) -> None:
    page.size(360, 740, mobile=True)
    page.open(write_report(tmp_path / "r.html", [[caption()]]))
    page.tap("[data-target='1']")
    page.wait("document.querySelector('[aria-pressed=true]')")
    assert _chosen(page) == ["dog"]
    assert _map(page).any()


def test_gradients_appear_beside_the_map(page: Page, tmp_path: Path) -> None:
    page.open(write_report(tmp_path / "r.html", [[caption(), at_pixels()]]))
    page.point("[data-target='0']")
    page.wait("document.querySelectorAll('.shown').length === 2")
    page.wait(
        "document.querySelectorAll('.map')[1].getContext('2d').getImageData(2, 2, 1, 1).data[3] === 255"
    )
    grid, pixels = _map(page, 0), _map(page, 1)
    assert grid[..., 3].max() > 0
    assert (pixels[..., 3] == 255).all()
    assert abs(pixels[58, 88, :3].astype(int) - 85).max() <= 3
    assert pixels[15, 28, 0] > 200  # red speaks for the word there
    _clean(page)


def test_answers_are_drawn_side_by_side(page: Page, tmp_path: Path) -> None:
    page.open(write_report(tmp_path / "r.html", [[answers()]]))
    page.wait("document.querySelectorAll('.shown').length === 2")
    assert _map(page, 0).any()
    assert not _map(page, 1).any()
    tops = "return [...document.querySelectorAll('.view')].map(v => v.getBoundingClientRect().top)"
    left, right = page.js(tops)
    assert left == right
    _clean(page)


def test_hostile_text_does_nothing(page: Page, tmp_path: Path) -> None:
    words = f"{HOSTILE} <img/src=x/onerror=document.title='broken'> \"' </script> ]]>"
    items = [[caption(words)], [answers(words)]]
    page.open(write_report(tmp_path / "r.html", items, HOSTILE, names=[words, words]))
    assert page.js("return document.title") == HOSTILE
    shown = page.js("return [...document.querySelectorAll('.sentence button')].map(b => b.textContent)")
    assert shown == words.split()
    page.js("document.querySelector('.sentence button').focus()")
    assert HOSTILE in page.js("return document.querySelector('.readout').textContent")
    assert page.js("return document.querySelectorAll('article').length") == 2
    _clean(page)


@pytest.mark.parametrize("words", ["a dog on grass", "x" * 300, " ".join(["word"] * 60)])
def test_a_phone_needs_no_sideways_scrolling(page: Page, tmp_path: Path, words: str) -> None:
    page.size(360, 740, mobile=True)
    items = [[caption(words), at_pixels(words)], [answers(words)]] + [[caption()]] * 3
    page.open(write_report(tmp_path / "r.html", items, names=["a" * 200 + ".jpg"] * 5))
    page.js("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.js("return document.documentElement.scrollWidth") <= 360
    small = page.js(
        "return [...document.querySelectorAll('.words button')].filter(b => b.offsetHeight < 36).length"
    )
    assert small == 0


def _contrast(page: Page, selector: str) -> float:
    """WCAG contrast of an element's text with the nearest background behind it."""
    ink, paper = page.js(
        "let e = document.querySelector(arguments[0]); const ink = getComputedStyle(e).color;"
        "let paper; do { paper = getComputedStyle(e).backgroundColor; e = e.parentElement; }"
        "while (paper === 'rgba(0, 0, 0, 0)'); return [ink, paper]",
        selector,
    )

    def luminance(colour: str) -> float:
        parts = np.array([float(v) for v in re.findall(r"[\d.]+", colour)[:3]]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(ink), luminance(paper)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_schemes(page: Page, tmp_path: Path, scheme: str) -> None:
    page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    made = replace(caption(), unknown=("wug",))
    page.open(write_report(tmp_path / "r.html", [[made]]))
    corner = page.picture().convert("L").getpixel((2, 2))
    assert corner > 240 if scheme == "light" else corner < 40
    page.js("document.querySelector(\"[data-target='1']\").focus()")
    for selector in (
        "h1",
        ".top p",
        ".words button",
        "[aria-pressed=true]",
        ".warning",
        "summary",
        ".ends",
    ):
        assert _contrast(page, selector) >= 4.5, selector
    moving = page.js("return getComputedStyle(document.querySelector('.words button')).transitionDuration")
    assert moving == "0s"


def test_a_page_of_a_hundred_opens_and_filters(page: Page, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    items = []
    for i in range(100):
        low = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8))
        picture = low.resize((1280, 960), Image.Resampling.BICUBIC)
        items.append([caption(f"a dog on grass number {i}", picture)])
    path = write_report(tmp_path / "r.html", items)
    assert path.stat().st_size < 5_000_000
    page.open(path)
    assert page.js("return performance.getEntriesByType('navigation')[0].domComplete") < 3000
    assert "100 photos" in page.js("return document.querySelector('footer').textContent")
    page.js("document.querySelector(\"#item-90 [data-target='0']\").focus()")  # far below the window
    assert page.js("return document.querySelector('#item-90 .shown .map') !== null")
    page.js("document.getElementById('filter').focus()")
    for key in "number 42":
        page.press(key)
    visible = "[...document.querySelectorAll('.item')].filter(i => !i.hidden).map(i => i.id)"
    assert page.js(f"return {visible}") == ["item-43"]
    page.js("document.querySelector(\"#item-43 [data-target='1']\").focus()")
    page.wait("document.querySelector('#item-43 [aria-pressed=true]')")
    _clean(page)


def _told_answers() -> Explanation:
    made = answers()
    return replace(made, targets=tuple(replace(one, blank=0.5) for one in made.targets))


def test_parts_of_scores_are_on_the_page_for_eyes_and_ears() -> None:
    page = _page([told()], [_told_answers()], names=("dog.jpg",))
    read = _Read(page)
    labels = [a["aria-label"] for t, a in read.tags if t == "button"]
    minus = "\N{MINUS SIGN}"
    assert labels[3] == f"grass: 3.0 nats from the image, {minus}6.5 from language alone"
    assert labels[4] == f"whole caption: 4.0 nats from the image, {minus}13.5 from language alone"
    assert read.texts["button"] == ["a", "dog", "on", "grass", "whole caption"]
    assert "3.0 logits from the image, 0.5 from the question alone" in read.texts["span"]
    assert {"+3.000", f"{minus}6.500", f"{minus}1.000"} <= set(read.texts["td"])
    assert {"From the image (nats)", "From language alone (nats)", "From the image (logits)"} <= set(
        read.texts["th"]
    )
    bars = [a for t, a in read.tags if t == "svg"]
    assert len(bars) == 4 + 5 + 2 + 2  # words; small maps; answers and their small maps
    assert all(one["aria-hidden"] == "true" for one in bars)
    against = [a for t, a in read.tags if t == "rect" and a["class"] == "image against"]
    assert len(against) == 2 + 2  # dog; blue


def test_a_table_by_kinds_of_words_is_in_the_summary(tmp_path: Path) -> None:
    read = _Read(_page([told("a red dog and two dogs")], [told()], [_told_answers()]))
    assert [text for text in read.texts["th"] if text.endswith(("words", "colours", "numbers"))] == [
        "content words",
        "colours",
        "numbers",
        "function words",
    ]
    assert {"+2.25", "+1.25"} <= set(read.texts["td"])
    assert read.texts["caption"] == ["What the image gives to words of each kind"]
    other = replace(told(), provenance=replace(told().provenance, layer="features.9"))
    captions = _Read(_page([told()], [other])).texts["caption"]
    assert [text.rpartition(", ")[2] for text in captions] == ["features.3", "features.9"]
    tags = {"an": "DT", "orange": "NN", "on": "IN", "grass": "NN"}
    path = write_report(
        tmp_path / "r.html",
        [[told("an orange on grass")]],
        tagger=lambda words: [(word, tags[word]) for word in words],
    )
    assert "colours" not in _Read(path.read_text(encoding="utf-8")).texts["th"]


def test_a_page_without_evidence_says_nothing_of_it() -> None:
    read = _Read(_page([caption(), at_pixels()], [answers()]))
    assert not any(t in ("svg", "rect", "caption") for t, _ in read.tags)
    texts = " ".join(text for name, told in read.texts.items() if name != "script" for text in told)
    for word in ("nats", "from the image", "language alone", "Completeness"):
        assert word not in texts
    assert not any("aria-label" in a for t, a in read.tags if t == "button")


def test_small_maps_of_all_targets_stand_on_the_page_without_a_script() -> None:
    made, pixels = told(), at_pixels()
    read = _Read(_page([made, pixels], [answers()]))
    small = [a for t, a in read.tags if t == "img" and (a.get("src") or "").startswith("data:image/webp")]
    assert len(small) == 5 + 5 + 2
    assert small[2]["alt"] == "Grad-CAM for on"
    shown = Image.open(io.BytesIO(base64.b64decode((small[2]["src"] or "").partition(",")[2])))
    assert shown.size == (90, 60)
    colours = np.ptp(np.asarray(shown.convert("RGB")).astype(int), -1)
    assert colours[22, 37] > 40  # row 1 of 4, column 2 of 6
    assert colours[50, 75] < 30
    wide = _Read(_page([caption(image=photo(900, 1500))]))
    sizes = [
        Image.open(io.BytesIO(base64.b64decode((a["src"] or "").partition(",")[2]))).size
        for t, a in wide.tags
        if t == "img" and (a.get("src") or "").startswith("data:image/webp")
    ]
    assert sizes == [(128, 77)] * 5


def test_maps_that_add_up_have_a_unit() -> None:
    made = told()
    raw = np.stack([np.full((4, 6), one.from_image / 24, np.float32) for one in made.targets])
    targets = tuple(replace(one, error=0.0) for one in made.targets)
    page = _page([replace(made, raw=raw, targets=targets)])
    assert _data(page)[0]["views"][0]["unit"] == "nats"
    assert "nats at each place" in page
    assert "Completeness error" in page
    assert "gradients add up to within 0.01 nats" in _data(page)[0]["views"][0]["maps"][0]["error"]
    assert _data(_page([made]))[0]["views"][0]["unit"] == ""


# In a browser, with evidence ------------------------------------------------------------------


def test_the_most_visual_word_is_shown_untouched(page: Page, tmp_path: Path) -> None:
    raw = told().raw.copy()
    raw[3, 1, 3] = 0.2  # the word with most evidence has not the strongest map
    page.open(write_report(tmp_path / "r.html", [[replace(told(), raw=raw)], [caption()]]))
    page.wait("document.querySelectorAll('[aria-pressed=true]').length === 2")
    assert _chosen(page) == ["grass", "on"]
    assert _map(page).any()
    told_of = page.js("return document.querySelector('.readout').textContent")
    assert told_of.startswith("grass: log-probability")
    assert "3.0 nats from the image" in told_of
    assert page.js("return document.querySelector('.readout').ariaLive") == "off"
    page.point("[data-target='0']")
    page.point("h1")
    assert _chosen(page) == ["grass", "on"]
    page.press("Escape")
    page.js("document.querySelector(\"[data-target='1']\").focus()")
    assert page.js("return document.querySelector('.readout').ariaLive") == "polite"
    page.press("Escape")
    assert _chosen(page) == ["on"]
    _clean(page)


def test_a_map_can_be_drawn_on_its_own_scale_with_the_keyboard(page: Page, tmp_path: Path) -> None:
    page.open(write_report(tmp_path / "r.html", [[caption()]]))
    page.js("document.querySelector(\"[data-target='0']\").focus()")
    ends = "return [...document.querySelectorAll('.ends span')].map(e => e.textContent)"
    weak = _map(page)[..., :3].astype(int)
    assert page.js(ends) == ["0", "0.15", "0.3"]
    page.press("Tab")
    assert page.js("return document.activeElement.matches('.stretched')")
    page.press(" ")
    page.wait("document.activeElement.checked")
    assert page.js(ends) == ["0", "0.05", "0.1"]
    stretched = _map(page)
    row, col = np.unravel_index(stretched[..., 3].argmax(), stretched.shape[:2])
    strong = stretched[22, 7]
    assert abs(strong[:3].astype(int) - ramp()[255, :3].astype(int)).sum() < 60
    assert strong[:3].sum() > weak[22, 7].sum()
    assert stretched[row, col, 3] >= round(255 * OPACITY) - 1
    page.press(" ")
    assert page.js(ends) == ["0", "0.15", "0.3"]
    assert _chosen(page) == ["a"]
    _clean(page)


def test_signed_maps_keep_their_0_on_their_own_scale(page: Page, tmp_path: Path) -> None:
    raw = caption().raw.copy()
    raw[0] = 0
    raw[0, 1, 0], raw[0, 1, 4], raw[1, 1, 1] = -0.01, 0.02, -0.5
    made = replace(caption(), raw=raw)
    page.open(write_report(tmp_path / "r.html", [[made]]))
    page.js("document.querySelector(\"[data-target='0']\").focus()")
    page.js("document.querySelector('.stretched').click()")
    ends = page.js("return [...document.querySelectorAll('.ends span')].map(e => e.textContent)")
    assert ends == ["\N{MINUS SIGN}0.02", "0", "0.02"]
    shown = _map(page).astype(int)
    assert shown[22, 67, 0] > shown[22, 67, 2]  # red for it
    assert shown[22, 7, 2] > shown[22, 7, 0]  # blue against it
    assert shown[55, 40, 3] <= 4


def _forbid_script(path: Path) -> None:
    """Let a page's policy run no script."""
    text, count = re.subn(r"script-src .*?; (?=base-uri)", "", path.read_text(encoding="utf-8"))
    assert count == 1
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("script", [True, False])
def test_a_printed_page_shows_all_words_with_their_maps_and_numbers(
    page: Page, tmp_path: Path, script: bool
) -> None:
    path = write_report(tmp_path / "r.html", [[told()], [_told_answers()]])
    if not script:
        _forbid_script(path)
    page.cdp("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        page.open(path)
        seen = page.js(
            "return [...document.querySelectorAll('.small')].filter(e => e.checkVisibility())"
            ".map(e => [e.querySelector('img').naturalWidth, e.querySelector('figcaption').innerText])"
        )
        gone = page.js(
            "return [...document.querySelectorAll('nav, .map, .stretch, .stamp, .panels section')]"
            ".filter(e => e.checkVisibility()).length"
        )
    finally:
        page.cdp("Emulation.setEmulatedMedia", {"media": ""})
    assert gone == 0
    assert len(seen) == 5 + 2
    assert seen[3][1].split("\n")[0] == "grass"
    assert "3.0 nats from the image" in seen[3][1]
    assert "log-probability" in seen[3][1]
    assert seen[5][1].startswith("red")


def test_without_a_script_small_maps_are_shown_on_the_screen(page: Page, tmp_path: Path) -> None:
    path = write_report(tmp_path / "r.html", [[told()], [told("a cat")]])
    page.open(path)
    small = "return [...document.querySelectorAll('.small')].filter(e => e.checkVisibility()).length"
    assert page.js(small) == 0
    _forbid_script(path)
    page.open(path)
    assert page.js(small) == 5 + 3
    assert page.js("return document.querySelector('.stretch').checkVisibility()") is False
    heights = (
        "return [...document.querySelectorAll('.words .parts')].map(e => e.getBoundingClientRect().height)"
    )
    assert min(page.js(heights)) > 5


def test_bars_need_no_sideways_scrolling_and_hostile_words_stay_text(page: Page, tmp_path: Path) -> None:
    page.size(360, 740, mobile=True)
    words = f"{HOSTILE} \"quoted\" 'x' " + " ".join(["word"] * 20)
    page.open(write_report(tmp_path / "r.html", [[told(words)], [_told_answers()]], HOSTILE))
    page.js("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.js("return document.documentElement.scrollWidth") <= 360
    label = page.js("return document.querySelector('.words button').ariaLabel")
    assert label.startswith(f"{HOSTILE}: 0.0 nats")
    _clean(page)
