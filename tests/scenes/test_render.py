"""What is drawn: the same every time, and masks that hold exactly the pixels an object gave."""

import colorsys
from dataclasses import replace

import numpy as np
import pytest

from vlx.errors import VlxError
from vlx.scenes import render as drawing
from vlx.scenes import scene_random
from vlx.scenes.formats import write_world
from vlx.scenes.inventory import BY_NAME, CATEGORIES, COLOURS, GROUNDS, Category, Glyph
from vlx.scenes.plan import SIDE, Item, Scene, plan_scene
from vlx.scenes.render import render

pytestmark = pytest.mark.usefixtures("emoji_font")


def scenes(count: int, seed: int = 5) -> list[Scene]:
    return [plan_scene(scene_random(seed, index)) for index in range(count)]


def item(name: str, glyph: int = 0, **changes: object) -> Item:
    category = BY_NAME[name]
    plain = Item(category, category.glyphs[glyph], 90, 112.0, 112.0, 0.0, False, None)
    return replace(plain, **changes)


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, cols = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    return rows[0], cols[0], rows[-1] + 1, cols[-1] + 1


def cover(one: Item) -> np.ndarray:
    """How far an object covers each pixel, from the pixels alone.

    Of a ground's light 1 - a comes through an object of opacity a. So the difference of two
    pictures on two grounds is (1 - a) times the difference of the grounds.
    """

    def bright(ground: str, *items: Item) -> np.ndarray:
        return render(Scene(ground, items, 7))[0].astype(float).sum(-1)

    return 1 - (bright("snow", one) - bright("sea", one)) / (bright("snow") - bright("sea"))


def test_a_scene_is_drawn_the_same_every_time():
    for scene in scenes(4):
        pixels, masks = render(scene)
        again, same = render(scene)
        assert pixels.shape == (SIDE, SIDE, 3)
        assert pixels.dtype == np.uint8
        assert masks.shape == (len(scene.items), SIDE, SIDE)
        np.testing.assert_array_equal(pixels, again)
        np.testing.assert_array_equal(masks, same)


def test_another_texture_is_another_ground_under_the_same_objects():
    scene = scenes(1)[0]
    pixels, masks = render(scene)
    other, same = render(replace(scene, texture=scene.texture + 1))
    np.testing.assert_array_equal(masks, same)
    assert (pixels != other).any(-1)[~masks.any(0)].mean() > 0.5


@pytest.mark.parametrize("index", range(12))
def test_a_mask_holds_the_pixels_that_its_object_covers_by_half(index):
    for one in scenes(12)[index].items:
        mask = render(Scene("road", (one,), 1))[1][0]
        share = cover(one)
        clear = np.abs(share - 0.5) > 0.02  # bytes round
        assert clear.mean() > 0.99
        np.testing.assert_array_equal(mask[clear], share[clear] > 0.5)


@pytest.mark.parametrize("index", range(12))
def test_an_object_hides_those_behind_it_and_no_others(index):
    scene = scenes(12, seed=8)[index]
    _, masks = render(scene)
    alone = [render(Scene("road", (one,), 1))[1][0] for one in scene.items]
    for at, mask in enumerate(masks):
        expected = alone[at].copy()
        for later in alone[at + 1 :]:
            expected &= ~later
        np.testing.assert_array_equal(mask, expected)
        assert mask.sum() > 0.5 * alone[at].sum()


@pytest.mark.parametrize("index", range(12))
def test_without_an_object_just_its_pixels_change(index):
    scene = scenes(12, seed=9)[index]
    pixels, masks = render(scene)
    for at, one in enumerate(scene.items):
        others = scene.items[:at] + scene.items[at + 1 :]
        changed = (render(replace(scene, items=others))[0] != pixels).any(-1)
        assert changed[masks[at]].mean() > 0.99  # a pixel may have its ground's colour
        drawn = cover(one) > 0
        near = drawn | np.roll(drawn, 1, 0) | np.roll(drawn, -1, 0) | np.roll(drawn, 1, 1)
        near |= np.roll(drawn, -1, 1)
        assert not changed[~near].any()


def test_an_empty_scene_is_its_ground():
    pixels, masks = render(Scene("grass", (), 3))
    assert masks.shape == (0, SIDE, SIDE)
    assert pixels.std() > 5


