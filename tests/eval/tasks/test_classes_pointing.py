"""The pointing game of classes: TorchRay's loop written out, the difficult part, and the form with reject."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import vlx
from tests.eval import small
from vlx.eval.data.folder import look
from vlx.eval.items.class_sources import class_items, guess_items
from vlx.eval.items.item import seed_of
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE
from vlx.eval.items.truth import region_of
from vlx.eval.measures.pointing import first_maximum, pointing_hit
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.classes_pointing import CLASSES_POINTING, CLASSES_REJECT, across
from vlx.methods.values import grad_cam
from vlx.passes.targets import label


def torchray_hit(plane: np.ndarray, mask: np.ndarray, tolerance: int) -> int:
    """The published protocol as loops: first maximum; 1 where a pixel of the mask is nearer than that."""
    best, at = -np.inf, (0, 0)
    for row in range(plane.shape[0]):
        for col in range(plane.shape[1]):
            if plane[row, col] > best:
                best, at = plane[row, col], (row, col)
    for row in range(mask.shape[0]):
        for col in range(mask.shape[1]):
            if mask[row, col] and (row - at[0]) ** 2 + (col - at[1]) ** 2 < tolerance**2:
                return 1
    return 0


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_hits_are_those_of_the_published_loop(seed: int, tolerance: int):
    random = np.random.default_rng(seed)
    plane = random.integers(0, 5, (14, 17)).astype(float)
    mask = random.random((14, 17)) < 0.02
    mask[random.integers(14), random.integers(17)] = True
    found = pointing_hit(plane, mask, tolerance=tolerance, points=first_maximum)
    assert found.value == torchray_hit(plane, mask, tolerance)


Example = tuple[int, np.ndarray, list[bool], np.ndarray]
"""A class, its mask, whether each of its objects is marked as difficult, and a map."""
Made = Callable[[int], tuple[Path, list[Example]]]


def torchray_accuracies(
    examples: list[Example], tolerance: int, classes: int
) -> tuple[list[float | None], float, float]:
    """TorchRay's counters as a loop: hits / (hits + misses) by class, their mean, and hits of all."""
    hits, misses = [0] * classes, [0] * classes
    for name, mask, difficult, plane in examples:
        if all(difficult):
            continue
        if torchray_hit(plane, mask, tolerance):
            hits[name] += 1
        else:
            misses[name] += 1
    found = [hits[at] / (hits[at] + misses[at]) if hits[at] + misses[at] else None for at in range(classes)]
    known = [one for one in found if one is not None]
    return found, sum(known) / len(known), sum(hits) / (sum(hits) + sum(misses))


