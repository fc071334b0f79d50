"""Colours and figures: the numbers behind every pixel, and pictures that never fail to draw."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tests.explained import answers, at_pixels, caption, photo, spot, told
from vlx import Frame, VlxError, load_explanation
from vlx.show import figures, files
from vlx.show.colours import (
    OPACITY,
    Scale,
    gradient_picture,
    overlay,
    ramp,
    reduced,
    scales,
    shared_scale,
    target_picture,
    tint,
    unit,
)

planes = arrays.arrays(np.float64, (3, 4), elements=st.floats(-100, 100, width=32))


@given(planes)
def test_unit_spans_0_to_1_keeps_order_and_leaves_its_argument(plane: np.ndarray) -> None:
    before = plane.copy()
    out = unit(plane)
    np.testing.assert_array_equal(plane, before)
    if plane.max() > plane.min():
        assert (out.min(), out.max()) == (0.0, 1.0)
        order = np.argsort(plane.ravel(), kind="stable")
        assert (np.diff(out.ravel()[order]) >= 0).all()
    else:
        assert not out.any()


def test_shared_scale_covers_all_maps_and_leaves_them() -> None:
    maps = [spot(0, 0, 0.25), spot(1, 1, 2.0)]
    copies = [plane.copy() for plane in maps]
    assert shared_scale(maps) == Scale(2.0)
    assert shared_scale([*maps, spot(0, 1, -3.0)]) == Scale(3.0, signed=True)
    assert shared_scale([spot(0, 0, 0.0)]) == Scale(0.0) == shared_scale([])
    for plane, copy in zip(maps, copies, strict=True):
        np.testing.assert_array_equal(plane, copy)


def test_share_is_linear_neither_squared_nor_inverted() -> None:
    values = np.array([0.0, 0.5, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(Scale(2.0).share(values), [0, 0.25, 0.5, 1, 1])
    np.testing.assert_allclose(Scale(2.0, True).share(-values), [0, -0.25, -0.5, -1, -1])
    assert not Scale(0.0).share(values).any()


def test_words_share_a_scale_and_a_whole_caption_has_its_own() -> None:
    one, two, three, four, whole = scales(caption())
    assert one == two == three == four == Scale(float(np.float32(0.3)))
    assert whole == Scale(9.0)


def test_ramp_brightness_rises_evenly_and_opacity_is_as_documented() -> None:
    table = ramp().astype(float)
    linear = (table[:, :3] / 255) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    lightness = np.cbrt(linear)
    assert (np.diff(lightness) > -1e-3).all()
    steps = np.diff(lightness[::32])
    assert steps.max() < 2 * steps.min()
    np.testing.assert_allclose(
        table[[0, 42, 85, 170, 255], 3] / 255, np.array([0, 42 / 85, 1, 1, 1]) * OPACITY, atol=0.01
    )


def test_signed_ramp_is_bare_at_0_and_red_for_the_positive_end() -> None:
    against, nothing, speaks_for = tint(np.array([[-2.0, 0.0, 2.0]]), Scale(2.0, True))[0]
    assert speaks_for[0] > speaks_for[2]
    assert against[2] > against[0]
    assert nothing[3] <= 2
    assert speaks_for[3] == against[3] == round(255 * OPACITY)


def test_overlay_shows_the_grey_photo_where_there_is_no_evidence() -> None:
    picture = photo()
    plane = np.zeros((60, 90))
    plane[:, 45:] = 1.0
    out = np.asarray(overlay(picture, plane, Scale(1.0)))
    grey = np.asarray(picture.convert("L").convert("RGB"))
    np.testing.assert_array_equal(out[:, :45], grey[:, :45])
    blend = (1 - OPACITY) * grey[:, 45:] + OPACITY * ramp()[255, :3].astype(float)
    np.testing.assert_allclose(out[:, 45:], blend, atol=1.6)


def test_gradients_are_stretched_by_one_minimum_and_maximum_over_the_channels() -> None:
    raw = np.zeros((3, 2, 2))
    raw[0, 0, 0], raw[2, 1, 1] = 3.0, -1.0
    out = np.asarray(gradient_picture(raw))
    assert out[0, 0].tolist() == [255, 64, 64]  # (3, 0, 0) on -1 to 3
    assert out[1, 1].tolist() == [64, 64, 0]
    assert out[0, 1].tolist() == out[1, 0].tolist() == [64, 64, 64]
    assert np.unique(np.asarray(gradient_picture(np.zeros((3, 2, 2))))).tolist() == [128]


def test_reduced_keeps_the_place_of_the_box() -> None:
    crop = Frame((600, 900), (32, 32), (0.0, 150.0, 600.0, 750.0))
    large = replace(caption(image=photo(600, 900)), frame=crop)
    small, frame = reduced(large, 90)
    assert small.size == (90, 60) == frame.image_size[::-1]
    assert frame.box == (0.0, 15.0, 60.0, 75.0)
    same, kept = reduced(large, 4000)
    assert same.size == (900, 600)
    assert kept == crop
    assert same is not large.image


def test_target_picture_colours_the_right_place_and_nothing_outside_the_crop() -> None:
    crop = Frame((60, 90), (32, 32), (0.0, 15.0, 60.0, 75.0))
    cropped = replace(caption(), frame=crop, raw=np.ones((5, 4, 4), np.float32))
    out = np.asarray(target_picture(cropped, 0, Scale(1.0)).convert("RGB")).astype(int)
    coloured = np.ptp(out, axis=-1) > 30
    assert coloured[:, 16:74].all()
    assert not coloured[:, :15].any()
    assert not coloured[:, 75:].any()


def _texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect every text that is drawn."""
    from matplotlib.text import Text

    seen: list[str] = []
    plain = Text.draw

    def draw(self: Text, *given: object, **named: object) -> None:
        seen.append(self.get_text())
        plain(self, *given, **named)

    monkeypatch.setattr(Text, "draw", draw)
    return seen


