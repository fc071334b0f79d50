import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vlx.errors import VlxError
from vlx.eval.measures.attention import (
    centre_correlation,
    each_annotator,
    first_annotator,
    grid_correlation,
    human_agreement,
    mean_annotator,
    off_centre,
    random_correlations,
)
from vlx.eval.measures.controls import centre_prior, smooth_noise
from vlx.eval.measures.correlation import GRID
from vlx.eval.measures.maps import bilinear
from vlx.eval.measures.statistics import Outcome, summarise


def noise(seed, shape=(70, 98)):
    return np.random.default_rng(seed).random(shape)


def blocks(grid, factor=5):
    return np.kron(grid, np.ones((factor, factor)))


def test_the_protocol_written_out():
    plane, human = np.maximum(noise(0) - 0.6, 0), noise(1)
    cells = [image.reshape(14, 5, 14, 7).mean((1, 3)).ravel() for image in (plane, human)]
    assert grid_correlation(plane, human).value == pytest.approx(stats.spearmanr(*cells).statistic)


def test_a_map_agrees_with_itself_at_any_scale_and_size():
    grid = np.arange(196.0).reshape(14, 14)
    assert grid_correlation(grid, blocks(grid) * 3 + 2).value == pytest.approx(1.0)
    assert grid_correlation(-grid, blocks(grid)).value == pytest.approx(-1.0)


def test_zeros_tie_with_average_ranks():
    plane = np.zeros(GRID)
    plane[0, :2] = [1.0, 2.0]
    human = np.arange(196.0).reshape(GRID)[::-1]
    expected = stats.spearmanr(plane.ravel(), human.ravel()).statistic
    assert grid_correlation(blocks(plane), blocks(human)).value == pytest.approx(expected)


def test_flat_maps_are_left_out_by_their_side():
    assert grid_correlation(np.zeros((20, 20)), noise(0)) == Outcome(None, "flat_map")
    assert grid_correlation(noise(0), np.full((33, 47), 0.3)) == Outcome(None, "flat_human")
    assert grid_correlation(np.full((31, 45), 0.1), noise(0)) == Outcome(None, "flat_map")


def test_ways_of_joining_annotators():
    plane = noise(0)
    humans = [noise(1), noise(2), noise(3)]
    single = [grid_correlation(plane, human).value for human in humans]
    assert each_annotator(plane, humans).value == pytest.approx(np.mean(single))
    assert first_annotator(plane, humans).value == single[0]
    grids = [human.reshape(14, 5, 14, 7).mean((1, 3)) for human in humans]
    mean = np.mean([grid / grid.sum() for grid in grids], axis=0)
    assert mean_annotator(plane, humans) == grid_correlation(plane, mean)


def test_a_flat_annotator_is_skipped_and_only_flat_ones_leave_the_question_out():
    plane, human, flat = noise(0), noise(1), np.zeros((70, 98))
    assert each_annotator(plane, [flat, human]) == grid_correlation(plane, human)
    assert mean_annotator(plane, [flat, human]) == grid_correlation(plane, human)
    assert first_annotator(plane, [flat, human]).left_out == "flat_human"
    for join in (each_annotator, first_annotator, mean_annotator):
        assert join(plane, [flat, flat]).left_out == "flat_human"
        assert join(flat, [human]).left_out == "flat_map"
        with pytest.raises(VlxError, match="annotator"):
            join(plane, [])


def test_agreement_is_the_mean_over_pairs():
    humans = [noise(1), noise(2), noise(3)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([grid_correlation(humans[a], humans[b]).value for a, b in pairs])
    assert human_agreement(humans).value == pytest.approx(expected)
    assert human_agreement(humans[:1]).left_out == "one_annotator"
    assert human_agreement([np.zeros((5, 5)), humans[0]]).left_out == "flat_human"


def test_agreement_rises_with_what_annotators_share():
    generator = np.random.default_rng(4)

    def agreement(share):
        values = []
        for _ in range(20):
            common = smooth_noise((56, 56), generator)
            own = [smooth_noise((56, 56), generator) for _ in range(3)]
            values.append(human_agreement([share * common + (1 - share) * one for one in own]))
        return summarise(values).mean

    nothing, half, everything = agreement(0.0), agreement(0.5), agreement(1.0)
    assert abs(nothing) < 0.15
    assert nothing < half < everything
    assert everything == pytest.approx(1.0)


def test_noise_has_no_correlation_on_average():
    humans = [smooth_noise((60, 80), np.random.default_rng(seed)) for seed in range(200)]
    found = summarise(random_correlations(humans, seed=1))
    assert abs(found.mean) < 3 * found.standard_error
    assert found.sd == pytest.approx(1 / np.sqrt(195), rel=0.25)


def test_centre_and_reduced_set():
    middle = centre_prior((50, 60))
    assert centre_correlation(middle).value > 0.99
    assert centre_correlation(1 - middle).value < -0.99
    assert not off_centre([middle])
    assert off_centre([1 - middle])
    assert not off_centre([np.zeros((50, 60))])


@given(st.integers(0, 500))
def test_resizing_is_a_choice(seed):
    plane, human = noise(seed, (28, 28)), noise(seed + 1, (28, 28))
    pointwise = grid_correlation(plane, human, resize=bilinear)
    assert pointwise.value == pytest.approx(grid_correlation(plane, human).value)
    finer = grid_correlation(plane, human, size=(7, 7))
    assert -1 <= finer.value <= 1
