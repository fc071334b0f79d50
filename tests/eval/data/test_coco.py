import json

import numpy as np
import pytest
from pycocotools import mask as rle

from vlx.eval.data.coco import instance_mask, read_captions, read_instances, union_mask
from vlx.eval.data.records import DataError
from vlx.eval.measures.boxes import Box

SQUARE = [[1, 1, 4, 1, 4, 3, 1, 3]]


def annotation(**changes):
    plain = {
        "id": 1,
        "image_id": 7,
        "category_id": 18,
        "bbox": [1, 1, 3, 2],
        "segmentation": SQUARE,
        "iscrowd": 0,
    }
    return plain | changes


def crowd_code(mask):
    flat = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": ([0] if flat[0] else []) + runs}


def written(folder, *annotations, **changes):
    content = {
        "images": [{"id": 7, "file_name": "7.jpg", "height": 5, "width": 6}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
        "annotations": list(annotations),
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(content | changes))
    return path


def test_polygons_fill_their_pixels(tmp_path):
    instances = read_instances(written(tmp_path, annotation()))
    expected = np.zeros((5, 6), dtype=bool)
    expected[1:3, 1:4] = True
    assert (union_mask(instances, 7, "dog") == expected).all()
    assert instances.of(7)[0].box == Box(1, 1, 3, 2)


def test_a_category_without_instances_has_an_empty_mask(tmp_path):
    instances = read_instances(written(tmp_path, annotation()))
    assert not union_mask(instances, 7, "cat").any()


def test_the_union_covers_every_instance_and_crowds_by_choice(tmp_path):
    mask = np.zeros((5, 6), dtype=bool)
    mask[4, :] = True
    other = annotation(id=2, segmentation=[[0, 0, 1, 0, 1, 1, 0, 1]])
    crowd = annotation(id=3, segmentation=crowd_code(mask), iscrowd=1)
    instances = read_instances(written(tmp_path, annotation(), other, crowd))
    alone = union_mask(instances, 7, "dog", crowd=False)
    assert alone.sum() == 7
    assert (union_mask(instances, 7, "dog") == alone | mask).all()


@pytest.mark.parametrize("seed", range(5))
def test_run_length_codes_of_both_kinds_decode(tmp_path, seed):
    mask = np.random.default_rng(seed).random((5, 6)) < 0.5
    packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    packed["counts"] = packed["counts"].decode()
    plain = annotation(segmentation=crowd_code(mask))
    instances = read_instances(written(tmp_path, annotation(segmentation=packed), plain))
    for instance in instances.of(7):
        assert (instance_mask(instance, instances.images[7]) == mask).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"segmentation": [[1, 1, 2]]}, "three|3 or more points"),
        ({"segmentation": [[1, 1, 2, 2, 1e9, 3]]}, "3 or more points"),
        ({"segmentation": {"size": [6, 5], "counts": [30]}}, "size is"),
        ({"segmentation": {"size": [5, 6], "counts": [31]}}, "do not add up to 30"),
        ({"segmentation": {"size": [5, 6], "counts": [40, -10]}}, "do not add up to 30"),
        ({"segmentation": {"size": [5, 6], "counts": "zzzz"}}, "cannot be decoded"),
    ],
)
def test_damaged_masks_name_their_record(tmp_path, changes, said):
    instances = read_instances(written(tmp_path, annotation(**changes)))
    with pytest.raises(DataError, match=said) as caught:
        union_mask(instances, 7, "dog")
    assert "annotations[0]" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"category_id": 99}, r"annotations\[0\]\.category_id is 99"),
        ({"image_id": 8}, r"annotations\[0\]\.image_id is 8"),
        ({"bbox": [1, 2]}, r"annotations\[0\]\.bbox .*4 numbers"),
        ({"segmentation": 3}, r"annotations\[0\]\.segmentation is 3"),
        ({"segmentation": []}, r"annotations\[0\]\.segmentation"),
    ],
)
def test_wrong_records_are_named(tmp_path, changes, said):
    with pytest.raises(DataError, match=said):
        read_instances(written(tmp_path, annotation(**changes)))


