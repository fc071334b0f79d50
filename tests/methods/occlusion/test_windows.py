import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlx.errors import VlxError
from vlx.methods.occlusion.windows import SIZES, occlusion, occlusions

WEIGHTS = np.random.default_rng(0).normal(size=(3, 11, 13))
IMAGE = np.random.default_rng(1).normal(size=(3, 11, 13))


def linear(images):
    return (images * WEIGHTS).sum((1, 2, 3))


def literal_falls(image, score, size, rows, cols, fill):
    """Mask one window after the other on a padded image, as the paper describes."""
    pad = size
    falls = np.zeros((len(rows), len(cols)))
    for i, row in enumerate(rows):
        for j, col in enumerate(cols):
            padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
            top, left = row - size // 2 + pad, col - size // 2 + pad
            padded[:, top : top + size, left : left + size] = fill
            masked = padded[:, pad:-pad, pad:-pad]
            falls[i, j] = score(image[None])[0] - score(masked[None])[0]
    return falls


@given(st.integers(1, 16), st.integers(1, 14), st.sampled_from([0.0, 0.7]), st.sampled_from([1, 5, 64]))
def test_agrees_with_the_literal_loop(size, stride, fill, batch):
    found = occlusion(IMAGE, linear, size=size, stride=stride, fill=fill, batch=batch)
    expected = literal_falls(IMAGE, linear, size, found.rows, found.cols, fill)
    assert found.falls == pytest.approx(expected)
    assert found.map.shape == (11, 13)


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_images_lie_in_memory_as_the_image_does(order):
    image = np.ascontiguousarray(IMAGE.transpose(order)).transpose(np.argsort(order))
    strides = set()

    def seen(images):
        strides.add(images.strides[1:])
        return linear(images)

    found = occlusion(image, seen, size=3, stride=4)
    assert strides == {image.strides}
    assert found.falls == pytest.approx(occlusion(IMAGE, linear, size=3, stride=4).falls)


def test_a_single_pixel_window_of_a_linear_score_is_its_contribution():
    found = occlusion(IMAGE, linear, size=1, stride=1)
    assert found.map == pytest.approx((IMAGE * WEIGHTS).sum(0))
    assert found.score == pytest.approx(float((IMAGE * WEIGHTS).sum()))


def test_windows_are_centred_and_clipped():
    def top_left(images):
        return images[:, 0, 0, 0]

    image = np.ones((1, 6, 6))
    odd = occlusion(image, top_left, size=3, stride=1).falls
    even = occlusion(image, top_left, size=4, stride=1).falls
    assert np.argwhere(odd).max(0).tolist() == [1, 1]
    assert np.argwhere(even).max(0).tolist() == [2, 2]
    assert odd.sum() == 4


def test_evidence_against_the_score_is_negative():
    found = occlusion(np.ones((1, 4, 4)), lambda images: -images.sum((1, 2, 3)), size=1, stride=1)
    assert (found.map == -1).all()


def test_the_fill_may_differ_by_channel():
    image = np.zeros((2, 3, 3))
    found = occlusion(
        image, lambda images: images[:, 1].sum((1, 2)), size=1, stride=1, fill=np.array([9.0, 2.0])
    )
    assert (found.map == -2).all()


@pytest.mark.parametrize(("length", "stride"), [(11, 4), (12, 5), (3, 8), (16, 8)])
def test_windows_lie_evenly_and_the_map_runs_through_them(length, stride):
    image = np.random.default_rng(2).random((1, length, length))
    weights = np.random.default_rng(3).random((1, length, length))
    found = occlusion(image, lambda images: (images * weights).sum((1, 2, 3)), size=1, stride=stride)
    first, last = found.rows[0], length - 1 - found.rows[-1]
    assert 0 <= last - first <= 1
    assert set(np.diff(found.rows)) <= {stride}
    assert found.map[np.ix_(found.rows, found.cols)] == pytest.approx(found.falls)


def test_the_image_is_left_as_it_was():
    image = IMAGE.copy()
    occlusion(image, linear, size=5, stride=3)
    assert (image == IMAGE).all()


def test_torch_models_score_through_a_callable():
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 1, 3, dtype=torch.float64)

    def score(images):
        with torch.no_grad():
            return layer(torch.from_numpy(images)).mean((1, 2, 3)).numpy()

    found = occlusion(IMAGE, score, size=3, stride=4, batch=7)
    expected = literal_falls(IMAGE, score, 3, found.rows, found.cols, 0.0)
    assert found.falls == pytest.approx(expected)


def test_every_size_of_the_paper():
    batches = []

    def counted(images):
        batches.append(len(images))
        return linear(images)

    found = occlusions(IMAGE, counted, stride=6, batch=7)
    assert tuple(found) == SIZES == (10, 15, 25, 35, 45, 90)
    assert batches[:-1] == [1, *[7] * (len(batches) - 2)]  # one original; sizes share batches
    for size, one in found.items():
        np.testing.assert_array_equal(one.falls, occlusion(IMAGE, linear, size=size, stride=6).falls)
    assert found[90].map == pytest.approx(np.full((11, 13), linear(IMAGE[None])[0]))


@pytest.mark.parametrize(
    ("image", "score", "options", "said"),
    [
        (IMAGE[0], linear, {}, "expected"),
        (IMAGE, linear, {"size": 0}, "1 or more"),
        (IMAGE, linear, {"stride": 0}, "1 or more"),
        (IMAGE, lambda images: images.sum(), {}, "one each"),
        (IMAGE, lambda images: np.full(len(images), np.nan), {}, "finite"),
    ],
)
def test_bad_input_is_refused(image, score, options, said):
    with pytest.raises(VlxError, match=said):
        occlusion(image, score, **options)
