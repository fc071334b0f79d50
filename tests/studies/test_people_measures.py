"""Agreement, intervals over raters and images, and power: worked cases, literal loops, simulations."""

import itertools
import math

import numpy as np
import pytest

from vlx.errors import VlxError
from vlx.studies.people.agreement import Scale, krippendorff
from vlx.studies.people.crossed import Rating, crossed_difference, crossed_mean
from vlx.studies.people.power import (
    Need,
    items_needed,
    of_proportions,
    power_of,
    power_told,
    raters_needed,
)

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), part D: four observers, twelve units.
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)
PUBLISHED: dict[Scale, float] = {"nominal": 0.743, "ordinal": 0.815, "interval": 0.849}


@pytest.mark.parametrize("scale", PUBLISHED)
def test_alpha_of_the_published_example(scale: Scale):
    found = krippendorff(list(zip(*OBSERVERS, strict=True)), scale)
    assert found.alpha is not None
    assert round(found.alpha, 3) == PUBLISHED[scale]
    assert (found.units, found.values) == (11, 40)  # the last unit has one value alone
    assert found.interval is not None
    assert found.interval[0] < found.alpha < found.interval[1]


def by_pairs(units: list[list[float]], scale: Scale) -> float:
    """Alpha without a matrix: every pair within a unit, and every pair of all values that are paired."""
    units = [unit for unit in units if len(unit) > 1]
    every = [one for unit in units for one in unit]

    def apart(a: float, b: float) -> float:
        if scale == "nominal":
            return float(a != b)
        if scale == "interval":
            return (a - b) ** 2
        low, high = sorted((a, b))
        between = sum(low <= one <= high for one in every)
        ends = (sum(one == low for one in every) + sum(one == high for one in every)) / 2
        return (between - ends) ** 2 if low != high else 0.0

    within = sum(sum(apart(a, b) for a, b in itertools.permutations(u, 2)) / (len(u) - 1) for u in units)
    among = sum(apart(a, b) for a, b in itertools.permutations(every, 2)) / (len(every) - 1)
    return 1 - within / among


@pytest.mark.parametrize("scale", PUBLISHED)
def test_alpha_is_that_of_the_literal_loop(scale: Scale):
    chance = np.random.default_rng(3)
    units = [[float(one) for one in chance.integers(-2, 3, size=size)] for size in (1, 2, 5, 3, 2, 4, 6, 0)]
    found = krippendorff(units, scale).alpha
    assert found == pytest.approx(by_pairs(units, scale), abs=1e-12)


def test_alpha_by_hand_with_missing_values():
    # Pairs (a a), (b b), (a b), alone c: o_ab = 1 a side, n = 6, three a and three b; 1 - 5 * 2 / 18.
    found = krippendorff([[1, 1, None], [2, None, 2], [1, 2], [3, None]], "nominal")
    assert found.alpha == pytest.approx(1 - 10 / 18)


def test_alpha_of_degenerate_answers():
    assert krippendorff([[1, 1], [1, 1]], "nominal").alpha is None  # nothing to differ by
    assert krippendorff([[1], [2], []], "interval").alpha is None
    assert krippendorff([], "ordinal").alpha is None
    assert krippendorff([[1, 1], [2, 2], [2, 2]], "ordinal").alpha == 1
    with pytest.raises(VlxError, match="finite"):
        krippendorff([[1, math.nan]], "nominal")


def test_alpha_of_guesses_is_about_0():
    chance = np.random.default_rng(0)
    found = krippendorff([[float(one) for one in chance.integers(0, 2, 9)] for _ in range(200)], "nominal")
    assert found.alpha is not None
    assert abs(found.alpha) < 0.05
    assert found.interval is not None
    assert found.interval[0] < 0 < found.interval[1]


def ratings(values: np.ndarray) -> list[Rating]:
    """A full table (rater, image)."""
    return [Rating(float(v), f"r{r}", f"i{i}") for (r, i), v in np.ndenumerate(values)]


def test_intervals_draw_raters_and_images():
    rater = np.repeat(np.array([0.0, 1.0] * 5)[:, None], 40, 1)  # raters differ, images do not
    by_rater, by_image = crossed_mean(ratings(rater)), crossed_mean(ratings(rater.T))
    for found in (by_rater, by_image):
        assert found.mean == 0.5
        assert found.interval is not None
        low, high = found.interval
        assert 0.15 < low < 0.3  # 0.5 - 1.96 * 0.5 / sqrt(10) = 0.19
        assert 0.7 < high < 0.85
    assert by_rater.n == 400
    assert (by_rater.raters, by_rater.images) == (10, 40)


def test_a_shared_difficulty_is_gone_from_a_difference():
    hard = np.repeat(np.array([0.0, 0.5, 1.0, 0.25] * 3)[None], 8, 0)
    first, second = ratings(hard + 0.1), ratings(hard)
    found = crossed_difference(first, second)
    assert found.mean == pytest.approx(0.1)
    assert found.interval == pytest.approx((0.1, 0.1))