def test_images_are_checked(tmp_path):
    twice = [{"id": 7, "file_name": "7.jpg", "height": 5, "width": 6}] * 2
    with pytest.raises(DataError, match=r"images\[1\]: image id 7 stands twice"):
        read_instances(written(tmp_path, images=twice))
    flat = [{"id": 7, "file_name": "7.jpg", "height": 0, "width": 6}]
    with pytest.raises(DataError, match="0 x 6 pixels"):
        read_instances(written(tmp_path, images=flat))


def test_unknown_images_and_categories_are_refused(tmp_path):
    instances = read_instances(written(tmp_path, annotation()))
    with pytest.raises(DataError, match="no image 8"):
        instances.of(8)
    with pytest.raises(DataError, match="no category 'dgo'; near names: dog"):
        union_mask(instances, 7, "dgo")


def test_file_names_stay_below_the_root(tmp_path):
    outside = [{"id": 7, "file_name": "../7.jpg", "height": 5, "width": 6}]
    instances = read_instances(written(tmp_path, images=outside))
    with pytest.raises(DataError, match="not a file name"):
        instances.images[7].path(tmp_path)


def test_captions_are_grouped_by_image(tmp_path):
    captions = [
        {"id": 1, "image_id": 7, "caption": " A dog. \n"},
        {"id": 2, "image_id": 7, "caption": "A cat."},
    ]
    found = read_captions(written(tmp_path, *captions))
    assert [caption.text for caption in found.by_image[7]] == ["A dog.", "A cat."]
    with pytest.raises(DataError, match=r"annotations\[0\] has no 'caption'"):
        read_captions(written(tmp_path, {"id": 1, "image_id": 7}))


def test_real_files_read_whole(shared_data):
    instances = read_instances(shared_data / "coco-80" / "instances.json")
    captions = read_captions(shared_data / "coco-80" / "captions.json")
    assert len(instances.images) == len(captions.images) == 80
    assert len(instances.categories) == 80
    assert sum(map(len, instances.by_image.values())) == 739
    assert all(len(found) == 5 for found in captions.by_image.values())


def test_real_masks_lie_in_their_boxes_and_have_their_areas(shared_data):
    path = shared_data / "coco-80" / "instances.json"
    instances = read_instances(path)
    areas = {record["id"]: record["area"] for record in json.loads(path.read_text())["annotations"]}
    ids = [record["id"] for record in json.loads(path.read_text())["annotations"]]
    everything = sorted(
        (found for group in instances.by_image.values() for found in group),
        key=lambda found: int(found.where.rsplit("[", 1)[1][:-1]),
    )
    for number, instance in list(enumerate(everything))[::7]:
        mask = instance_mask(instance, instances.images[instance.image_id])
        rows, cols = np.nonzero(mask)
        box = instance.box
        if len(rows):
            assert box.x - 1.5 <= cols.min()
            assert cols.max() <= box.x + box.width + 1.5
            assert box.y - 1.5 <= rows.min()
            assert rows.max() <= box.y + box.height + 1.5
        assert mask.sum() == pytest.approx(areas[ids[number]], rel=0.15, abs=40)


def test_real_boxes_masks_and_names_are_those_of_pycocotools(shared_data, capsys):
    from pycocotools.coco import COCO

    path = shared_data / "coco-80" / "instances.json"
    other, mine = COCO(str(path)), read_instances(path)
    capsys.readouterr()  # it prints
    assert sorted(mine.images) == sorted(other.getImgIds())
    assert set(mine.categories) == {one["name"] for one in other.loadCats(other.getCatIds())}
    for number, (image_id, image) in enumerate(sorted(mine.images.items())):
        (told,) = other.loadImgs(image_id)
        assert (image.file_name, image.height, image.width) == (
            told["file_name"], told["height"], told["width"],
        )  # fmt: skip
        theirs = other.loadAnns(other.getAnnIds(imgIds=image_id))
        found = [
            (one.category, [one.box.x, one.box.y, one.box.width, one.box.height], one.crowd)
            for one in mine.of(image_id)
        ]
        assert found == [
            (other.cats[one["category_id"]]["name"], one["bbox"], bool(one["iscrowd"])) for one in theirs
        ]
        if number % 8 == 0:
            for category in {one[0] for one in found}:
                masks = [
                    other.annToMask(one)
                    for one in theirs
                    if other.cats[one["category_id"]]["name"] == category
                ]
                assert (union_mask(mine, image_id, category) == np.any(masks, 0)).all()


