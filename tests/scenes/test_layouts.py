"""Scenes laid out as ILSVRC's and VOC's data: the project's own readers find the truth of the scenes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from tests.conftest import Run
from vlx.errors import VlxError
from vlx.eval.data.folder import DataFolder, look
from vlx.eval.data.ilsvrc import read_ground_truth, read_solution, read_synsets
from vlx.eval.data.published import ILSVRC_SYNSETS, ILSVRC_TRUTH
from vlx.eval.data.voc import read_boxes
from vlx.eval.items.class_sources import class_items, guess_items, localisation_items
from vlx.eval.items.options import Options
from vlx.eval.items.truth import Boxes, Present, Segments, filled, mask_of
from vlx.eval.measures.localisation import Corners
from vlx.scenes import held_out_scenes
from vlx.scenes.formats import write_world
from vlx.scenes.inventory import BY_NAME, CATEGORIES
from vlx.scenes.layouts import VOID, borders, palette_index, wnid_of, write_layout
from vlx.scenes.plan import Scene
from vlx.scenes.render import render
from vlx.scenes.texts import told

SEED, COUNT = 11, 16
Truth = list[tuple[Scene, np.ndarray]]


@pytest.fixture(scope="module")
def truth(emoji_font: Path) -> Truth:
    scenes = [told(SEED, index)[0] for index in range(COUNT)]
    return [(scene, render(scene)[1]) for scene in scenes]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, emoji_font: Path) -> Path:
    return write_world(tmp_path_factory.mktemp("world"), COUNT, SEED)


@pytest.fixture(scope="module")
def folders(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataFolder]:
    made = tmp_path_factory.mktemp("laid out")
    others = {name: look(write_layout(world, made / name, name)) for name in ("ilsvrc", "kaggle", "voc")}
    return {"coco": look(world), **others}


def corners(mask: np.ndarray) -> Corners:
    rows, cols = np.nonzero(mask)
    return Corners(int(cols.min()), int(rows.min()), int(cols.max()), int(rows.max()))


def of_largest(scene: Scene, masks: np.ndarray) -> tuple[str, list[Corners]]:
    sizes = [int(mask.sum()) for mask in masks]
    name = scene.items[sizes.index(max(sizes))].category.name
    mine = [m for one, m in zip(scene.items, masks, strict=True) if one.category.name == name and m.any()]
    return name, [corners(mask) for mask in mine]


@pytest.mark.parametrize("layout", ["ilsvrc", "kaggle"])
def test_ilsvrc_gives_the_class_and_the_boxes_of_the_largest_object(
    layout: str, folders: dict[str, DataFolder], truth: Truth
) -> None:
    items = localisation_items(folders[layout], Options())
    assert len(items) == COUNT
    for at, (item, (scene, masks)) in enumerate(zip(items, truth, strict=True), 1):
        name, boxes = of_largest(scene, masks)
        assert item.id == f"ILSVRC2012_val_{at:08d}"
        assert item.left_out == ""
        assert item.category == wnid_of(name)
        assert item.classes is not None
        assert (item.classes.index, item.classes.of) == (CATEGORIES.index(BY_NAME[name]), len(CATEGORIES))
        assert isinstance(item.truth, Boxes)
        assert list(item.truth.corners) == boxes
        with Image.open(item.image) as image:
            assert item.truth.size == (image.height, image.width)


def test_the_devkits_numbers_are_not_those_of_networks(folders: dict[str, DataFolder]) -> None:
    synsets = read_synsets(folders["ilsvrc"].path(ILSVRC_SYNSETS))
    numbers = [number - 1 for number, _ in sorted(synsets.of_number.items(), key=lambda pair: pair[1])]
    assert sorted(numbers) == list(range(len(CATEGORIES)))
    assert numbers != sorted(numbers)
    assert list(synsets.index) == [wnid_of(one.name) for one in CATEGORIES]


def test_both_layouts_of_ilsvrc_tell_the_same(folders: dict[str, DataFolder]) -> None:
    devkit, kaggle = folders["ilsvrc"], folders["kaggle"]
    numbered = read_ground_truth(devkit.path(ILSVRC_TRUTH), read_synsets(devkit.path(ILSVRC_SYNSETS)))
    solved = list(read_solution(kaggle.path(ILSVRC_TRUTH)))
    assert [(one.name, one.wnid) for one in numbered] == [(one.name, one.wnid) for one in solved]
    for one in solved:  # beside Kaggle's table the same boxes stand in XML
        xml = kaggle.root / "ILSVRC" / "Annotations" / "CLS-LOC" / "val" / f"{one.name}.xml"
        assert tuple(drawn.box for drawn in read_boxes(xml, origin=0).objects) == one.boxes


def test_voc_gives_the_boxes_of_every_category(folders: dict[str, DataFolder], truth: Truth) -> None:
    items = class_items(folders["voc"], Options())
    expected = {
        (f"{at:06d}", one.category.name): [
            corners(mask)
            for other, mask in zip(scene.items, masks, strict=True)
            if other.category == one.category and mask.any()
        ]
        for at, (scene, masks) in enumerate(truth, 1)
        for one in scene.items
    }
    found = {(item.cluster, item.category): item for item in items}
    assert {key: list(item.truth.corners) for key, item in found.items()} == expected
    pooled = look(folders["voc"].root, "val")  # as ImageSets lists them
    assert [item.id for item in class_items(pooled, Options())] == [item.id for item in items]


def test_coco_gives_the_masks_that_fill_the_boxes_of_voc(folders: dict[str, DataFolder]) -> None:
    masks = {(int(item.cluster), item.category): item for item in class_items(folders["coco"], Options())}
    boxes = {(int(item.cluster), item.category): item for item in class_items(folders["voc"], Options())}
    assert masks.keys() == boxes.keys()
    for key, item in masks.items():
        truth, drawn = item.truth, boxes[key].truth
        assert isinstance(truth, Segments)
        assert isinstance(drawn, Boxes)
        seen, around = mask_of(truth), filled(drawn, drawn.size)
        assert (around | ~seen).all()
        assert len(drawn.corners) == len(truth.instances)
        if len(drawn.corners) == 1:
            assert drawn.corners[0] == corners(seen)


def test_the_likeliest_classes_are_asked_of_what_is_there(folders: dict[str, DataFolder]) -> None:
    of_voc, of_coco = (guess_items(folders[name], Options(), 5) for name in ("voc", "coco"))
    assert len(of_voc) == len(of_coco) == 5 * COUNT

    def names(truth: object) -> set[str]:
        assert isinstance(truth, Present)
        return {truth.categories[at][0] for at, _ in truth.truths}

    shown = [[names(item.truth) for item in items] for items in (of_voc, of_coco)]
    assert shown[0] == shown[1]


def test_the_masks_of_voc_are_the_scenes_but_for_their_borders(
    folders: dict[str, DataFolder], truth: Truth
) -> None:
    root = folders["voc"].root
    labels = (root / "labels.txt").read_text(encoding="utf-8").splitlines()
    listed = (root / "ImageSets" / "Segmentation" / "val.txt").read_text(encoding="utf-8").split()
    assert len(listed) == COUNT
    for name, (scene, masks) in zip(listed, truth, strict=True):
        kinds, objects = (
            np.array(Image.open(root / folder / f"{name}.png"))
            for folder in ("SegmentationClass", "SegmentationObject")
        )
        expected, numbers = np.zeros(kinds.shape, int), np.zeros(kinds.shape, int)
        for number, (one, mask) in enumerate(zip(scene.items, masks, strict=True), 1):
            expected[mask] = labels.index(one.category.name)
            numbers[mask] = number
        void = kinds == VOID
        np.testing.assert_array_equal(void, objects == VOID)
        np.testing.assert_array_equal(void, maximum_filter(numbers, 3) != minimum_filter(numbers, 3))
        np.testing.assert_array_equal(kinds[~void], expected[~void])
        np.testing.assert_array_equal(objects[~void], numbers[~void])
        assert (expected > 0)[~void].any()


def test_the_palette_is_that_of_voc(folders: dict[str, DataFolder]) -> None:
    image = Image.open(next((folders["voc"].root / "SegmentationClass").iterdir()))
    assert image.mode == "P"
    colours = np.array(image.getpalette()).reshape(-1, 3).tolist()
    assert colours[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert colours[8] == [64, 0, 0]
    assert colours[15] == [192, 128, 128]  # VOC's person
    assert colours[VOID] == [224, 224, 192]
    assert palette_index("person") == 1


def test_lists_of_a_class_say_where_it_is(folders: dict[str, DataFolder], truth: Truth) -> None:
    name = truth[0][0].items[0].category.name
    listed = folders["voc"].root / "ImageSets" / "Main" / f"{name.replace(' ', '_')}_val.txt"
    told_of = [int(line.split()[1]) for line in listed.read_text(encoding="utf-8").splitlines()]
    there = [any(one.category.name == name for one in scene.items) for scene, _ in truth]
    assert told_of == [1 if yes else -1 for yes in there]


def test_a_border_is_two_pixels_wide_and_an_even_plane_has_none() -> None:
    plane = np.zeros((5, 6), np.uint8)
    assert not borders(plane).any()
    plane[:, 3:] = 2
    assert borders(plane).sum(1).tolist() == [2] * 5


def test_held_out_scenes_of_every_layout_are_the_same_pictures(held_out: Path) -> None:
    told_of = json.loads((held_out / "instances.json").read_text(encoding="utf-8"))["images"]
    pictures = [(held_out / "images" / one["file_name"]).read_bytes() for one in told_of]
    for layout, folder in (("ilsvrc", "val"), ("kaggle", "ILSVRC/Data/CLS-LOC/val"), ("voc", "JPEGImages")):
        root = held_out_scenes(layout=layout)
        assert root.name == f"{held_out.name}-{layout}"
        assert [path.read_bytes() for path in sorted((root / folder).iterdir())] == pictures
        assert held_out_scenes(layout=layout) == root


def test_a_damaged_layout_is_put_right(held_out: Path) -> None:
    root = held_out_scenes(layout="voc")
    annotation = root / "Annotations" / "000007.xml"
    kept = annotation.read_bytes()
    annotation.write_text("nothing")
    (root / "Annotations" / "more.xml").write_text("nothing")
    assert (held_out_scenes(layout="voc") / "Annotations" / "000007.xml").read_bytes() == kept
    assert not (root / "Annotations" / "more.xml").exists()


def test_a_command_writes_a_layout(world: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "new" / "voc"
    assert run("scenes", "lay-out", out, "--like", "voc", "--world", world)[:2] == (0, f"{out}\n")
    assert len(list((out / "Annotations").iterdir())) == COUNT
    status, said, err = run("scenes", "lay-out", tmp_path / "other", "--like", "coco")
    assert (status, said) == (1, "")
    assert err == "vlx: no layout 'coco' of scenes; known: ilsvrc, kaggle, voc\n"
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_laid_out_is_told(tmp_path: Path, world: Path) -> None:
    with pytest.raises(VlxError, match="no layout 'vocs' of scenes; known: ilsvrc, kaggle, voc"):
        write_layout(world, tmp_path / "out", "vocs")
    with pytest.raises(VlxError, match="holds no scenes"):
        write_layout(tmp_path, tmp_path / "out", "voc")
    (tmp_path / "instances.json").write_text('{"info": {"description": "COCO"}}', encoding="utf-8")
    with pytest.raises(VlxError, match="holds other images than scenes"):
        write_layout(tmp_path, tmp_path / "out", "voc")
    (tmp_path / "full" / "labels.txt").mkdir(parents=True)
    with pytest.raises(VlxError, match=r"labels\.txt is no file"):
        write_layout(world, tmp_path / "full", "voc")