def test_grounds_are_textured_and_differ():
    mean = {ground: render(Scene(ground, (), 3))[0].mean((0, 1)) for ground in GROUNDS}
    spread = {ground: render(Scene(ground, (), 3))[0].std() for ground in GROUNDS}
    assert min(spread.values()) > 5
    for one in mean:
        for other in mean:
            assert one == other or np.abs(mean[one] - mean[other]).max() > 20


GLYPHS = [(category.name, at) for category in CATEGORIES for at in range(len(category.glyphs))]


def test_every_glyph_is_drawn_and_no_two_look_alike():
    seen = set()
    for name, at in GLYPHS:
        pixels, masks = render(Scene("snow", (item(name, at),), 3))
        assert masks[0].sum() > 300, name
        seen.add(np.where(masks[0][..., None], pixels, 0).tobytes())
    assert len(seen) == len(GLYPHS)


@pytest.mark.parametrize("name", ["dog", "bus", "giraffe", "skateboard", "book"])
@pytest.mark.parametrize("size", [34, 60, 112])
def test_size_and_place_are_those_of_the_plan(name, size):
    mask = render(Scene("road", (item(name, size=size, row=100.0, col=130.0),), 1))[1][0]
    top, left, bottom, right = box(mask)
    assert abs(max(bottom - top, right - left) - size) <= 2
    assert abs((top + bottom) / 2 - 100) <= 1.5
    assert abs((left + right) / 2 - 130) <= 1.5


def test_a_mirrored_object_is_its_mirror_image():
    one = item("dog")
    (plain, seen), (turned, same) = (
        render(Scene("road", (replace(one, mirrored=way),), 1)) for way in (False, True)
    )
    top, left, bottom, right = box(seen[0])
    assert box(same[0]) == (top, left, bottom, right)
    flipped = seen[0][top:bottom, left:right][:, ::-1]
    np.testing.assert_array_equal(same[0][top:bottom, left:right], flipped)
    inside = turned[top:bottom, left:right][flipped].astype(int)
    error = np.abs(inside - plain[top:bottom, left:right][:, ::-1][flipped])
    assert np.median(error) == 0  # all but the rim, where ground shines through


def axis(one: Item) -> float:
    """The direction of an object's longest extent, in degrees counter-clockwise from the right."""
    rows, cols = render(Scene("road", (one,), 1))[1][0].nonzero()
    (across, both), (_, up) = np.cov(cols, -rows)
    return float(np.degrees(0.5 * np.arctan2(2 * both, across - up)))


@pytest.mark.parametrize("name", ["spoon", "skateboard", "toothbrush", "bicycle"])
@pytest.mark.parametrize("angle", [-20.0, 7.0, 20.0])
def test_angles_turn_counter_clockwise(name, angle):
    turned = axis(item(name, angle=angle)) - axis(item(name))
    assert (turned - angle + 90) % 180 - 90 == pytest.approx(0, abs=2)  # an axis has no ends


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("name", [category.name for category in CATEGORIES if category.colours])
def test_a_coloured_object_has_its_hue(colour, name):
    pixels, masks = render(Scene("snow", (item(name, colour=colour),), 1))
    hues = []
    for red, green, blue in pixels[masks[0]] / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        if saturation > 0.5 and value > 0.3:
            hues.append(hue)
    assert len(hues) > 0.05 * masks[0].sum()
    away = np.abs(np.array(hues) - COLOURS[colour])
    assert np.median(np.minimum(away, 1 - away)) < 0.02


@pytest.fixture
def no_font(monkeypatch, tmp_path):
    monkeypatch.setattr(drawing, "FONT", tmp_path / "NotoColorEmoji.ttf")
    drawing._font.cache_clear()
    drawing._glyph.cache_clear()
    yield
    drawing._font.cache_clear()
    drawing._glyph.cache_clear()


def test_a_missing_font_is_told_with_its_package(no_font, tmp_path):
    for call in (drawing.need_font, lambda: render(scenes(1)[0]), lambda: write_world(tmp_path / "w", 1)):
        with pytest.raises(VlxError, match="fonts-noto-color-emoji") as error:
            call()
        assert "\n" not in str(error.value)
    assert not (tmp_path / "w").exists()


def test_a_glyph_that_the_font_lacks_is_told():
    lacking = Glyph("\u0378")  # not assigned
    category = Category(1, "person", (lacking,), (("person", "people"),))
    with pytest.raises(VlxError, match=r"draws nothing for U\+0378"):
        render(Scene("sea", (Item(category, lacking, 60, 112.0, 112.0, 0.0, False, None),), 1))
