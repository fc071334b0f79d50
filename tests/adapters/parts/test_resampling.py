"""Resizing as other programs do it, against their loops written out."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from vlx.adapters.parts.resampling import tensorflow1, torch7, torch7_bytes
from vlx.images.preprocess import Preprocess, Squash


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3)).astype(np.float32)


def torch7_line(line: np.ndarray, new: int) -> np.ndarray:
    """One line of ``image.scale``: what overlaps a new pixel, averaged; or aligned corners."""
    old, out = len(line), []
    for at in range(new):
        if new > old:
            place = at * (old - 1) / (new - 1)
            below = min(int(place), old - 2) if old > 1 else 0
            above = min(below + 1, old - 1)
            out.append((1 - place + below) * line[below] + (place - below) * line[above])
            continue
        first, last = at * old / new, (at + 1) * old / new
        shares = [max(0.0, min(last, pixel + 1) - max(first, pixel)) for pixel in range(old)]
        out.append(sum(share * pixel for share, pixel in zip(shares, line, strict=True)) / sum(shares))
    return np.array(out)


def written_out(pixels: np.ndarray, size: tuple[int, int], rounded: bool) -> np.ndarray:
    """Rows first, then columns, as in the source."""
    rows = np.stack([torch7_line(row, size[1]) for row in pixels])
    rows = np.floor(rows + 0.5) if rounded else rows
    out = np.stack([torch7_line(rows[:, col], size[0]) for col in range(size[1])], 1)
    return np.floor(out + 0.5) if rounded else out


SIZES = [
    ((12, 17), (5, 4)),
    ((5, 4), (12, 17)),
    ((7, 9), (7, 3)),
    ((6, 3), (4, 8)),
    ((1, 1), (3, 2)),
    ((8, 8), (4, 4)),
]


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_torch7_is_its_loop_written_out(old, new):
    pixels = noise(*old)
    found = torch7(pixels, new)
    assert found.shape == (*new, 3)
    np.testing.assert_allclose(found, written_out(pixels, new, rounded=False), rtol=0, atol=1e-3)
    whole = torch7_bytes(pixels, new)
    assert np.array_equal(whole, np.round(whole))
    assert np.abs(whole - written_out(pixels, new, rounded=True)).max() <= 1.0  # a half may fall either way
    assert (whole == written_out(pixels, new, rounded=True)).mean() > 0.9


def test_torch7_worked_by_hand():
    line = np.repeat(np.array([0.0, 30.0, 60.0], np.float32)[None, :, None], 3, 2)
    assert torch7(line, (1, 2))[0, :, 0].tolist() == [10.0, 50.0]  # a pixel and a half each
    assert torch7(line, (1, 5))[0, :, 0].tolist() == [0.0, 15.0, 30.0, 45.0, 60.0]  # corners aligned
    assert torch7_bytes(line, (1, 2))[0, :, 0].tolist() == [10.0, 50.0]


@pytest.mark.parametrize("resample", [torch7, tensorflow1])
def test_one_colour_keeps_its_colour_at_every_size(resample):
    for old in (*range(1, 40), 333, 500, 641):
        line = np.full((1, old, 3), 77.0, np.float32)
        for new in (1, 2, 3, 7, 30, 224, 256):
            np.testing.assert_allclose(resample(line, (1, new)), 77.0, rtol=1e-5)


@pytest.mark.parametrize(("old", "new"), [((8, 6), (4, 3)), ((9, 12), (3, 4))])
def test_torch7_agrees_with_average_pooling_by_whole_factors(old, new):
    pixels = noise(*old)
    expected = F.adaptive_avg_pool2d(torch.from_numpy(pixels).permute(2, 0, 1), new).permute(1, 2, 0)
    np.testing.assert_allclose(torch7(pixels, new), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("old", "new"), [((5, 4), (12, 17)), ((3, 2), (4, 9))])
def test_torch7_to_larger_agrees_with_aligned_corners(old, new):
    pixels = noise(*old)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    expected = F.interpolate(planes, new, mode="bilinear", align_corners=True)[0].permute(1, 2, 0)
    np.testing.assert_allclose(torch7(pixels, new), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_tensorflow1_is_its_loop_written_out(old, new):
    pixels, expected = noise(*old), np.zeros((*new, 3))
    for row in range(new[0]):
        for col in range(new[1]):
            y, x = row * old[0] / new[0], col * old[1] / new[1]
            top, left = math.floor(y), math.floor(x)
            bottom, right = min(top + 1, old[0] - 1), min(left + 1, old[1] - 1)
            upper = pixels[top, left] + (pixels[top, right] - pixels[top, left]) * (x - left)
            lower = pixels[bottom, left] + (pixels[bottom, right] - pixels[bottom, left]) * (x - left)
            expected[row, col] = upper + (lower - upper) * (y - top)
    np.testing.assert_allclose(tensorflow1(pixels, new), expected, rtol=0, atol=1e-3)


def test_tensorflow1_worked_by_hand():
    line = np.repeat(np.array([0.0, 30.0, 60.0], np.float32)[None, :, None], 3, 2)
    np.testing.assert_allclose(tensorflow1(line, (1, 2))[0, :, 0], [0.0, 45.0])  # places 0 and 1.5
    np.testing.assert_allclose(tensorflow1(line, (1, 6))[0, :, 0], [0, 15, 30, 45, 60, 60])


@pytest.mark.parametrize("resample", [torch7, torch7_bytes, tensorflow1])
def test_a_preprocessing_resizes_with_it_and_keeps_its_geometry(resample):
    picture = noise(20, 30).astype(np.uint8)
    plain = Preprocess(
        Squash((8, 9)), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), scale=255.0, resample=resample
    )
    found, frame = plain(Image.fromarray(picture))
    expected = resample(picture.astype(np.float32), (8, 9))
    np.testing.assert_allclose(found.permute(1, 2, 0), expected, atol=1e-3)
    assert frame.image_size == (20, 30)
    assert frame.input_size == (8, 9)
    same, _ = plain(Image.fromarray(picture[:8, :9]))
    np.testing.assert_allclose(same.permute(1, 2, 0), picture[:8, :9], atol=1e-3)


def test_a_window_lies_where_its_corner_is_given():
    picture = noise(16, 16).astype(np.uint8)
    given = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "scale": 255.0, "window": (8, 8)}
    corner, frame = Preprocess(Squash((16, 16)), corner=(3, 5), **given)(Image.fromarray(picture))
    np.testing.assert_allclose(corner.permute(1, 2, 0), picture[3:11, 5:13], atol=1e-3)
    assert frame.box == (3.0, 5.0, 11.0, 13.0)
    first, _ = Preprocess(Squash((16, 16)), corner=(0, 0), **given)(Image.fromarray(picture))
    np.testing.assert_allclose(first.permute(1, 2, 0), picture[:8, :8], atol=1e-3)
    middle, _ = Preprocess(Squash((16, 16)), **given)(Image.fromarray(picture))
    np.testing.assert_allclose(middle.permute(1, 2, 0), picture[4:12, 4:12], atol=1e-3)
