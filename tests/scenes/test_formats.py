"""Scenes as files: the same bytes from a seed, read by pycocotools and by the project's own readers."""

import contextlib
import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from scipy.stats import spearmanr

from tests.scenes.said import read_phrase
from vlx.errors import VlxError
from vlx.eval.data.coco import instance_mask, read_captions, read_instances, union_mask
from vlx.eval.data.densecap import image_sizes, read_densecap
from vlx.eval.data.hat import find_human_maps, read_human_map
from vlx.eval.data.vqa import read_annotations, read_questions
from vlx.images.files import list_images, open_image
from vlx.scenes.formats import ANNOTATORS, REGIONS, write_world
from vlx.scenes.inventory import CATEGORIES
from vlx.scenes.plan import SIDE, Scene
from vlx.scenes.render import render
from vlx.scenes.texts import told

SEED, COUNT = 4, 24


@pytest.fixture(scope="module")
def world(tmp_path_factory, emoji_font) -> Path:
    return write_world(tmp_path_factory.mktemp("world"), COUNT, SEED)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [told(SEED, index)[0] for index in range(COUNT)]


@pytest.fixture(scope="module")
def masks(emoji_font, scenes) -> list[np.ndarray]:
    return [render(scene)[1] for scene in scenes]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def content(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom; the last two exclusive."""
    rows, cols = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    return cols[0], rows[0], cols[-1] + 1, rows[-1] + 1


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(world, tmp_path):
    assert digests(write_world(tmp_path / "again", COUNT, SEED)) == digests(world)
    other = digests(write_world(tmp_path / "other", 3, SEED + 1))
    mine = digests(world)
    assert not any(other[f"images/{n:012d}.jpg"] == mine[f"images/{n:012d}.jpg"] for n in (1, 2, 3))


def test_scenes_do_not_depend_on_how_many_are_written(world, tmp_path):
    few = write_world(tmp_path, 5, SEED)
    small, large = digests(few), digests(world)
    pictures = [name for name in small if name.endswith((".jpg", ".png"))]
    assert len(pictures) > 5
    assert all(small[name] == large[name] for name in pictures)
    for name, key in (
        ("instances.json", "annotations"), ("captions.json", "annotations"), ("results.json", "results"),
        ("questions.json", "questions"), ("annotations.json", "annotations"), ("instances.json", "images"),
    ):  # fmt: skip
        first = content(few / name)[key]
        assert first == content(world / name)[key][: len(first)]


def test_several_processes_write_the_same_bytes(world, tmp_path):
    assert digests(write_world(tmp_path, COUNT, SEED, workers=2)) == digests(world)


def test_earlier_scenes_are_replaced_and_other_images_are_kept(tmp_path, emoji_font):
    write_world(tmp_path / "world", 3, SEED)
    assert digests(write_world(tmp_path / "world", 2, 9)) == digests(write_world(tmp_path / "new", 2, 9))
    photo = tmp_path / "mine" / "images" / "photo.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"x")
    with pytest.raises(VlxError, match="empty folder"):
        write_world(tmp_path / "mine", 1, SEED)
    assert photo.read_bytes() == b"x"


def test_no_scenes_at_all_are_refused(tmp_path, emoji_font):
    with pytest.raises(VlxError, match="0 scenes are none: give 1 or more"):
        write_world(tmp_path / "none", 0)


def test_images_are_the_scenes(world, scenes):
    paths = list_images([world / "images"])
    assert [path.name for path in paths] == [f"{n:012d}.jpg" for n in range(1, COUNT + 1)]
    for path, scene in zip(paths, scenes, strict=True):
        found, drawn = np.asarray(open_image(path)).astype(int), render(scene)[0]
        assert found.shape == (SIDE, SIDE, 3)
        assert np.abs(found - drawn).mean() < 6  # JPEG


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools 2.0 under NumPy 2
def test_pycocotools_reads_instances_with_the_masks_and_boxes_that_were_drawn(world, scenes, masks):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(world / "instances.json"))
    assert coco.getImgIds() == list(range(1, COUNT + 1))
    assert {kind["id"]: kind["name"] for kind in coco.loadCats(coco.getCatIds())} == {
        category.id: category.name for category in CATEGORIES
    }
    for image_id, scene, drawn in zip(coco.getImgIds(), scenes, masks, strict=True):
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        assert [one["category_id"] for one in annotations] == [item.category.id for item in scene.items]
        assert [one.get("colour") for one in annotations] == [item.colour for item in scene.items]
        for one, mask in zip(annotations, drawn, strict=True):
            np.testing.assert_array_equal(coco.annToMask(one).astype(bool), mask)
            left, top, right, bottom = box(mask)
            assert one["bbox"] == [left, top, right - left, bottom - top]
            assert one["area"] == mask.sum()
            assert one["iscrowd"] == 0
    assert len({one["id"] for one in coco.dataset["annotations"]}) == len(coco.dataset["annotations"])


def test_pycocotools_reads_captions(world):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(world / "captions.json"))
    for index in range(COUNT):
        found = [one["caption"] for one in coco.loadAnns(coco.getAnnIds(index + 1))]
        assert found == told(SEED, index)[1]


def test_the_projects_coco_readers_agree(world, scenes, masks):
    captions, instances = read_captions(world / "captions.json"), read_instances(world / "instances.json")
    assert list(captions.images) == list(instances.images) == list(range(1, COUNT + 1))
    for index, (scene, drawn) in enumerate(zip(scenes, masks, strict=True)):
        image = instances.images[index + 1]
        assert image.path(world / "images").is_file()
        assert [caption.text for caption in captions.by_image[index + 1]] == told(SEED, index)[1]
        for one, mask in zip(instances.of(index + 1), drawn, strict=True):
            np.testing.assert_array_equal(instance_mask(one, image), mask)
        for name in {item.category.name for item in scene.items}:
            parts = [
                mask for item, mask in zip(scene.items, drawn, strict=True) if item.category.name == name
            ]
            np.testing.assert_array_equal(union_mask(instances, index + 1, name), np.any(parts, 0))


def test_densecap_regions_are_the_objects_boxes_with_true_captions(world, scenes, masks):
    found = read_densecap(world / "results.json", best=None)
    assert [one.file_name for one in found] == [f"{n:012d}.jpg" for n in range(1, COUNT + 1)]
    assert set(image_sizes(found, world / "images").values()) == {(SIDE, SIDE)}
    for dense, scene, drawn in zip(found, scenes, masks, strict=True):
        assert len(dense.regions) == max(REGIONS, len(scene.items)) == 5
        assert all(region.score > 0 for region in dense.regions)
        for number, region in enumerate(dense.regions):
            item, mask = scene.items[number % len(scene.items)], drawn[number % len(scene.items)]
            left, top, right, bottom = box(mask)
            slack = 0.0 if number < len(scene.items) else 0.0601 * max(right - left, bottom - top)
            given = region.box
            assert abs(given.x - left) <= slack
            assert abs(given.y - top) <= slack
            assert abs(given.width - (right - left)) <= slack
            assert abs(given.height - (bottom - top)) <= slack
            claim = read_phrase(region.caption)
            assert claim.holds(item)
            assert claim.category == item.category.name


def test_questions_and_answers_are_those_asked(world):
    questions = read_questions(world / "questions.json")
    annotations = read_annotations(world / "annotations.json", questions)
    assert list(questions) == list(annotations)
    expected = [(index + 1, one) for index in range(COUNT) for one in told(SEED, index)[2]]
    assert len(expected) == len(questions)
    types = {"count": "number", "presence": "yes/no"}
    for (image_id, asked), question in zip(expected, questions.values(), strict=True):
        annotation = annotations[question.id]
        assert (question.image_id, question.text) == (image_id, asked.question)
        assert annotation.answer == asked.answer
        assert len(annotation.answers) == 10
        assert Counter(annotation.answers).most_common(1)[0][0] == asked.answer
        assert annotation.answers.count(asked.answer) >= 6
        assert annotation.question_type == asked.kind
        assert annotation.answer_type == types.get(asked.kind, "other")
    assert content(world / "questions.json")["task_type"] == "Open-Ended"


def human_maps(world: Path) -> list[tuple[list[np.ndarray], tuple[int, ...], int]]:
    """For each question its maps, the objects to look at, and the position of its scene."""
    maps = find_human_maps(world / "attention")
    assert maps.ignored == ()
    found = []
    numbers = iter(maps.by_question.items())
    for index in range(COUNT):
        for asked in told(SEED, index)[2]:
            question, paths = next(numbers)
            assert question // 10 == index + 1
            assert len(paths) == ANNOTATORS == 3
            found.append(([read_human_map(path, (SIDE, SIDE)) for path in paths], asked.look, index))
    assert next(numbers, None) is None
    return found


def test_every_annotator_looks_at_the_answers_objects(world, masks):
    for maps, look, index in human_maps(world):
        wanted = masks[index][list(look)]
        for plane in maps:
            assert 0.6 < plane.max() <= 1
            for mask in wanted:
                assert plane[mask].max() > 0.6
                assert plane[mask].mean() > 0.3
            away = ~wanted.any(0)
            assert plane[wanted.any(0)].mean() > 1.3 * plane[away].mean()


def test_annotators_differ_but_agree(world):
    agreed = []
    for maps, _, _ in human_maps(world):
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert not np.array_equal(maps[one], maps[other])
            agreed.append(spearmanr(maps[one].ravel(), maps[other].ravel()).statistic)
    assert min(agreed) > 0.3
    assert np.mean(agreed) > 0.75


def test_annotators_miss_the_centre_by_a_little_in_every_direction(world, masks):
    off = []
    for maps, look, index in human_maps(world):
        for plane in maps if len(look) == 1 else ():
            left, top, right, bottom = box(masks[index][look[0]])
            middle, size = np.array([top + bottom, left + right]) / 2, (bottom - top, right - left)
            off.append((np.argwhere(plane == plane.max()).mean(0) + 0.5 - middle) / size)
    assert len(off) > 60
    assert (np.abs(np.mean(off, 0)) < 0.06).all()
    assert np.std(off, 0) == pytest.approx([0.12, 0.12], abs=0.06)


def test_the_held_out_scenes_can_be_read(held_out):
    instances, captions = (
        read_instances(held_out / "instances.json"),
        read_captions(held_out / "captions.json"),
    )
    questions = read_questions(held_out / "questions.json")
    read_annotations(held_out / "annotations.json", questions)
    assert list(find_human_maps(held_out / "attention").by_question) == sorted(questions)
    assert (
        len(read_densecap(held_out / "results.json")) == len(instances.images) == len(captions.images) >= 50
    )
    for image in instances.images.values():
        assert open_image(image.path(held_out / "images")).size == (image.width, image.height)
