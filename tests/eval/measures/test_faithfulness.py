import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlx.errors import VlxError
from vlx.eval.measures.faithfulness import Curve, deletion, discrimination, insertion
from vlx.eval.measures.statistics import Outcome

IMAGE = np.random.default_rng(0).random((2, 4, 5)) + 0.1
EMPTY = np.zeros((2, 4, 5))


def total(images):
    return images.sum((1, 2, 3))


def literal_deletion(image, plane, score, empty):
    """Remove one pixel after the other, the highest first; the map has no ties."""
    changed, scores = image.copy(), [score(image[None])[0]]
    for place in np.argsort(-plane.ravel()):
        row, col = divmod(int(place), plane.shape[1])
        changed[:, row, col] = empty[:, row, col]
        scores.append(score(changed[None])[0])
    return np.array(scores)


@given(st.integers(0, 100), st.sampled_from([1, 3, 64]))
def test_deletion_is_the_literal_loop(seed, batch):
    plane = np.random.default_rng(seed).random((4, 5))
    found = deletion(IMAGE, plane, total, EMPTY, steps=20, batch=batch)
    assert found.scores == pytest.approx(literal_deletion(IMAGE, plane, total, EMPTY))
    assert found.shares == pytest.approx(np.linspace(0, 1, 21))


@given(st.integers(0, 100))
def test_insertion_into_the_empty_image_is_deletion_the_other_way_round(seed):
    plane = np.random.default_rng(seed).random((4, 5))
    put_in = insertion(IMAGE, plane, total, EMPTY, steps=20)
    taken_out = deletion(EMPTY, plane, total, IMAGE, steps=20)
    assert put_in.scores == pytest.approx(taken_out.scores)
    assert put_in.inserting


def test_fewer_steps_take_points_of_the_same_curve():
    plane = np.random.default_rng(1).random((4, 5))
    fine = deletion(IMAGE, plane, total, EMPTY, steps=20)
    coarse = deletion(IMAGE, plane, total, EMPTY, steps=4)
    assert coarse.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert coarse.scores == pytest.approx(fine.scores[::5])


def test_the_true_ranking_falls_fastest_and_rises_fastest():
    truth = IMAGE.sum(0)
    best = deletion(IMAGE, truth, total, EMPTY).area
    worst = deletion(IMAGE, -truth, total, EMPTY).area
    for seed in range(20):
        other = np.random.default_rng(seed).random((4, 5))
        assert best <= deletion(IMAGE, other, total, EMPTY).area <= worst
    assert insertion(IMAGE, truth, total, EMPTY).area > insertion(IMAGE, -truth, total, EMPTY).area


def test_ties_change_together():
    plane = np.zeros((4, 5))
    plane[0, 0] = 1
    found = deletion(IMAGE, plane, total, EMPTY, steps=20)
    assert len(set(found.scores[1:-1].tolist())) == 1
    assert found.scores[1] == pytest.approx(total(IMAGE[None])[0] - IMAGE[:, 0, 0].sum())
    assert found.scores[-1] == 0


def test_area_worked_by_hand():
    curve = Curve(np.array([0.0, 0.5, 1.0]), np.array([4.0, 2.0, 1.0]))
    assert curve.area == pytest.approx(0.5 * 3 + 0.5 * 1.5)
    assert curve.relative_area.value == pytest.approx((2.25 - 1) / 3)
    rising = Curve(curve.shares, curve.scores[::-1], inserting=True)
    assert rising.relative_area.value == pytest.approx((2.25 - 1) / 3)
    flat = Curve(curve.shares, np.ones(3))
    assert flat.relative_area == Outcome(None, "flat_score")


@pytest.mark.parametrize(
    ("plane", "options", "score", "said"),
    [
        (np.ones((3, 3)), {}, total, "shapes"),
        (np.ones((4, 5)), {"steps": 0}, total, "1 or more"),
        (np.ones((4, 5)), {}, lambda images: images, "one"),
        (np.ones((4, 5)), {}, lambda images: np.ones((len(images), 3)), "one each"),
    ],
)
def test_bad_input_is_refused(plane, options, score, said):
    with pytest.raises(VlxError, match=said):
        deletion(IMAGE, plane, score, EMPTY, **options)


DOG = np.array([[True, True, False, False]])
CAT = np.array([[False, True, True, False]])


def test_discrimination_worked_by_hand():
    on_dog, on_cat = np.array([[3.0, 9.0, 1.0, 5.0]]), np.array([[1.0, 9.0, 1.0, 0.0]])
    assert discrimination(on_dog, on_cat, DOG, CAT) == Outcome((0.5 + 0.0) / 2)


@given(st.integers(0, 1000))
def test_one_map_for_both_targets_discriminates_nothing(seed):
    plane = np.random.default_rng(seed).random((1, 4)) + 0.01
    other = np.random.default_rng(seed + 1).random((1, 4)) + 0.01
    assert discrimination(plane, plane, DOG, CAT).value == pytest.approx(0.0)
    found = discrimination(plane, other, DOG, CAT).value
    assert found == pytest.approx(-discrimination(other, plane, DOG, CAT).value)
    assert -1 <= found <= 1


def test_perfect_maps_score_one():
    assert discrimination(DOG * 1.0 - DOG * CAT, CAT * 1.0 - DOG * CAT, DOG, CAT).value == 1.0


def test_discrimination_of_what_is_undefined():
    plane, zero = np.ones((1, 4)), np.zeros((1, 4))
    assert discrimination(plane, plane, DOG, DOG).left_out == "empty_mask"
    assert discrimination(zero, plane, DOG, CAT).left_out == "zero_map"
    with pytest.raises(VlxError, match="absolute"):
        discrimination(-plane, plane, DOG, CAT)
    with pytest.raises(VlxError, match="shapes"):
        discrimination(plane, np.ones((2, 2)), DOG, CAT)
