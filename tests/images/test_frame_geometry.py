"""Geometry exactly: marks at whole pixels, the placing of maps written as loops, crops of crops."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vlx import Frame, VlxError
from vlx.images.preprocess import LongSide, Preprocess, ShortSide, Squash

SMALL = st.integers(1, 9)
# Checking the types of sequences, beartype looks at one item by `random`; the frames do not depend on it.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


def random_maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """Any chain of a resize and up to three crops or paddings."""
    size = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    frame = Frame.resized(size, draw(st.tuples(SMALL, SMALL)))
    for _ in range(draw(st.integers(0, 3))):
        top, left = draw(st.tuples(st.integers(-4, 4), st.integers(-4, 4)))
        frame = frame.cropped(top, left, *draw(st.tuples(SMALL, SMALL)))
    return frame


def mean_zero(resize: Squash | ShortSide | LongSide, window: tuple[int, int] | None = None) -> Preprocess:
    return Preprocess(resize, window, (0.0,) * 3, (1.0,) * 3, resample=Image.Resampling.BOX)


# A mark of whole cells, on an image whose sides are multiples of the network input's: exact in both ways.


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_a_mark_lands_exactly_where_the_frame_says_and_back(data):
    scale = data.draw(st.integers(1, 4))
    rows, cols = data.draw(st.integers(6, 14)), data.draw(st.integers(6, 14))
    window = data.draw(st.none() | st.tuples(st.integers(5, 17), st.integers(5, 17)))
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    bottom, right = data.draw(st.integers(top + 1, rows)), data.draw(st.integers(left + 1, cols))
    photo = np.zeros((rows * scale, cols * scale, 3), np.uint8)
    photo[top * scale : bottom * scale, left * scale : right * scale] = 255
    pixels, frame = mean_zero(Squash((rows, cols)), window)(Image.fromarray(photo))
    first = frame.to_network(float(top * scale), float(left * scale))
    last = frame.to_network(float(bottom * scale), float(right * scale))
    assert all(math.isclose(edge, round(edge), abs_tol=1e-9) for edge in (*first, *last))
    expected = torch.zeros(frame.input_size)
    (r0, c0), (r1, c1) = ((max(0, round(edge)) for edge in corner) for corner in (first, last))
    expected[r0:r1, c0:c1] = 1
    torch.testing.assert_close(pixels[0], expected)
    assert frame.to_image(*first) == pytest.approx((top * scale, left * scale))
    assert frame.to_image(*last) == pytest.approx((bottom * scale, right * scale))
    # Back on the photo: full inside the mark, nothing outside, half a cell from the edge.
    placed = frame.on_image(pixels[0].double()).numpy()
    seen = frame.covered().numpy()
    assert not placed[~seen].any()
    inner = np.zeros(photo.shape[:2], bool)
    inner[top * scale : bottom * scale, left * scale : right * scale] = True
    if scale == 1:
        np.testing.assert_allclose(placed, (inner & seen).astype(float), atol=1e-9)
    outer = np.zeros_like(inner)
    outer[
        max(0, (top - 1) * scale) : (bottom + 1) * scale, max(0, (left - 1) * scale) : (right + 1) * scale
    ] = True
    np.testing.assert_allclose(placed[~outer], 0, atol=1e-9)


def placed_by_loops(frame: Frame, plane: torch.Tensor) -> np.ndarray:
    """The definition of `Frame.place`, pixel by pixel."""
    (height, width), (rows, cols) = frame.image_size, plane.shape
    top, left, bottom, right = frame.box
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            if not (top < i + 0.5 < bottom and left < j + 0.5 < right):
                continue  # the network did not see the centre of this pixel
            row, col = frame.to_network(i + 0.5, j + 0.5)
            at = min(max(row / frame.input_size[0] * rows - 0.5, 0), rows - 1)
            beside = min(max(col / frame.input_size[1] * cols - 0.5, 0), cols - 1)
            r, c = min(int(at), rows - 1), min(int(beside), cols - 1)
            below, after = min(r + 1, rows - 1), min(c + 1, cols - 1)
            down, across = at - r, beside - c
            out[i, j] = (
                float(plane[r, c]) * (1 - down) * (1 - across)
                + float(plane[below, c]) * down * (1 - across)
                + float(plane[r, after]) * (1 - down) * across
                + float(plane[below, after]) * down * across
            )
    return out


@settings(max_examples=100, deadline=None, derandomize=True)
@given(frames(), SMALL, SMALL)
def test_placing_is_its_definition(frame, rows, cols):
    plane = random_maps(rows, cols)
    np.testing.assert_allclose(frame.on_image(plane), placed_by_loops(frame, plane), atol=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(frames(), SMALL, SMALL)
def test_placing_is_linear_keeps_leading_axes_and_bounds(frame, rows, cols):
    maps = random_maps(2, 3, rows, cols)
    placed = frame.on_image(maps)
    assert placed.shape == (2, 3, *frame.image_size)
    torch.testing.assert_close(placed[1, 2], frame.on_image(maps[1, 2]))
    torch.testing.assert_close(frame.on_image(2 * maps[0] - maps[1]), 2 * placed[0] - placed[1])
    assert placed.max() <= maps.max() + 1e-9
    assert (placed[..., frame.covered()] >= maps.min() - 1e-9).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(frames())
def test_a_constant_map_is_constant_where_the_network_saw_and_zero_elsewhere(frame):
    for corners in (False, True):
        placed = frame.on_image(torch.full((3, 4), 7.0, dtype=torch.float64), align_corners=corners)
        torch.testing.assert_close(placed, 7.0 * frame.covered().double())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(frames(), st.floats(-20, 20), st.floats(-20, 20))
def test_points_go_there_and_back(frame, row, col):
    assert frame.to_image(*frame.to_network(row, col)) == pytest.approx((row, col), abs=1e-9)
    assert frame.to_network(*frame.to_image(row, col)) == pytest.approx((row, col), abs=1e-9)
    assert frame.to_image(0.0, 0.0) == pytest.approx(frame.box[:2], abs=1e-9)
    assert frame.to_image(*map(float, frame.input_size)) == pytest.approx(frame.box[2:], abs=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(frames(), st.data())
def test_a_crop_of_a_crop_is_one_crop(frame, data):
    (a, b), (c, d) = (data.draw(st.tuples(st.integers(-5, 5), st.integers(-5, 5))) for _ in range(2))
    twice = frame.cropped(a, b, 9, 8).cropped(c, d, 4, 3)
    once = frame.cropped(a + c, b + d, 4, 3)
    assert twice.input_size == once.input_size == (4, 3)
    assert twice.box == pytest.approx(once.box)
    assert frame.cropped(0, 0, *frame.input_size).box == pytest.approx(frame.box)


def test_a_map_of_the_cropped_input_upsampled_equals_resizing_and_pasting():
    """256 x 384 shown, shorter side to 64, centre crop 64: every network pixel is 4 x 4 photo pixels."""
    _, frame = mean_zero(ShortSide(64), (64, 64))(Image.new("RGB", (384, 256)))
    assert frame.box == (0, 64, 256, 320)
    maps = random_maps(5, 7, 7)
    expected = torch.zeros(5, 256, 384, dtype=torch.float64)
    expected[..., 64:320] = F.interpolate(maps[None], (256, 256), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(frame.on_image(maps), expected)
    corners = F.interpolate(maps[None], (256, 256), mode="bilinear", align_corners=True)[0]
    torch.testing.assert_close(frame.on_image(maps, align_corners=True)[..., 64:320], corners)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((333, 500), (0.0, 8 * 500 / 48, 333.0, 40 * 500 / 48)),  # 32 x 48, columns 8 to 40
        ((500, 333), (8 * 500 / 48, 0.0, 40 * 500 / 48, 333.0)),
        ((7, 5), (6 * 7 / 44, 0.0, 38 * 7 / 44, 5.0)),  # 44 x 32, rows 6 to 38
        ((1, 3), (0.0, 1.0, 1.0, 2.0)),  # 32 x 96, the middle third
    ],
)
def test_odd_sizes_worked_by_hand(size, box):
    _, frame = mean_zero(ShortSide(32), (32, 32))(Image.new("RGB", size[::-1]))
    assert frame.box == pytest.approx(box)


def test_the_networks_view_of_a_padded_image_ends_with_the_image():
    """Longest side 8, padded to 8 x 8: the image is rows 2 to 6."""
    pixels, frame = mean_zero(LongSide(8), (8, 8))(Image.new("RGB", (16, 8), "white"))
    assert frame.box == (-4.0, 0.0, 12.0, 16.0)
    np.testing.assert_array_equal(np.flatnonzero(pixels[0].sum(1)), [2, 3, 4, 5])
    rows = torch.zeros(8, 8, dtype=torch.float64)
    rows[2:6] = 1
    placed = frame.on_image(rows)
    assert frame.covered().all()
    assert placed[1:-1].min() == 1  # within half a cell of the border padding shines in
    torch.testing.assert_close(placed[0], torch.full((16,), 0.75, dtype=torch.float64))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_maps_keep_their_precision(kind):
    frame = Frame.resized((6, 4), (3, 2))
    cell = torch.ones(1, 1, dtype=kind)
    for placed in (frame.on_image(torch.ones(3, 2, dtype=kind)), frame.on_input(cell)):
        assert placed.dtype == kind
        assert (placed == 1).all()


@pytest.mark.parametrize("bad", [-math.inf, math.inf, math.nan])
@pytest.mark.parametrize("side", range(4))
def test_a_box_must_be_finite(bad, side):
    box = [0.0, 0.0, 5.0, 5.0]
    box[side] = bad
    with pytest.raises(VlxError, match="empty or not finite") as error:
        Frame((5, 5), (5, 5), tuple(box))
    assert "\n" not in str(error.value)
