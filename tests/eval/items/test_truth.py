"""Truth on the pixels of the image file."""

import numpy as np
import pytest

from vlx.eval.data.coco import CocoImage, Instance
from vlx.eval.data.records import DataError
from vlx.eval.items.truth import Region, Segments, box_on_file, mask_of
from vlx.eval.measures.boxes import Box

IMAGE = CocoImage(1, "a.jpg", 6, 8)
BOX = Box(10, 20, 30, 40)


def instance(*polygon: float) -> Instance:
    return Instance(1, "dog", Box(0, 0, 1, 1), False, [list(polygon)], "here")


def test_a_box_is_scaled_from_the_size_that_it_was_drawn_on() -> None:
    assert box_on_file(Region(BOX), (480, 640)) == BOX
    assert box_on_file(Region(BOX, longest=640), (480, 640)) == BOX
    # the longest side 720 of a 480 x 640 image: 540 x 720 pixels
    assert box_on_file(Region(BOX, longest=720), (480, 640)) == BOX.scaled(640 / 720, 480 / 540)


def test_the_mask_holds_every_instance_and_may_be_empty() -> None:
    left, right = instance(0, 0, 2, 0, 2, 2, 0, 2), instance(4, 3, 8, 3, 8, 6, 4, 6)
    mask = mask_of(Segments(IMAGE, (left, right)))
    expected = np.zeros((6, 8), dtype=bool)
    expected[:2, :2] = expected[3:, 4:] = True
    assert (mask == expected).all()
    assert not mask_of(Segments(IMAGE, ())).any()
    with pytest.raises(DataError, match="here"):
        mask_of(Segments(IMAGE, (left, instance(0, 0, 1, 1))))
