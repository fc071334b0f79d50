import json

import numpy as np
import pytest

from vlx.eval.data.densecap import (
    image_sizes,
    on_original,
    read_densecap,
    read_features,
    resized_size,
)
from vlx.eval.data.records import DataError
from vlx.eval.measures.boxes import Box, box_mask


def written(folder, **changes):
    image = {
        "img_name": "a.jpg",
        "boxes": [[1, 1, 360, 240], [361, 241, 360, 240]],
        "scores": [2.5, -0.5],
        "captions": [" a red dog", "a cat"],
    }
    path = folder / "results.json"
    path.write_text(json.dumps({"results": [image | changes], "opt": {}}))
    return path


def test_boxes_become_zero_based(tmp_path):
    (image,) = read_densecap(written(tmp_path))
    assert image.regions[0].box == Box(0, 0, 360, 240)
    assert image.regions[0].caption == "a red dog"
    assert image.regions[1].score == -0.5


def test_boxes_side_by_side_tile_the_original_image(tmp_path):
    (image,) = read_densecap(written(tmp_path))
    original = on_original(image, (480, 720), (96, 72))
    masks = [box_mask(region.box, (96, 72)) for region in original.regions]
    assert original.regions[1].box == Box(36, 48, 36, 48)
    assert masks[0][:48, :36].all()
    assert masks[0].sum() == masks[1].sum() == 48 * 36
    with pytest.raises(DataError, match="positive"):
        on_original(image, (0, 720), (48, 72))


def test_the_best_come_first(tmp_path):
    count = 8
    path = written(
        tmp_path,
        boxes=[[1, 1, 2, 2]] * count,
        scores=list(range(count, 0, -1)),
        captions=[str(number) for number in range(count)],
    )
    (image,) = read_densecap(path)
    assert [region.caption for region in image.regions] == list("01234")
    (image,) = read_densecap(path, best=None)
    assert len(image.regions) == count


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"captions": ["one"]}, r"results\[0\]: 2 boxes, 2 scores and 1 captions"),
        ({"scores": [0.0, 1.0]}, r"results\[0\]\.scores .*falling order"),
        ({"boxes": [[1, 2, 3, 4], [1, 2, 3]]}, r"results\[0\]\.boxes\.1 .*4 numbers"),
        ({"boxes": [[1, 2, 3, "4"], [1, 2, 3, 4]]}, r"results\[0\]\.boxes\.0 .*4 numbers"),
        ({"img_name": 3}, r"results\[0\]\.img_name is 3"),
    ],
)
def test_wrong_records_are_named(tmp_path, changes, said):
    with pytest.raises(DataError, match=said):
        read_densecap(written(tmp_path, **changes))


def test_file_names_stay_below_the_root(tmp_path):
    (image,) = read_densecap(written(tmp_path, img_name="../../a.jpg"))
    with pytest.raises(DataError, match="not a file name"):
        image.path(tmp_path)


@pytest.mark.parametrize(
    ("original", "expected"),
    [((480, 640), (540, 720)), ((1440, 720), (720, 360)), ((100, 50), (720, 360))],
)
def test_the_longest_side_becomes_720(original, expected):
    assert resized_size(original) == expected


def test_features_come_out_with_zero_based_boxes(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "features.h5"
    with h5py.File(path, "w") as file:
        file["feats"] = np.ones((2, 3, 4), dtype=np.float32)
        file["boxes"] = np.full((2, 3, 4), 5, dtype=np.float32)
    feats, boxes = read_features(path)
    assert feats.shape == (2, 3, 4)
    assert boxes[0, 0].tolist() == [4, 4, 5, 5]


def test_damaged_features_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with pytest.raises(DataError, match="no such file"):
        read_features(tmp_path / "gone.h5")
    (tmp_path / "bad.h5").write_bytes(b"no hdf5")
    with pytest.raises(DataError, match="not an HDF5 file"):
        read_features(tmp_path / "bad.h5")
    with h5py.File(tmp_path / "half.h5", "w") as file:
        file["feats"] = np.ones((2, 3, 4))
    with pytest.raises(DataError, match="data sets feats and boxes"):
        read_features(tmp_path / "half.h5")
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file["feats"], file["boxes"] = np.ones((2, 3, 4)), np.ones((2, 2, 4))
    with pytest.raises(DataError, match="expected"):
        read_features(tmp_path / "odd.h5")


def test_real_output_of_densecap(shared_data):
    path = shared_data / "densecap-14" / "results.json"
    images = read_densecap(path)
    assert len(images) == 14
    assert all(len(image.regions) == 5 for image in images)
    assert all(len(image.regions) >= 68 for image in read_densecap(path, best=None))
    sizes = image_sizes(images, shared_data / "densecap-14")
    assert {max(size) for size in sizes.values()} == {720}
    for image in images:
        height, width = sizes[image.file_name]
        for region in image.regions:
            assert -31 <= region.box.x <= width
            assert -31 <= region.box.y <= height
            assert box_mask(region.box, (height, width)).any()


def test_image_files_that_are_missing_are_named(tmp_path):
    images = read_densecap(written(tmp_path))
    with pytest.raises(DataError, match=r"a\.jpg: not a readable image"):
        image_sizes(images, tmp_path)