def test_files_in_the_manner_of_lvis_are_read(tmp_path):
    images = [{"id": 7, "coco_url": "http://images.example.org/val2017/7.jpg", "height": 5, "width": 6}]
    plain = {name: value for name, value in annotation().items() if name not in ("bbox", "iscrowd")}
    instances = read_instances(written(tmp_path, plain, {**plain, "iscrowd": None}, images=images))
    assert instances.images[7].file_name == "7.jpg"
    assert [one.box for one in instances.of(7)] == [Box(1, 1, 3, 2)] * 2
    assert union_mask(instances, 7, "dog").sum() == 6


def test_ids_may_be_texts_and_keep_their_digits(tmp_path):
    large = 2**53 + 1
    images = [{"id": str(large), "file_name": "7.jpg", "height": "5", "width": 6.0}]
    instances = read_instances(written(tmp_path, annotation(image_id=large, category_id="18"), images=images))
    assert [one.category for one in instances.of(large)] == ["dog"]
    named = [{"id": "seven", "file_name": "7.jpg", "height": 5, "width": 6}]
    with pytest.raises(DataError, match=r'images\[0\]\.id is "seven": expected a number'):
        read_instances(written(tmp_path, images=named))


def test_images_without_a_size_are_listed_and_have_no_masks(tmp_path):
    instances = read_instances(written(tmp_path, annotation(), images=[{"id": 7, "file_name": "7.jpg"}]))
    assert list(instances.images) == [7]
    with pytest.raises(DataError, match="no height and width"):
        union_mask(instances, 7, "dog")


def test_what_is_lost_with_a_damaged_record_is_known(tmp_path):
    told: list[DataError] = []
    broken = annotation(id=2, bbox=[0, 0, float("nan"), 1])
    instances = read_instances(written(tmp_path, annotation(), broken), told.append)
    assert len(told) == 1
    assert "annotations[1].bbox" in instances.lost[7, "dog"]


def test_captions_of_karpathys_splits(tmp_path):
    def image(number, split, **more):
        sentences = [{"raw": f" A dog {n}.", "tokens": [], "sentid": 10 * number + n} for n in range(2)]
        return {
            "filename": f"{number}.jpg",
            "imgid": 900 + number,
            "split": split,
            "sentences": sentences,
            **more,
        }

    images = [
        image(1, "test", filepath="val2014", cocoid=41),
        image(2, "restval", filepath="val2014", cocoid=42),
        image(3, "train", filepath="train2014", cocoid=43),
        image(4, "train"),
    ]
    path = tmp_path / "dataset_coco.json"
    path.write_text(json.dumps({"images": images, "dataset": "coco"}))
    read = read_captions(path)
    assert {image.id: image.file_name for image in read.images.values()} == {
        41: "val2014/1.jpg", 42: "val2014/2.jpg", 43: "train2014/3.jpg", 904: "4.jpg",
    }  # fmt: skip
    assert [(one.id, one.image_id, one.text) for one in read.by_image[41]] == [
        (10, 41, "A dog 0."), (11, 41, "A dog 1."),
    ]  # fmt: skip
    for split, ids in {"test": [41], "val2014": [41, 42], "train": [43, 904], "other": []}.items():
        assert list(read_captions(path, split=split).images) == ids
    told = []
    path.write_text(json.dumps({"images": [images[0], images[0], {"sentences": 3, "filename": "x"}]}))
    assert list(read_captions(path, told.append).images) == [41]
    assert ["stands twice" in str(error) for error in told] == [True, False]
    assert len(told) == 2
