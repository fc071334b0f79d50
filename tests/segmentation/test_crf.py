"""The dense CRF against the mean field of the paper, written as loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vlx.errors import VlxError
from vlx.segmentation.crf import Crf, kernel, mean_field


def looped(found: np.ndarray, image: np.ndarray, crf: Crf) -> np.ndarray:
    """Algorithm 1 of Krähenbühl and Koltun under a Potts model, pair by pair."""
    classes, rows, cols = found.shape
    places = [(row, col) for row in range(rows) for col in range(cols)]

    def pair(a: tuple[int, int], b: tuple[int, int]) -> tuple[float, float]:
        apart = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
        colours = sum((image[c][a] - image[c][b]) ** 2 for c in range(3))
        near = math.exp(-apart / (2 * (crf.smoothness_reach / crf.scale) ** 2))
        reach, colour = crf.appearance_reach / crf.scale, crf.colour
        return near, math.exp(-apart / (2 * reach**2) - colours / (2 * colour**2))

    sums = {a: [sum(pair(a, b)[k] for b in places) for k in (0, 1)] for a in places}
    now = found / found.sum(0)
    for _ in range(crf.steps):
        after = np.empty_like(now)
        for a in places:
            energy = [-math.log(found[c][a]) for c in range(classes)]
            for c in range(classes):
                for k, weight in enumerate((crf.smoothness, crf.appearance)):
                    message = 0.0
                    for b in places:
                        if a == b and not crf.itself:
                            continue
                        norm = math.sqrt(sums[a][k] * sums[b][k]) if crf.symmetric else 1.0
                        message += pair(a, b)[k] / norm * now[c][b]
                    energy[c] -= weight * message
            total = sum(math.exp(-e) for e in energy)
            for c in range(classes):
                after[c][a] = math.exp(-energy[c]) / total
        now = after
    return now


@settings(max_examples=12)
@given(st.integers(0, 1000), st.booleans(), st.booleans(), st.sampled_from([1.0, 12.0]))
def test_the_mean_field_is_that_of_the_loops(seed: int, symmetric: bool, itself: bool, scale: float):
    random = np.random.default_rng(seed)
    found, image = random.random((3, 3, 4)) + 0.05, random.integers(0, 256, (3, 3, 4)).astype(float)
    found /= found.sum(0)
    crf = Crf(steps=3, scale=scale, symmetric=symmetric, itself=itself)
    mine = mean_field(torch.from_numpy(found)[None], torch.from_numpy(image)[None], crf)
    np.testing.assert_allclose(mine[0].numpy(), looped(found, image, crf), atol=1e-10)


def test_each_place_sums_to_one_and_images_do_not_touch_each_other():
    random = torch.Generator().manual_seed(0)
    found = torch.rand(3, 5, 6, 7, generator=random).softmax(1)
    image = torch.randint(0, 256, (3, 3, 6, 7), generator=random).float()
    both = mean_field(found, image)
    assert torch.allclose(both.sum(1), torch.ones(3, 6, 7))
    assert torch.equal(both[1:2], mean_field(found[1:2], image[1:2]))


def test_no_step_leaves_what_was_found():
    found = torch.rand(1, 3, 2, 2, dtype=torch.float64).softmax(1)
    image = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    assert torch.allclose(mean_field(found, image, Crf(steps=0)), found)


def test_a_lone_dissenter_yields_to_places_of_its_colour_and_not_to_others():
    found = torch.full((1, 2, 5, 5), 0.5)
    found[:, 0], found[:, 1] = 0.8, 0.2
    found[0, :, 2, 2] = torch.tensor([0.4, 0.6])
    image = torch.zeros(1, 3, 5, 5)
    assert mean_field(found, image, Crf(itself=False))[0, :, 2, 2].argmax() == 0
    image[0, :, 2, 2] = 255
    assert mean_field(found, image)[0, :, 2, 2].argmax() == 1


def test_the_kernel_is_symmetric_and_positive():
    pairs = kernel(torch.rand(3, 4, 5) * 255)
    assert torch.allclose(pairs, pairs.T)
    assert bool((pairs > 0).all()) or float(pairs.min()) >= 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(VlxError, match="41 x 41"):
        kernel(torch.zeros(3, 321, 321))
    with pytest.raises(VlxError, match="one grid"):
        mean_field(torch.ones(1, 2, 3, 3), torch.zeros(2, 3, 3, 3))
