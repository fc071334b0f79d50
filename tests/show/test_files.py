"""Pictures as people ask for them: overlays on the photo, boxes, figures in the format of their name."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.explained import at_pixels, caption, photo
from vlx import VlxError
from vlx.images.segments import largest_segment, segment_box
from vlx.show.colours import Scale, only, overlay, scales
from vlx.show.figures import FAINT, figure


def test_an_overlay_is_of_the_photos_size_and_ends_at_its_own_maximum():
    made = caption()
    picture = made.overlay("dog")
    assert picture.size == made.image.size
    own = overlay(made.image, made.map("dog"), Scale(float(made.grid_maps[1].max())))
    assert picture.tobytes() == own.tobytes()
    common = made.overlay("dog", scale="common")
    assert common.tobytes() == overlay(made.image, made.map("dog"), scales(made)[1]).tobytes()
    assert made.overlay(1).tobytes() == picture.tobytes()


def test_a_heatmap_shows_no_photo():
    made = caption()
    light = replace(made, image=Image.new("RGB", made.image.size, "white"))
    assert made.heatmap("dog").tobytes() == light.heatmap("dog").tobytes()
    empty = np.asarray(made.heatmap(3))  # the last word has no evidence
    assert not empty.any()


def test_maps_at_pixels_are_drawn_as_signed_gradients():
    made = at_pixels()
    assert made.overlay(0).size == made.image.size
    assert made.overlay(0).tobytes() == made.heatmap(0).tobytes()


def test_a_box_cuts_out_the_largest_part_of_a_map():
    made = caption()
    box = made.box("dog", 0.5)
    assert box is not None
    inside = made.map("dog")[box[1] : box[3], box[0] : box[2]]
    assert inside.max() == made.map("dog").max()
    assert made.image.crop(box).size == (box[2] - box[0], box[3] - box[1])
    assert made.box(3) is None
    for threshold in (0, -1, 1.5, float("nan")):
        with pytest.raises(VlxError, match="share of the maximum"):
            made.box("dog", threshold)


def test_the_largest_segment_by_a_loop_over_neighbours():
    random = np.random.default_rng(0)
    for _ in range(50):
        mask = random.random((7, 9)) < 0.45
        if mask.any():
            assert largest_segment(mask) == by_flooding(mask)
    with pytest.raises(VlxError, match="no segment"):
        segment_box(np.zeros((2, 2)), 0.5)


def by_flooding(mask: np.ndarray) -> tuple[int, int, int, int]:
    left, best = mask.copy(), []
    for start in np.argwhere(mask):
        part, todo = [], [tuple(start)]
        while todo:
            row, col = todo.pop()
            if 0 <= row < mask.shape[0] and 0 <= col < mask.shape[1] and left[row, col]:
                left[row, col] = False
                part.append((row, col))
                todo += [(row + a, col + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        best = part if len(part) > len(best) else best
    rows, cols = zip(*best, strict=True)
    return min(cols), min(rows), max(cols) + 1, max(rows) + 1


@pytest.mark.parametrize(("name", "begins"), [("x.png", b"\x89PNG"), ("x.PDF", b"%PDF"), ("x.svg", b"<?xml")])
def test_a_figure_is_what_its_name_says(tmp_path: Path, name: str, begins: bytes):
    made = caption()
    paths = made.save(tmp_path / "new" / name, dpi=60, columns=2, words=["dog", 0], scale="own")
    assert paths == (tmp_path / "new" / name,)
    blob = paths[0].read_bytes()
    assert blob.startswith(begins)
    assert [one.name for one in (tmp_path / "new").iterdir()] == [name]
    made.save(tmp_path / "new" / name, dpi=60, columns=2, words=["dog", 0], scale="own")
    assert paths[0].read_bytes() == blob


def test_a_stem_is_three_files_and_dpi_scales_the_picture(tmp_path: Path):
    small, *others = caption().save(tmp_path / "photo.v2", dpi=60)
    assert [one.name for one in (small, *others)] == ["photo.v2.png", "photo.v2.json", "photo.v2.npz"]
    large, *_ = caption().save(tmp_path / "large", dpi=120)
    with Image.open(small) as one, Image.open(large) as other:
        assert abs(other.width - 2 * one.width) <= 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dpi": 5}, "dpi 5"), ({"columns": 0}, "0 columns"), ({"words": []}, "no target"),
        ({"words": ["cat"]}, "was not explained"),
    ],
)  # fmt: skip
def test_what_no_figure_has_is_refused_before_anything_is_written(tmp_path: Path, given, said: str):
    with pytest.raises(VlxError, match=said):
        caption().save(tmp_path / "x.png", **given)
    assert not list(tmp_path.iterdir())


def test_words_that_are_drawn_alone_share_their_own_scale():
    made = caption()
    assert scales(only(made, ["a"])) == (Scale(float(made.grid_maps[0].max())),)
    assert only(made, "dog").targets == (made.targets[1],)
    drawn = figure(made, words=["dog"])
    assert drawn.width < figure(made).width


def test_own_scales_end_at_each_maximum():
    made = caption()
    assert [one.high for one in scales(made, "own")] == [float(plane.max()) for plane in made.grid_maps]


def test_a_faint_word_is_stamped_on_the_common_scale_only(monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []
    from vlx.show import figures

    panel = figures.Panel

    def noted(*given, **named):
        made = panel(*given, **named)
        seen.append(made.remark)
        return made

    monkeypatch.setattr(figures, "Panel", noted)
    made = caption()
    raw = made.raw
    raw[0] *= FAINT * 0.5
    faint = replace(made, raw=raw)
    figure(faint)
    assert seen[1].startswith("faint: to 0.0")
    assert not any(one.startswith("faint") for one in seen[2:])
    seen.clear()
    figure(faint, scale="own")
    assert not any(one.startswith("faint") for one in seen)


def test_one_target_is_shown_as_its_overlay(monkeypatch: pytest.MonkeyPatch):
    shown: list[Image.Image] = []
    monkeypatch.setattr(Image.Image, "show", lambda picture: shown.append(picture))
    made = caption(image=photo(40, 50))
    made.show("dog")
    assert shown[0].tobytes() == made.overlay("dog").tobytes()
    buffer = io.BytesIO()
    shown[0].save(buffer, "PNG")
    assert buffer.getvalue()
