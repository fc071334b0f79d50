"""Thresholds and IoU are those of Network Dissection, written literally; activations lie in place."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import jaccard_score

from vlx.errors import VlxError
from vlx.images.frame import Frame
from vlx.studies.neurons.concepts import Concept, Labelled, MaskData, at_most, drawn_images, of_categories
from vlx.studies.neurons.names import called, detectors, names_from
from vlx.studies.neurons.tally import (
    TopValues,
    add_image,
    iou,
    needed,
    no_counts,
    places_of_categories,
    selected,
)

CONCEPTS = (Concept("object", "dog"), Concept("object", "cat"), Concept("ground", "grass"))
OF = [0, 0, 1]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.floats(0.001, 0.6), st.integers(0, 99))
def test_threshold_is_numpys_quantile_of_all_values(lengths: list[int], share: float, seed: int):
    random = np.random.default_rng(seed)
    parts = [random.integers(0, 5, (3, length)).astype(np.float32) / 3 for length in lengths]  # with ties
    top = TopValues(3, needed(sum(lengths), share))
    for part in parts:
        top.add(torch.from_numpy(part))
    expected = np.quantile(np.concatenate(parts, 1).astype(np.float64), 1 - share, axis=1)
    np.testing.assert_allclose(top.quantile(share), expected, rtol=1e-12, atol=1e-12)


def test_too_little_room_is_an_error_and_no_other_threshold():
    top = TopValues(1, room=2)
    top.add(torch.arange(100.0)[None])
    with pytest.raises(VlxError, match="6 largest"):
        top.quantile(0.05)


def test_iou_is_that_of_the_literal_sum_over_images():
    random = np.random.default_rng(1)
    units, shape = 4, (5, 6)
    active = random.random((3, units, *shape)) > 0.6
    masks = [
        {0: random.random(shape) > 0.5, 2: random.random(shape) > 0.3},
        {2: random.random(shape) > 0.7},  # no object: its activation counts for the ground alone
        {0: random.random(shape) > 0.5, 1: random.random(shape) > 0.8},  # no ground
    ]
    counts = no_counts(units, 3, 2)
    for selection, shown in zip(active, masks, strict=True):
        add_image(counts, torch.from_numpy(selection), shown, OF)
    for unit in range(units):
        for concept in range(3):
            both = either = 0
            for selection, shown in zip(active, masks, strict=True):
                if OF[concept] not in {OF[at] for at in shown}:
                    continue
                truth = shown.get(concept, np.zeros(shape, bool))
                for row in range(shape[0]):
                    for col in range(shape[1]):
                        both += bool(selection[unit, row, col] and truth[row, col])
                        either += bool(selection[unit, row, col] or truth[row, col])
            assert iou(counts, OF)[unit, concept] == pytest.approx(both / either)
    # Of the images with objects together it is scikit-learn's Jaccard score.
    truth = np.stack([masks[0][0], masks[2][0]]).ravel()
    assert iou(counts, OF)[1, 0] == pytest.approx(jaccard_score(truth, active[[0, 2], 1].ravel()))
    assert counts.images.tolist() == [2, 1, 2]


def test_by_hand():
    counts = no_counts(2, 3, 2)
    shown = {0: np.array([[True, True, False, False]])}
    add_image(counts, torch.tensor([[[True, False, True, False]], [[False, False, False, False]]]), shown, OF)
    assert iou(counts, OF)[:, 0].tolist() == [1 / 3, 0.0]  # 1 of 3; the dead unit selects nothing
    names = names_from(counts, CONCEPTS)
    assert names[0] is not None
    assert names[0].concept == CONCEPTS[0]
    assert names[1] is None, "a unit that is nowhere active has no name"
    assert iou(counts, OF)[0, 1] == 0, "a concept that is nowhere has no IoU, and names nothing"
    assert detectors(names, 0.33) == [0]
    assert detectors(names, 0.34) == []
    assert called(names, 0, 1 / 3) is None, "above the threshold, not at it"
    assert names_from(counts, CONCEPTS, least_images=2) == (None, None)


def test_an_image_without_labels_counts_nothing():
    counts = no_counts(1, 3, 2)
    add_image(counts, torch.ones(1, 2, 2, dtype=torch.bool), {}, OF)
    assert not counts.active.any()


def test_plain_resize_is_pillows():
    grid = torch.rand(1, 4, 5, generator=torch.Generator().manual_seed(0))
    frame = Frame.resized((300, 200), (64, 64))
    resized = np.asarray(Image.fromarray(grid[0].numpy(), "F").resize((23, 17), Image.Resampling.BILINEAR))
    where = selected(grid, np.array([0.5]), frame, (17, 23), anchored=False)[0].numpy()
    clear = abs(resized - 0.5) > 1e-5
    assert (where == (resized > 0.5))[clear].all()


def test_anchored_activation_lies_where_the_places_look():
    grid = torch.tensor([[[0.0, 1.0]]])
    frame = Frame((1, 8), (1, 8), (0.0, 0.0, 1.0, 8.0), centres=((0.5,), (0.5, 3.5)))
    anchored = selected(grid, np.array([0.5]), frame, (1, 8))[0, 0]
    plain = selected(grid, np.array([0.5]), frame, (1, 8), anchored=False)[0, 0]
    assert anchored.tolist() == [False] * 2 + [True] * 6
    assert plain.tolist() == [False] * 4 + [True] * 4


def test_what_a_crop_leaves_out_is_not_selected_even_below_zero():
    frame = Frame.resized((4, 8), (4, 8)).cropped(0, 2, 4, 4)
    where = selected(torch.full((1, 2, 2), -1.0), np.array([-2.0]), frame, (4, 8))[0, 0]
    assert where.tolist() == [False, False, True, True, True, True, False, False]


def test_many_units_are_upsampled_in_parts(monkeypatch: pytest.MonkeyPatch):
    grid = torch.rand(7, 3, 3, generator=torch.Generator().manual_seed(2))
    frame, limits = Frame.resized((9, 9), (9, 9)), np.full(7, 0.4)
    whole = selected(grid, limits, frame, (9, 9))
    monkeypatch.setattr("vlx.studies.neurons.tally._ROOM", 170)  # two units at once
    assert torch.equal(selected(grid, limits, frame, (9, 9)), whole)


def test_labels_are_sampled_at_the_centres_of_fewer_pixels():
    mask = np.arange(12).reshape(2, 6) % 2 == 0
    assert at_most(mask, 6) is mask
    assert at_most(mask, 3).tolist() == mask[[1]][:, [1, 3, 5]].tolist()
    assert at_most(np.ones((500, 3), bool), 112).shape == (112, 1)


def test_some_images_and_some_categories():
    def masks() -> dict[int, np.ndarray]:
        return {0: np.ones((1, 1), bool), 2: np.ones((1, 1), bool)}

    images = tuple(Labelled(str(at), Path(), masks) for at in range(9))
    data = MaskData("some", CONCEPTS, images, "")
    fewer = drawn_images(data, 4, seed=3)
    assert len(fewer.images) == 4
    assert drawn_images(MaskData("some", CONCEPTS, images[::-1], ""), 4, 3).images == fewer.images[::-1]
    grounds = of_categories(data, ["ground"])
    assert grounds.concepts == CONCEPTS[2:]
    assert list(grounds.images[0].masks()) == [0]
    with pytest.raises(VlxError, match="no concepts of 'grounds'; near names: ground"):
        of_categories(data, ["grounds"])
    assert places_of_categories(CONCEPTS, data.categories) == OF