def test_figure_names_every_word_with_its_score_and_says_what_has_no_evidence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = _texts(monkeypatch)
    picture = figures.figure(caption())
    assert picture.mode == "RGB"
    for word in ("photo", "a", "dog", "on", "grass", "caption"):
        assert word in seen
    assert seen.count("no positive evidence") == 1
    assert "score \N{MINUS SIGN}1.50, p 0.30" in seen
    assert "score \N{MINUS SIGN}9.50, p < 0.01" in seen
    assert "own scale, to 9" in seen
    assert "a dog on grass" in seen
    assert {"0", "0.15", "0.3"} <= set(seen)


def test_figure_of_an_answer_shows_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _texts(monkeypatch)
    figures.figure(answers("Is this " + "really " * 40 + "a dog?"))
    title = next(text for text in seen if text.startswith("Is this"))
    assert "\n" in title
    assert title.endswith("dog?")


def test_figure_of_gradients_has_no_colour_bar_but_says_how_they_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = _texts(monkeypatch)
    figures.figure(at_pixels())
    assert any("signed RGB gradients" in text for text in seen)
    assert "0.15" not in seen


def test_long_captions_wrap_in_rows() -> None:
    narrow = figures.figure(caption("one two three four"))
    long = figures.figure(caption(" ".join(f"w{i}" for i in range(30))))
    assert long.width == narrow.width
    assert long.height > 3.5 * narrow.height


