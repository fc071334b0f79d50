"""Where maps land on the original image: worked by hand, as a property, and against torch's resize."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import vlx
from vlx.images.frame import Frame
from vlx.images.preprocess import LongSide, Preprocess, ShortSide, Squash


def test_a_plain_resize_covers_the_whole_image():
    frame = Frame.resized((30, 60), (10, 10))
    assert frame.to_image(5.0, 5.0) == (15.0, 30.0)
    assert frame.to_network(15.0, 30.0) == (5.0, 5.0)
    assert frame.covered().all()


def test_crop_and_padding_worked_by_hand():
    frame = Frame.resized((100, 200), (50, 100)).cropped(0, 25, 50, 50)
    assert frame.box == (0.0, 50.0, 100.0, 150.0)
    padded = Frame.resized((100, 200), (50, 100)).cropped(-25, 0, 100, 100)
    assert padded.box == (-50.0, 0.0, 150.0, 200.0)
    assert padded.covered().all()
    seen = frame.covered()
    assert seen[:, 50:150].all()
    assert not seen[:, :50].any()
    assert not seen[:, 150:].any()


def test_placed_map_is_zero_outside_the_crop_and_constant_beyond_the_outer_centres():
    frame = Frame((4, 8), (4, 4), (0.0, 2.0, 4.0, 6.0))
    placed = frame.on_image(torch.tensor([[1.0, 3.0], [1.0, 3.0]]))
    # cells' centres lie at columns 3 and 5; pixel centres at 2.5, 3.5, 4.5, 5.5
    row = torch.tensor([0, 0, 1.0, 1.5, 2.5, 3.0, 0, 0])
    torch.testing.assert_close(placed, row.expand(4, 8))


@pytest.mark.parametrize(("cells", "size"), [((14, 14), (224, 224)), ((7, 5), (31, 40)), ((1, 1), (6, 3))])
def test_on_the_whole_image_placing_is_bilinear_resizing(cells, size):
    maps = torch.randn(2, 3, *cells, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    frame = Frame.resized(size, (224, 224))
    expected = F.interpolate(maps, size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(frame.on_image(maps), expected)
    if min(cells) > 1:
        corners = F.interpolate(maps, size, mode="bilinear", align_corners=True)
        torch.testing.assert_close(frame.on_image(maps, align_corners=True), corners)
    wide = F.interpolate(maps, (224, 224), mode="bilinear", align_corners=False)
    torch.testing.assert_close(frame.on_input(maps), wide)


SIZES = st.integers(20, 90)
RESIZES = st.one_of(
    st.tuples(st.integers(8, 40), st.integers(8, 40)).map(Squash),
    st.integers(8, 40).map(ShortSide),
    st.integers(8, 40).map(LongSide),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SIZES, SIZES, RESIZES, st.one_of(st.none(), st.tuples(st.integers(6, 50), st.integers(6, 50))))
def test_points_go_there_and_back(height, width, resize, window):
    preprocess = Preprocess(resize, window)
    pixels, frame = preprocess(Image.new("RGB", (width, height)))
    assert tuple(pixels.shape[1:]) == frame.input_size
    for point in ((0.0, 0.0), (1.5, 3.25), (float(height), float(width))):
        assert frame.to_image(*frame.to_network(*point)) == pytest.approx(point, abs=1e-9)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(60, 150), st.integers(60, 150), st.data())
def test_a_marked_rectangle_lands_where_the_frame_says(height, width, data):
    row, col = data.draw(st.integers(0, height - 24)), data.draw(st.integers(0, width - 24))
    photo = np.zeros((height, width, 3), np.uint8)
    photo[row : row + 24, col : col + 24] = 255
    preprocess = Preprocess(ShortSide(48), (48, 48), mean=(0.0,) * 3, std=(1.0,) * 3)
    pixels, frame = preprocess(Image.fromarray(photo))
    bright = pixels[0].double()
    if bright.sum() < 20:
        return  # the mark is cropped away
    seen = frame.covered().numpy() & (photo[..., 0] > 0)
    rows, cols = seen.nonzero()
    expected = frame.to_network(float(rows.mean()) + 0.5, float(cols.mean()) + 0.5)
    grid = torch.arange(48, dtype=torch.float64) + 0.5
    found = (bright.sum(1) @ grid / bright.sum(), bright.sum(0) @ grid / bright.sum())
    assert float(found[0]) == pytest.approx(expected[0], abs=0.75)
    assert float(found[1]) == pytest.approx(expected[1], abs=0.75)
    # and the network's view, placed back, is bright where the photo is
    back = frame.on_image(bright)
    inside = torch.from_numpy(seen)
    assert float(back[inside].mean()) > 0.7
    assert float(back[~inside].mean()) < 0.2


@pytest.mark.parametrize(
    "box", [(0.0, 0.0, 0.0, 5.0), (0.0, 5.0, 5.0, 5.0), (3.0, 0.0, 1.0, 5.0), (0.0, 0.0, float("inf"), 5.0)]
)
def test_an_empty_box_is_refused(box):
    with pytest.raises(vlx.VlxError, match="empty"):
        Frame((5, 5), (5, 5), box)


def test_sizes_must_be_positive():
    with pytest.raises(vlx.VlxError, match="positive"):
        Frame.resized((0, 5), (5, 5))
