"""Seeds as an evaluation: items, the loop of the protocol, one confusion matrix, controls, bad files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Run
from tests.eval import small
from vlx.eval.data.class_masks import labels_of, read_masks
from vlx.eval.data.folder import look
from vlx.eval.data.records import DataError
from vlx.eval.items.files import files_digest
from vlx.eval.items.item import digest
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Numbers
from vlx.eval.items.seed_sources import seed_items
from vlx.eval.measures.maps import area_average
from vlx.eval.measures.seeds import GRID, background, confusion, foreground, on_pixels, quality, seeds_of
from vlx.eval.tasks.seeds import SEEDS, qualities
from vlx.explain import explain
from vlx.methods.values import grad_cam, hires_cam
from vlx.passes.targets import label

CLASSES = ("dog", "cat", "car")
SIZE = (40, 56)


def palette(path: Path, labels: np.ndarray) -> None:
    image = Image.fromarray(labels.astype(np.uint8), "P")
    image.putpalette([value % 256 for value in range(768)])
    image.save(path)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Three images with palette masks; the second shows two classes, the third none."""
    root = tmp_path / "voc"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    (root / "labels.txt").write_text("\n".join(["background", *CLASSES]) + "\n")
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("a\nb\n")
    random = np.random.default_rng(0)
    for at, name in enumerate("abc"):
        pixels = random.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.jpg")
        labels = np.zeros(SIZE, int)
        if at < 2:
            labels[5:20, 5:30] = 1
            labels[5:20, 28:31] = 255
        if at == 1:
            labels[25:38, 20:50] = 3
        palette(root / "SegmentationClass" / f"{name}.png", labels)
    return root


def measured(folder: Path, options: Options | None = None, methods: tuple = (grad_cam,)) -> list:
    chosen = options or Options(wrong=2)
    items = seed_items(look(folder), chosen)
    return SEEDS.rows(with_controls(small.three_classes()), items, list(methods), chosen)


def test_items_are_the_classes_of_each_image_and_its_background(voc: Path):
    items = seed_items(look(voc), Options())
    assert [one.id for one in items] == [
        "a/dog", "a/background", "b/dog", "b/car", "b/background", "c/background",
    ]  # fmt: skip
    assert items[2].truth.beside == ((3, ("car", *items[3].classes.names[1:])),)
    assert {one.id for one in seed_items(look(voc, "val"), Options())} == {one.id for one in items[:5]}


def test_counts_are_those_of_the_protocol_written_out(voc: Path):
    rows = {row.item: row for row in measured(voc)}
    classifier = small.three_classes()
    total = np.zeros((4, 5))
    for name, kinds in (("a", (1,)), ("b", (1, 3))):
        photo = Image.open(voc / "JPEGImages" / f"{name}.jpg").convert("RGB")
        passed = classifier.read([photo])
        (found,) = explain(passed, [[label(kind - 1) for kind in kinds]], grad_cam)
        cells = {kind: foreground(area_average(found.map(at), GRID)) for at, kind in enumerate(kinds)}
        truth = labels_of(voc / "SegmentationClass" / f"{name}.png")
        for kind in kinds:
            row = rows[f"{name}/{CLASSES[kind - 1]}"]
            mine = on_pixels(cells[kind].astype(int), SIZE).astype(bool) & (truth != 255)
            own = truth == kind
            assert row.outcomes[SCORE].value == pytest.approx((mine & own).sum() / (mine | own).sum())
            assert row.outcomes["precision"].value == pytest.approx((mine & own).sum() / mine.sum())
        total += confusion(truth, on_pixels(seeds_of(cells), SIZE), 3)
    numbers = [Numbers(row.image, row.method, row.category, row.outcomes) for row in rows.values()]
    told = qualities(numbers, 0)
    wanted = quality(total)
    kinds = [1, 3]
    assert told["grad_cam, mean IoU"].value == pytest.approx(wanted.iou[kinds].mean())
    assert told["grad_cam, mean precision"].value == pytest.approx(wanted.precision[kinds].mean())
    assert told["grad_cam, mean recall"].value == pytest.approx(wanted.recall[kinds].mean())


def test_the_background_is_counted_apart_and_for_every_method(voc: Path):
    rows = measured(voc, methods=(grad_cam, hires_cam))
    nothing = [row for row in rows if row.category == "background"]
    assert [row.method for row in nothing] == ["grad_cam", "hires_cam"] * 3
    for row in nothing:
        assert row.outcomes[SCORE].left_out == "background"
        assert row.outcomes["found"].value <= 0.11 * SIZE[0] * SIZE[1]
        assert row.outcomes["hits"].value <= row.outcomes["found"].value
    assert [row.outcomes for row in nothing[::2]] == [row.outcomes for row in nothing[1::2]]


def test_background_at_a_lower_layer_is_its_saliency(voc: Path):
    (row,) = [one for one in measured(voc, Options(saliency="1")) if one.item == "c/background"]
    photo = Image.open(voc / "JPEGImages" / "c.jpg").convert("RGB")
    passed = small.three_classes().at("1").read([photo])
    (gradient,) = torch.autograd.grad(passed.scores.sum(), passed.features)
    plane = passed.frames[0].on_image(gradient[0].abs().amax(0)).numpy()
    from vlx.eval.measures.seeds import smoothed

    cells = background(smoothed(area_average(plane, GRID)))
    assert row.outcomes["found"].value == on_pixels(cells.astype(int), SIZE).sum()


