"""What images show: segments, crowds, damaged records, every word of any caption."""

import json
import shutil
from pathlib import Path

import pytest

from vlx.eval.data.coco import read_instances
from vlx.eval.data.folder import look
from vlx.eval.data.lexicon import built_in, categories_named, visual_words
from vlx.eval.items.options import Options
from vlx.eval.items.shown import shown_in
from vlx.eval.tasks.area import AREA
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.sanity import SANITY


@pytest.fixture
def data(world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world, tmp_path / "data"))


def edited(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_any_word_that_may_name_a_category_counts() -> None:
    assert categories_named(["a statue of a horse"]) >= {"horse"}
    assert visual_words("a statue of a horse") == []
    assert categories_named(["a hot dog", "an orange wall"]) == {"hot dog", "dog", "orange"}
    assert categories_named(["a stop sign"]) == {"stop sign"}
    assert categories_named([]) == set()


@pytest.mark.parametrize("task", [POINTING, AREA, BOXES], ids=lambda one: one.name)
def test_segments_and_every_caption_of_the_image_are_shown(task, world: Path) -> None:
    instances = read_instances(world / "instances.json")
    captions = json.loads((world / "captions.json").read_text())["annotations"]
    items = task.items(look(world), "captioner", Options(captions=1))
    assert items
    for item in items:
        number = int(item.image.stem)
        assert item.shown is not None
        assert {one.category for one in instances.of(number)} <= set(item.shown)
        for caption in captions:
            if caption["image_id"] == number:
                assert {word.category for word in visual_words(caption["caption"])} <= set(item.shown)
        assert not item.category or item.category in item.shown
        assert len(set(built_in().names) - set(item.shown)) > 10


def test_a_later_caption_hides_a_category_though_the_first_alone_is_measured(data: Path) -> None:
    edited(data / "captions.json", lambda told: told["annotations"].append(
        {"id": 10**6, "image_id": 1, "caption": "A poster of a zebra"}
    ))  # fmt: skip
    items = POINTING.items(look(data), "captioner", Options(captions=1))
    for item in items:
        assert item.shown is not None
        assert ("zebra" in item.shown) == (item.cluster == "1") or item.cluster != "1"
    assert all("zebra" in (item.shown or ()) for item in items if item.cluster == "1")


def test_a_crowd_and_a_damaged_record_are_shown(data: Path) -> None:
    instances = read_instances(data / "instances.json")
    absent = next(name for name in instances.categories if name not in {i.category for i in instances.of(1)})

    def change(told) -> None:
        number = next(one["id"] for one in told["categories"] if one["name"] == absent)
        told["annotations"].append({"id": 10**6, "image_id": 1, "category_id": number, "segmentation": None})

    edited(data / "instances.json", change)
    lost = read_instances(data / "instances.json", lambda _error: None)
    assert absent in (shown_in(lost, 1, ()) or ())
    assert absent not in (shown_in(instances, 1, ()) or ())


def test_a_category_that_the_instances_do_not_have_may_be_there(data: Path) -> None:
    edited(data / "instances.json", lambda told: told.update(
        categories=[one for one in told["categories"] if one["name"] != "toothbrush"],
        annotations=[
            one for one in told["annotations"]
            if {c["id"]: c["name"] for c in told["categories"]}[one["category_id"]] != "toothbrush"
        ],
    ))  # fmt: skip
    assert "toothbrush" in (shown_in(read_instances(data / "instances.json"), 1, ()) or ())


def test_without_instances_nobody_knows_what_regions_do_not_show(data: Path) -> None:
    (data / "instances.json").unlink()
    items = BOXES.items(look(data), "captioner", Options())
    assert items
    assert all(item.shown is None for item in items)


def test_captions_that_cannot_be_read_leave_what_the_instances_say(data: Path) -> None:
    (data / "captions.json").write_text("{}")
    items = BOXES.items(look(data), "captioner", Options())
    assert all(item.shown for item in items)


def test_where_no_words_are_asked_for_items_are_as_they_were(world: Path) -> None:
    folder = look(world)
    for task in (POINTING, AREA, BOXES):
        assert all(item.shown is None for item in task.items(folder, "captioner", Options(wrong=0)))
    assert all(item.shown is None for item in SANITY.items(folder, "captioner", Options()))