@pytest.mark.parametrize(
    "words", ["$x_{ a $ \\frac <b>", "日本 の 犬 🐕 שלום", "a " + "x" * 200, "%s {0} \x07 a"]
)
def test_any_text_is_drawn_as_it_is(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _texts(monkeypatch)
    figures.figure(caption(words))
    assert words.split()[0] in seen


@pytest.mark.parametrize("size", [(1, 1), (8, 900), (900, 8), (2000, 3000)])
def test_photos_of_any_shape_are_drawn(size: tuple[int, int]) -> None:
    picture = figures.figure(caption(image=photo(*size)))
    assert max(picture.size) < 2000


def test_figure_leaves_the_explanation_as_it_was() -> None:
    made = caption()
    raw, pixels = made.raw.copy(), np.asarray(made.image).copy()
    figures.figure(made)
    np.testing.assert_array_equal(made.raw, raw)
    np.testing.assert_array_equal(np.asarray(made.image), pixels)


def test_a_saved_figure_is_the_figure(tmp_path) -> None:
    made = caption()
    png, _, _ = made.save(tmp_path / "dog.v2")
    np.testing.assert_array_equal(
        np.asarray(Image.open(png)),
        np.asarray(figures.figure(load_explanation(tmp_path / "dog.v2"))),
    )


def test_show_opens_the_viewer_outside_notebooks_and_displays_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[Image.Image] = []
    monkeypatch.setattr(Image.Image, "show", lambda self: shown.append(self))
    files.show(caption(), None)
    assert len(shown) == 1
    display = pytest.importorskip("IPython.display")
    monkeypatch.setattr(files, "_in_notebook", lambda: True)
    monkeypatch.setattr(display, "display", lambda picture: shown.append(picture))
    files.show(caption(), None)
    assert len(shown) == 2


def test_importing_figures_does_not_import_matplotlib() -> None:
    import subprocess

    code = "import sys, vlx.show.figures, vlx.show.colours; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_comparison_names_what_sets_each_explanation_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _texts(monkeypatch)
    first = answers()
    deeper = replace(
        first, raw=4 * first.raw, provenance=replace(first.provenance, layer="features.9", method="hires_cam")
    )
    assert figures.differences([first, deeper]) == ["features.3, grad_cam", "features.9, hires_cam"]
    assert figures.differences([first]) == figures.differences([first, first])[:1] == [""]
    picture = figures.comparison([first, deeper])
    assert picture.height > 1.6 * figures.figure(first).height
    assert picture.width == figures.figure(first).width
    for text in ("features.3, grad_cam", "features.9, hires_cam", "scale to 1.5", "scale to 6"):
        assert text in seen
    assert seen.count("red") >= 2


def test_a_comparison_of_long_captions_begins_a_row_for_each() -> None:
    long = caption(" ".join(f"w{at}" for at in range(7)))  # a photo, 7 words and the caption: two rows
    alone, two = figures.comparison([long]), figures.comparison([long, long])
    assert alone.width == two.width
    assert two.height - alone.height == pytest.approx(alone.height - 120, abs=60)


def test_only_explanations_of_one_photo_and_text_are_compared() -> None:
    for others in ([], [answers(), answers("Another?")], [answers(), caption()]):
        with pytest.raises(VlxError, match="compare"):
            figures.comparison(others)
    smaller = replace(answers(), image=photo(30, 30), frame=Frame.resized((30, 30), (32, 48)))
    with pytest.raises(VlxError, match="same photo"):
        figures.comparison([answers(), smaller])


def test_bars_of_a_figure_say_what_comes_from_the_image_and_from_language(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = figures.figure(caption())
    seen = _texts(monkeypatch)
    picture = figures.figure(told())
    assert picture.width == plain.width
    assert 30 < picture.height - plain.height < 120  # two thin lines for each of two rows
    assert {"nats from the image", "nats from language alone"} <= set(seen)
    # word i: score -0.5 - i, of which 0, -1, 2 and 3 nats from the image; the caption 4 of -9.5
    minus = "\N{MINUS SIGN}"
    for image, alone in (("0.0", f"{minus}0.5"), (f"{minus}1.0", f"{minus}0.5"), ("+2.0", f"{minus}4.5"),
                         ("+3.0", f"{minus}6.5"), ("+4.0", f"{minus}13.5")):  # fmt: skip
        at = next(i for i, text in enumerate(seen) if text == image)
        assert seen[at + 1] == alone


def test_bars_have_one_axis_and_their_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    drawn: list[tuple[float, float, str]] = []
    plain = Axes.barh

    def barh(self: Axes, y: float, width: float, height: float, left: float = 0.0, **named: str) -> object:
        drawn.append((left, width, named["color"]))
        return plain(self, y, width, height, left=left, **named)

    monkeypatch.setattr(Axes, "barh", barh)
    figures.figure(told())
    legend, bars = drawn[:2], drawn[2:]
    image, alone = legend[0][2], legend[1][2]
    unit = bars[7][1] / 6.5  # the last word's language alone; from -6.5 to 3 nats is the axis
    zero = 6.5 * unit
    for at, (value, blank) in enumerate(((0, -0.5), (-1, -0.5), (2, -4.5), (3, -6.5))):
        (left, wide, colour), (other, width, grey) = bars[2 * at : 2 * at + 2]
        assert (left, wide) == pytest.approx((zero + min(value, 0) * unit, abs(value) * unit))
        assert (other, width) == pytest.approx((zero + blank * unit, -blank * unit))
        assert grey == alone
        assert (colour == image) == (value >= 0)
    assert bars[8][1] / bars[9][1] == pytest.approx(4 / 13.5)  # the caption, on an axis of its own


def test_an_answer_has_logits_and_a_path_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    made = answers()
    targets = tuple(replace(one, blank=1.0, error=-0.034) for one in made.targets)
    seen = _texts(monkeypatch)
    figures.figure(replace(made, targets=targets))
    assert {"logits from the image", "logits from the question alone"} <= set(seen)
    assert seen.count("gradients add up to within 0.03 logits") == 2
    assert not any("nats" in text for text in seen)
    seen.clear()
    figures.figure(replace(made, targets=targets, prompt=""))
    assert "logits without the image" in seen


def test_without_evidence_a_figure_has_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _texts(monkeypatch)
    figures.figure(caption())
    assert not any("from the image" in text for text in seen)


@pytest.mark.parametrize("words", ["a", "a red bus", " ".join(f"w{i}" for i in range(20))])
def test_bars_of_any_number_of_words(words: str) -> None:
    made = told(words)
    figures.figure(made)
    figures.comparison([made, made])
    some = replace(made, targets=(made.targets[0], *caption(words).targets[1:]))  # known of one alone
    assert figures.figure(some).size == figures.figure(made).size
    nothing = tuple(replace(one, blank=one.score) for one in made.targets)
    figures.figure(replace(made, targets=nothing))
    zero = tuple(replace(one, score=0.0, blank=0.0) for one in made.targets)
    figures.figure(replace(made, targets=zero))