def test_the_model_and_its_classes_are_left_as_they_were(voc: Path):
    from vlx.eval.items.models import weights_digest

    classifier = small.three_classes()
    before = weights_digest(classifier)
    items = seed_items(look(voc), Options())
    SEEDS.rows(with_controls(classifier), items, [grad_cam], Options())
    assert weights_digest(classifier) == before
    assert not classifier.network.training


def test_a_class_that_the_model_does_not_have_is_left_out(voc: Path):
    (voc / "labels.txt").write_text("background\nzebra\ncat\ncar\n")
    rows = {row.item: row for row in measured(voc)}
    assert rows["b/zebra"].outcomes[SCORE].left_out == "unknown_class"
    assert rows["b/car"].outcomes[SCORE].value is not None


@pytest.mark.parametrize("fault", ["missing", "colours", "label", "text", "size"])
def test_damaged_masks_are_counted_with_reasons(voc: Path, fault: str):
    path = voc / "SegmentationClass" / "b.png"
    labels = np.zeros(SIZE, int)
    if fault == "missing":
        (voc / "ImageSets" / "Segmentation" / "all.txt").write_text("a\nb\nd\n")
        items = seed_items(look(voc, "all"), Options())
        assert "no such file" in next(one for one in items if one.id.startswith("d")).detail
        return
    if fault == "colours":
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path)
    elif fault == "label":
        labels[0, 0] = 9
        palette(path, labels)
    elif fault == "text":
        path.write_text("no image")
    else:
        palette(path, np.ones((7, 7)))
    rows = [row for row in measured(voc) if row.image == "b"]
    assert rows
    assert all(row.outcomes[SCORE].left_out == "damaged_record" for row in rows)
    says = {"colours": "mode RGB", "label": "label 9", "text": "no mask", "size": "7 x 7"}[fault]
    assert says in rows[0].detail


def test_names_of_classes_that_cannot_be_told_are_refused(voc: Path):
    (voc / "labels.txt").write_text("dog\ncat\n")
    with pytest.raises(DataError, match="expected 'background'"):
        read_masks(look(voc))


def test_instances_of_coco_give_what_their_masks_say(voc: Path, tmp_path: Path):
    root = tmp_path / "coco"
    (root / "images").mkdir(parents=True)
    Image.open(voc / "JPEGImages" / "a.jpg").save(root / "images" / "a.jpg")
    box = [[0, 0, 30, 0, 30, 20, 0, 20]]
    inner = [[0, 0, 10, 0, 10, 10, 0, 10]]
    told = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": at, "image_id": 1, "category_id": kind, "iscrowd": 0, "bbox": [0, 0, 9, 9], "area": 9,
             "segmentation": shape}
            for at, (kind, shape) in enumerate(((9, inner), (7, box)), 1)
        ],
    }  # fmt: skip
    (root / "instances.json").write_text(json.dumps(told))
    masks = read_masks(look(root))
    labels = labels_of(masks.images[0].truth)
    assert masks.names == ("cat", "dog")
    assert (labels[:10, :10] == 2).all()  # the smaller lies on top
    assert (labels[15, :30] == 1).all()
    assert {row.item for row in measured(root)} == {"1/cat", "1/dog", "1/background"}


def test_what_decides_the_rows_is_in_the_fingerprints(voc: Path):
    items = seed_items(look(voc), Options())
    before, bytes_before = digest(items), files_digest(items)
    labels = np.array(Image.open(voc / "SegmentationClass" / "a.png"))
    labels[0, 0] = 1
    palette(voc / "SegmentationClass" / "a.png", labels)
    assert files_digest(seed_items(look(voc), Options())) != bytes_before
    other = replace(items[0], truth=replace(items[0].truth, label=2))
    assert digest([other, *items[1:]]) != before


def test_the_command_prints_what_was_measured(voc: Path, tmp_path: Path, run: Run):
    status, out, err = run(
        "evaluate", "seeds", "--model", "small/classifier", "--data", voc, "--out", tmp_path / "out",
        "--method", "grad_cam", "--method", "hires_cam", "--threads", 1,
    )  # fmt: skip
    assert (status, err) == (0, "") or status == 0
    for said in ("grad_cam, mean IoU", "grad_cam minus hires_cam, mean IoU", "centre prior, mean IoU",
                 "background, precision", "41 x 41 cells", "above 20%"):  # fmt: skip
        assert said in out
    status, out, err = run(
        "evaluate",
        "seeds",
        "--model",
        "small/classifier",
        "--data",
        tmp_path / "nothing",
        "--out",
        tmp_path / "o",
    )
    assert status == 1
    assert err.count("\n") == 1


def test_voc_masks_of_real_photos(shared_data: Path):
    masks = read_masks(look(shared_data / "voc-3"))
    shown = {
        one.id: sorted(set(labels_of(one.truth, 20).ravel().tolist()) - {0, 255}) for one in masks.images
    }
    assert [masks.names[at - 1] for at in shown["2011_000003"]] == ["bottle", "person"]
    assert [masks.names[at - 1] for at in shown["2011_000025"]] == ["bus", "car"]