@pytest.mark.parametrize("seed", range(6))
def test_accuracies_of_classes_are_those_of_the_published_counters(voc_of: Made, seed: int):
    root, examples = voc_of(seed)
    planes = {(number // 3, name): plane for number, (name, _, _, plane) in enumerate(examples)}
    items = class_items(look(root), Options())
    asked = [item for item in items if not item.left_out]
    assert len(items) == len(examples)
    outcomes: dict[str, list[Outcome]] = {}
    for item in asked:
        name = NAMES.index(item.category)
        plane = planes[int(item.cluster), name]
        mask = region_of(item.truth, plane.shape)  # type: ignore[arg-type]
        found = pointing_hit(plane, mask, tolerance=15, points=first_maximum)
        outcomes.setdefault(item.category, []).append(found)
    theirs, mean, pooled = torchray_accuracies(examples, 15, len(NAMES))
    mine = {name: float(np.mean([one.value for one in some])) for name, some in outcomes.items()}
    assert mine == {
        name: pytest.approx(one) for name, one in zip(NAMES, theirs, strict=True) if one is not None
    }
    assert np.mean(list(mine.values())) == pytest.approx(mean)
    assert np.mean([one.value for some in outcomes.values() for one in some]) == pytest.approx(pooled)


NAMES = ("aeroplane", "dog", "sofa")


@pytest.fixture
def voc_of(
    tmp_path: Path,
) -> Made:
    """Made-up images with boxes in XML and a map for each class, and the same as arrays."""

    def made(seed: int) -> tuple[Path, list[Example]]:
        random = np.random.default_rng(seed)
        root = tmp_path / "VOC2007"
        for folder in ("Annotations", "JPEGImages"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        examples: list[Example] = []
        for number in range(8):
            Image.fromarray(np.zeros((90, 120, 3), np.uint8)).save(root / "JPEGImages" / f"{number}.jpg")
            body = ""
            for at, name in enumerate(NAMES):
                mask, hard = np.zeros((90, 120), dtype=bool), []
                for _ in range(int(random.integers(1, 3))):
                    left, top = int(random.integers(1, 110)), int(random.integers(1, 80))
                    right, bottom = min(left + int(random.integers(0, 30)), 120), min(top + 12, 90)
                    hard.append(bool(random.random() < 0.4))
                    mask[top - 1 : bottom, left - 1 : right] = True
                    body += (
                        f"<object><name>{name}</name><difficult>{int(hard[-1])}</difficult><bndbox><xmin>{left}"
                        f"</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
                    )
                plane = random.integers(0, 4, (90, 120)).astype(float)  # with ties
                plane[random.integers(90), random.integers(120)] = 5
                examples.append((at, mask, hard, plane))
            size = "<size><width>120</width><height>90</height></size>"
            text = f"<annotation><filename>{number}.jpg</filename>{size}{body}</annotation>"
            (root / "Annotations" / f"{number}.xml").write_text(text)
        return root, examples

    return made


CATEGORIES = ("cat", "dog", "zebra")


def box_record(number: int, image: int, category: int, box: list[int]) -> dict[str, object]:
    x, y, w, h = box
    return {
        "id": number, "image_id": image, "category_id": category, "iscrowd": 0, "bbox": box, "area": w * h,
        "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
    }  # fmt: skip


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    root = tmp_path / "coco"
    (root / "images").mkdir(parents=True)
    images, records = [], []
    for number in range(1, 7):
        noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 48, "width": 64})
        records.append(box_record(10 * number, number, 1, [2 * number, 4, 12, 10]))
        if number % 2:
            records.append(box_record(10 * number + 1, number, 2, [0, 0, 60, 40]))
    records.append(box_record(99, 6, 3, [0, 0, 5, 5]))
    named = [{"id": at, "name": name} for at, name in enumerate(CATEGORIES, 1)]
    held = {"images": images, "annotations": records, "categories": named}
    (root / "instances.json").write_text(json.dumps(held))
    return root


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    root = tmp_path / "VOC2007"
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)

    def drawn(name: str, box: tuple[int, ...], hard: int) -> str:
        sides = "".join(f"<{s}>{v}</{s}>" for s, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
        return f"<object><name>{name}</name><difficult>{hard}</difficult><bndbox>{sides}</bndbox></object>"

    for stem, objects in {
        "000001": [("dog", (1, 1, 10, 10), 0), ("dog", (20, 20, 30, 30), 1), ("cat", (5, 5, 9, 9), 1)],
        "000002": [("person", (1, 1, 64, 48), 0)],
    }.items():
        noise = np.random.default_rng(int(stem)).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "JPEGImages" / f"{stem}.jpg")
        body = "".join(drawn(*one) for one in objects)
        size = "<size><width>64</width><height>48</height></size>"
        text = f"<annotation><filename>{stem}.jpg</filename>{size}{body}</annotation>"
        (root / "Annotations" / f"{stem}.xml").write_text(text)
    (root / "ImageSets" / "Main" / "test.txt").write_text("000001\n")
    return root


def test_each_category_of_an_image_is_asked_for_with_the_pixels_of_its_instances(coco: Path):
    model, options = small.classifier(), Options(radius=3.0)
    items = class_items(look(coco), options)
    assert [item.id for item in items] == [
        "1/cat", "1/dog", "2/cat", "3/cat", "3/dog", "4/cat", "5/cat", "5/dog", "6/cat", "6/zebra",
    ]  # fmt: skip
    rows = CLASSES_POINTING.rows(with_controls(model), items, [grad_cam], options)
    for item, row in zip(items, rows, strict=True):
        if item.category == "zebra":
            assert row.outcomes[SCORE].left_out == "unknown_class"
            continue
        image = vlx.open_image(item.image)
        number = int(item.cluster)
        mask = np.zeros((48, 64), dtype=bool)
        if item.category == "cat":
            mask[4:14, 2 * number : 2 * number + 12] = True
        else:
            mask[0:40, 0:60] = True
        assert (region_of(item.truth, mask.shape) == mask).all()  # type: ignore[arg-type]
        assert row.target == item.category
        names = ("cat", "dog") if item.category == "cat" else ("dog", "cat")
        (found,) = vlx.explain(model.read([image]), [label(name) for name in names])
        hits = [pointing_hit(found.map(at), mask, tolerance=3, points=first_maximum) for at in (0, 1)]
        assert row.outcomes[SCORE] == hits[0]
        alone = item.classes is not None and item.classes.others == 0
        hard = row.outcomes["difficult"]
        expected = hits[0] if mask.mean() < 0.25 and not alone else Outcome(None, "not_difficult")
        assert hard == expected
        centre = torchray_hit(np.eye(1, 48 * 64, 24 * 64 + 32).reshape(48, 64), mask, 3)
        assert row.outcomes["centre_point"].value == centre


def test_wrong_classes_are_absent_ones_that_the_model_has(coco: Path):
    options = Options()
    for item in class_items(look(coco), options):
        assert item.classes is not None
        absent = {names[0] for names in item.classes.wrong}
        shown = {one.category for one in class_items(look(coco), options) if one.cluster == item.cluster}
        assert absent == set(CATEGORIES) - shown