def test_means_of_few():
    assert crossed_mean([]).mean is None
    assert crossed_mean([Rating(1.0, "a", "x")]).interval is None
    assert crossed_difference([Rating(1.0, "a", "x")], []).mean is None
    one_rater = crossed_mean([Rating(0.0, "a", "x"), Rating(1.0, "a", "y")])
    assert one_rater.interval == (0.0, 1.0)


def test_intervals_cover_the_planted_mean():
    chance, held = np.random.default_rng(1), 0
    for seed in range(60):
        effects = 0.6 + chance.normal(0, 0.3, (12, 1)) + chance.normal(0, 0.3, (1, 15))
        found = crossed_mean(ratings(effects + chance.normal(0, 0.5, (12, 15))), seed=seed)
        assert found.interval is not None
        held += found.interval[0] <= 0.6 <= found.interval[1]
    assert held >= 53  # of 60; drawing one side alone covers far fewer


def test_power_is_the_textbooks_without_clusters():
    # Fleiss: (1.96 + 0.8416)^2 * (p1 q1 + p2 q2) / (p1 - p2)^2 = 134.8 of each
    need = Need(*of_proportions(0.4444, 0.6123), per_rater=1.0, items=90, of_rater=0.0, of_item=0.0)
    assert raters_needed(need) == 135
    assert power_of(need, 135) == pytest.approx(0.8, abs=0.002)
    # One mean: (2.8016 * 1.5 / 0.5)^2 = 70.6
    assert raters_needed(Need(0.5, 1.5**2, per_rater=1.0, items=9, of_rater=0.0, of_item=0.0)) == 71


def test_power_with_clusters_by_hand():
    # v = (0.2 / 2.8016)^2 = 0.005096; 0.005096 / 0.4 - 0.1 / 20 = 0.007741; (0.1 + 0.8 / 10) / that = 23.3
    need = Need(0.2, 0.4, per_rater=10.0, items=20, of_rater=0.1, of_item=0.1)
    assert raters_needed(need) == 24
    # Eight items alone vary by 0.1 * 0.4 / 8 = 0.005, which leaves a little; seven leave nothing.
    few = Need(0.2, 0.4, per_rater=10.0, items=7, of_rater=0.1, of_item=0.1)
    assert raters_needed(few) is None
    assert items_needed(few) == 8
    assert power_of(few, 10**9) < 0.8


def test_power_is_that_of_simulated_studies():
    need = Need(0.4, 2 * 1.0, per_rater=4.0, items=12, of_rater=0.1, of_item=0.1)
    chance, raters, found = np.random.default_rng(0), 10, 0
    error = math.sqrt(2 * (0.1 / raters + 0.1 / 12 + 0.8 / 40))
    for _ in range(3000):
        means = [
            chance.normal(0, math.sqrt(0.1 / raters)) + chance.normal(0, math.sqrt(0.1 / 12)) + noise
            for noise in chance.normal(0, math.sqrt(0.8 / 40), 2)
        ]
        found += abs(means[1] + 0.4 - means[0]) / error > 1.959964
    assert found / 3000 == pytest.approx(power_of(need, raters), abs=0.03)


def test_power_is_told():
    lines = power_told(None, None, None, 11.25, 90, 0.05, 0.1)
    assert lines[0].startswith("0.4444 beside 0.6123")
    assert "raters needed for power 0.8 at level 0.05: 20" in lines[1]
    assert "no number of raters" in power_told(0.5, 0.55, None, 10.0, 4, 0.05, 0.2)[1]
    assert power_told(1.0, 1.27, 1.2, 20.0, 45, 0.05, 0.1)[0].startswith("1 beside 1.27")
    assert "beside chance, 0.5" in power_told(0.6, None, None, 10.0, 90, 0.0, 0.0)[0]
    assert "beside 0" in power_told(0.5, None, 1.0, 10.0, 90, 0.0, 0.0)[0]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((0.5, 0.5, None), "difference of 0"),
        ((None, 0.6, None), "give --first"),
        ((None, None, 1.0), "give --first"),
        ((1.2, 0.5, None), "between 0 and 1"),
        ((0.4, 0.6, -1.0), "raters"),
    ],
)
def test_power_needs_sense(given: tuple[float | None, float | None, float | None], says: str):
    if says == "raters":
        assert power_told(*given, 10.0, 90, 0.0, 0.0)  # the sign of an SD does not matter
        return
    with pytest.raises(VlxError, match=says):
        power_told(*given, 10.0, 90, 0.05, 0.1)
    with pytest.raises(VlxError, match="together at most 1"):
        Need(0.2, 0.4, 1.0, 1, of_rater=0.6, of_item=0.5)
