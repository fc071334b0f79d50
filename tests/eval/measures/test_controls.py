import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlx.errors import VlxError
from vlx.eval.measures.boxes import Box, box_mask, box_ratio
from vlx.eval.measures.controls import (
    box_prior,
    centre_prior,
    mean_activation,
    shuffled,
    smooth_noise,
    uniform,
    white_noise,
)
from vlx.eval.measures.maps import rank_correlation
from vlx.eval.measures.pointing import central_maximum


def test_centre_prior_worked_by_hand():
    prior = centre_prior((14, 14))
    assert prior[0, 0] == pytest.approx(np.exp(-2 * 6.5**2 / (2 * 4**2)))
    assert prior == pytest.approx(prior[::-1, ::-1])
    assert prior == pytest.approx(prior.T)


@pytest.mark.parametrize("shape", [(5, 9), (30, 41), (1, 1)])
def test_centre_prior_peaks_in_the_middle_and_falls(shape):
    prior = centre_prior(shape)
    assert prior.shape == shape
    assert prior[shape[0] // 2, shape[1] // 2] == pytest.approx(prior.max())
    assert prior.max() == pytest.approx(1.0, abs=0.02)
    assert (np.diff(prior[shape[0] // 2, shape[1] // 2 :]) < 0).all()


def test_the_width_of_the_centre_prior_changes_no_rank_on_square_grids():
    first, second = centre_prior((14, 14)), centre_prior((14, 14), sigma=0.1)
    assert rank_correlation(first, second) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(VlxError, match="sigma"):
        centre_prior((3, 3), sigma=0.0)


def test_a_uniform_map_has_ratio_one():
    assert box_ratio(uniform((9, 8)), Box(2, 2, 3, 3)).value == 1.0


@pytest.mark.parametrize("noise", [white_noise, smooth_noise])
def test_noise_is_seeded_and_lies_between_zero_and_one(noise):
    first = noise((20, 30), np.random.default_rng(1))
    assert first.shape == (20, 30)
    assert first.min() >= 0
    assert first.max() <= 1
    assert (first == noise((20, 30), np.random.default_rng(1))).all()
    assert (first != noise((20, 30), np.random.default_rng(2))).any()


def test_smooth_noise_is_smooth_and_favours_no_place():
    generator = np.random.default_rng(3)
    smooth, white = smooth_noise((60, 60), generator), white_noise((60, 60), generator)
    assert np.abs(np.diff(smooth)).mean() < 0.2 * np.abs(np.diff(white)).mean()
    across = np.abs(smooth[0] - smooth[-1]).mean()
    assert across < 1.5 * np.abs(np.diff(smooth, axis=0)).mean()
    peaks = np.array([central_maximum(smooth_noise((12, 12), generator))[0] for _ in range(2000)])
    assert peaks.mean(0) == pytest.approx([5.5, 5.5], abs=0.35)
    assert smooth_noise((1, 1), generator) == 1.0


def test_mean_activation_is_the_rectified_mean_over_channels():
    features = np.array([[[1.0, -4.0]], [[3.0, 2.0]]])
    assert mean_activation(features).tolist() == [[2.0, 0.0]]
    with pytest.raises(VlxError, match="channel"):
        mean_activation(np.ones((2, 2)))


def test_box_prior_is_the_mean_of_box_masks_on_one_size():
    boxes = [Box(0, 0, 4, 4), Box(2, 2, 6, 3), Box(-2, 6, 4, 9)]
    prior = box_prior([(box, (8, 8)) for box in boxes], (8, 8), cells=8)
    expected = np.mean([box_mask(box, (8, 8)) for box in boxes], axis=0)
    assert prior == pytest.approx(expected)


def test_box_prior_stretches_images_onto_each_other():
    same = [(Box(0, 0, 10, 5), (20, 40)), (Box(0, 0, 1, 1), (4, 4))]
    prior = box_prior(same, (16, 16))
    assert prior[:4, :4].min() == pytest.approx(1.0)
    assert prior[8:, 8:].max() == 0.0
    with pytest.raises(VlxError, match="at least one"):
        box_prior([], (4, 4))


@given(st.lists(st.integers(0, 4), max_size=20), st.integers(0, 99))
def test_shuffled_stays_in_its_group_and_never_on_itself(groups, seed):
    partners = shuffled(groups, np.random.default_rng(seed))
    for place, partner in enumerate(partners):
        if groups.count(groups[place]) == 1:
            assert partner is None
        else:
            assert partner != place
            assert groups[partner] == groups[place]
    used = [partner for partner in partners if partner is not None]
    assert len(set(used)) == len(used)
