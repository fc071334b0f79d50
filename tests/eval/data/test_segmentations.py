"""Segmentations in every shape of public files: the same pixels, or one line that says where and why."""

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle

from vlx.eval.data.records import DataError
from vlx.eval.data.segmentations import segmented

SIZE = (20, 30)
SQUARE = [2, 3, 10, 3, 10, 9, 2, 9]
MASK = np.zeros(SIZE, dtype=bool)
MASK[3:9, 2:10] = True
RUNS = [43, *[6, 14] * 7, 6, 411]  # down the columns, as COCO counts
PACKED = rle.encode(np.asfortranarray(MASK.astype(np.uint8)))["counts"].decode()


@pytest.mark.parametrize(
    "shape",
    [
        [SQUARE],
        SQUARE,
        [[str(value) for value in SQUARE]],
        [f"{value}.0" for value in SQUARE],
        [[2, 3], [10, 3], [10, 9], [2, 9]],
        [[[2, 3], [10, 3], [10, 9], [2, 9]]],
        [SQUARE, [3, 3, 4, 4]],
        [[1, 1], SQUARE, []],
        [SQUARE, SQUARE],
        {"counts": RUNS, "size": [20, 30]},
        {"counts": RUNS, "size": None},
        {"counts": RUNS},
        {"counts": RUNS, "size": ["20", "30.0"]},
        {"counts": [float(run) for run in RUNS], "size": [20, 30]},
        {"counts": [str(run) for run in RUNS], "size": [20, 30]},
        {"counts": " ".join(map(str, RUNS)), "size": [20, 30]},
        {"counts": str(RUNS)},
        {"counts": PACKED, "size": [20, 30]},
        {"counts": PACKED},
        [{"counts": RUNS, "size": [20, 30]}],
        [{"counts": PACKED, "size": [20, 30]}],
        [{"counts": RUNS}, SQUARE],
    ],
)
def test_every_shape_covers_the_same_pixels(shape: Any) -> None:
    assert (segmented(shape, SIZE, "annotations[0]") == MASK).all()


def test_pieces_and_codes_are_joined() -> None:
    other = [20, 10, 25, 10, 25, 15, 20, 15]
    apart = segmented([other], SIZE, "a")
    assert (segmented([SQUARE, other], SIZE, "a") == MASK | apart).all()
    assert (segmented([{"counts": RUNS}, other], SIZE, "a") == MASK | apart).all()


def test_a_mask_without_a_pixel_is_one() -> None:
    assert not segmented({"counts": [600], "size": [20, 30]}, SIZE, "a").any()


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ([], "3 or more points"),
        ([[]], "3 or more points"),
        ([[3, 3, 4, 4]], "3 or more points"),
        ([[1, 1, 2, 2, 3]], "3 or more points"),
        ([[1, 1, 2, 2, 3, None]], "3 or more points"),
        ([[1, 1, 2, 2, 3, float("nan")]], "3 or more points"),
        ([[1, 1, 2, 2, 3, 10**400]], "3 or more points"),
        ([[1, 1, 2, 2, 3, "four"]], "3 or more points"),
        ([[True, 1, 2, 2, 3, 4]], "3 or more points"),
        ([3], "3 or more points"),
        ([None], "3 or more points"),
        (["polygon"], "3 or more points"),
        ([SQUARE, [1e9, 1, 2, 2, 3, 3]], "3 or more points"),
        (7, "3 or more points"),
        ({}, "do not add up to 600"),
        ({"counts": []}, "do not add up to 600"),
        ({"counts": ""}, "counts are empty"),
        ({"counts": None, "size": [20, 30]}, "do not add up to 600"),
        ({"counts": 5}, "do not add up to 600"),
        ({"counts": {}}, "do not add up to 600"),
        ({"counts": [300, 200]}, "do not add up to 600"),
        ({"counts": [700, -100]}, "do not add up to 600"),
        ({"counts": [300.5, 299.5]}, "do not add up to 600"),
        ({"counts": ["many", 600]}, "do not add up to 600"),
        ({"counts": [[600]]}, "do not add up to 600"),
        ({"counts": [600], "size": [30, 20]}, r"size is \[30, 20\]: the image is \[20, 30\]"),
        ({"counts": [600], "size": [0, 0]}, "size is"),
        ({"counts": [600], "size": 600}, "size is 600"),
        ({"counts": [600], "size": [20]}, "size is"),
        ({"counts": [600], "size": "20x30"}, "size is"),
        ({"counts": PACKED[:-3]}, "do not add up to 600"),
        ({"counts": PACKED * 9}, "cannot be decoded|do not add up"),
        ({"counts": "é"}, "cannot be decoded"),
        ([{"counts": [1]}], "do not add up to 600"),
    ],
)
def test_what_is_no_segmentation_says_where_and_why(shape: Any, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        segmented(shape, SIZE, "file.json: annotations[3]")
    assert str(caught.value).startswith("file.json: annotations[3]")
    assert len(str(caught.value)) < 250


def test_an_image_of_no_size_has_no_masks() -> None:
    with pytest.raises(DataError, match="no height and width"):
        segmented([SQUARE], (0, 0), "a")