def test_voc_fills_boxes_and_leaves_out_classes_that_are_all_difficult(voc: Path):
    items = class_items(look(voc), Options())
    assert [(item.id, item.left_out) for item in items] == [
        ("000001/dog", ""), ("000001/cat", "all_difficult"), ("000002/person", ""),
    ]  # fmt: skip
    mask = np.zeros((48, 64), dtype=bool)
    mask[:10, :10] = mask[19:30, 19:30] = True
    assert (region_of(items[0].truth, (48, 64)) == mask).all()  # type: ignore[arg-type]
    assert [item.id for item in class_items(look(voc, "test"), Options())] == ["000001/dog", "000001/cat"]
    assert class_items(look(voc.parent, "VOC2007"), Options())[0].id == "000001/dog"


def test_a_file_of_classes_says_what_is_meant(coco: Path, tmp_path: Path):
    path = tmp_path / "classes.txt"
    path.write_text("cat: car\nzebra: dog\n")
    options = Options(classes=str(path))
    items = class_items(look(coco), options)
    rows = CLASSES_POINTING.rows(with_controls(small.classifier()), items, [grad_cam], options)
    assert {(row.category, row.target) for row in rows} == {("cat", "car"), ("dog", ""), ("zebra", "dog")}


def test_a_table_has_means_over_categories_for_controls_too(coco: Path):
    found = vlx.eval.evaluate(small.classifier(), coco, task="classes-pointing")
    assert {"grad_cam", "centre prior", "centre point", "grad_cam, difficult part"} <= set(
        found.over_categories
    )
    groups = found.categories["grad_cam"]
    known = [one.mean for one in groups.values() if one.mean is not None]
    assert found.over_categories["grad_cam"].mean == pytest.approx(np.mean(known))
    assert "15 pixels of the original image" in found.protocol


def test_reject_asks_for_the_likeliest_categories_the_model_has(coco: Path):
    model, options = small.classifier(), Options(radius=2.0)
    items = guess_items(look(coco), options, 3)
    rows = CLASSES_REJECT.rows(with_controls(model), items, [grad_cam], options)
    for item, row in zip(items, rows, strict=True):
        if item.mention == 2:  # the model has two of the three
            assert row.outcomes[SCORE].left_out == "unknown_class"
            continue
        passed = model.read([vlx.open_image(item.image)])
        first = "dog" if passed.scores[0, 0, 0] > passed.scores[0, 0, 1] else "cat"
        name = first if item.mention == 0 else ({"dog", "cat"} - {first}).pop()
        assert row.target == name
        shown = name == "cat" or int(item.cluster) % 2 == 1
        assert row.outcomes["present"].value == float(shown)
        (found,) = vlx.explain(passed, label(name))
        assert row.outcomes["maximum"].value == pytest.approx(float(found.map(0).max()), rel=1e-4)
        assert shown or row.outcomes[SCORE].value == 0.0


def test_the_threshold_of_reject_is_that_of_the_other_half():
    images = [f"image {number}" for number in range(12)]
    halves = [seed_of(0, f"half {name}") % 2 == 0 for name in images]
    assert 0 < sum(halves) < 12
    random = np.random.default_rng(0)
    maxima, present = random.random(12), random.random(12) < 0.5
    columns = {
        "maximum": [Outcome(float(value)) for value in maxima],
        "present": [Outcome(float(value)) for value in present],
        "score": [Outcome(float(value)) for value in present],
    }
    found = across(columns, images)
    for at, half in enumerate(halves):
        best, cut = -1.0, np.inf
        for threshold in [*sorted(maxima[[one != half for one in halves]]), np.inf]:
            there = [
                float(present[i]) if maxima[i] >= threshold else float(not present[i])
                for i in range(12)
                if halves[i] != half
            ]
            if np.mean(there) > best:
                best, cut = float(np.mean(there)), threshold
        right = present[at] if maxima[at] >= cut else not present[at]
        assert found["with_reject"][at].value == float(right)
    assert [one.value for one in found["refuse_all"]] == [float(not one) for one in present]


def test_the_commands_print_tables(coco: Path, tmp_path: Path, run, monkeypatch):
    import sys

    monkeypatch.setattr(sys.modules["vlx.load"], "load", small.load)
    for name, says in (
        ("classes-pointing", "over the scores of categories"),
        ("classes-reject", "other half"),
    ):
        status, out, _ = run(
            "evaluate", name, "--model", "small/classifier", "--data", coco, "--out", tmp_path / name
        )
        assert status == 0
        assert says in out


def test_a_real_voc_folder_is_read(shared_data: Path):
    items = class_items(look(shared_data / "voc-3"), Options())
    assert {item.category for item in items} >= {"person"}
    assert all(item.image.is_file() for item in items)
