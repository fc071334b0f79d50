import json

import pytest

from vlx.eval.data.records import DataError
from vlx.eval.data.visual_genome import read_image_data, read_regions
from vlx.eval.measures.boxes import Box

PLACE = {"x": 11, "y": 21, "width": 30, "height": 40, "phrase": " a red dog "}


def written(folder, content):
    path = folder / "regions.json"
    path.write_text(json.dumps(content))
    return path


def test_current_regions_become_zero_based(tmp_path):
    region = PLACE | {"region_id": 5, "image_id": 1}
    path = written(tmp_path, [{"id": 1, "regions": [region]}, {"id": 2, "regions": []}])
    found = read_regions(path)
    assert found[1][0].box == Box(10, 20, 30, 40)
    assert (found[1][0].id, found[1][0].phrase) == (5, "a red dog")
    assert found[2] == ()
    assert read_regions(path, one_based=False)[1][0].box == Box(11, 21, 30, 40)


def test_the_first_version_is_read_too(tmp_path):
    found = read_regions(written(tmp_path, [{"regions": [PLACE | {"id": 5, "image": 1}]}]))
    assert found[1][0].id == 5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            [{"id": 1, "regions": [PLACE | {"region_id": 5, "image_id": 2}]}],
            "expected 1, the image",
        ),
        ([{"id": 1, "regions": [PLACE]}], r"\[0\]\.regions\[0\] has no 'id'"),
        ([{"regions": []}], r"\[0\] has no 'id'"),
        ([{"id": 1, "regions": []}] * 2, r"\[1\]: image 1 stands twice"),
        ([{"id": 1, "regions": [PLACE | {"id": 1, "x": "a"}]}], r"regions\[0\]\.x"),
        ({"id": 1}, "expected a JSON list"),
    ],
)
def test_wrong_regions_are_named(tmp_path, content, said):
    with pytest.raises(DataError, match=said):
        read_regions(written(tmp_path, content))


def test_image_data_of_both_versions(tmp_path):
    found = read_image_data(
        written(
            tmp_path,
            [
                {"image_id": 1, "width": 640, "height": 480, "coco_id": None},
                {"id": 2, "width": 3, "height": 4, "coco_id": 99},
            ],
        )
    )
    assert (found[1].height, found[1].width, found[1].coco_id) == (480, 640, None)
    assert found[2].coco_id == 99
    with pytest.raises(DataError, match=r"\[0\] is 0 x 3 pixels"):
        read_image_data(written(tmp_path, [{"id": 2, "width": 3, "height": 0}]))
