"""Localisation on folders laid out as ILSVRC's devkit and as Kaggle's, against the rule written out."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import vlx
from tests.eval import small
from tests.eval.data.test_ilsvrc import KIT, write_mat
from tests.eval.measures.test_localisation import eval_clsloc
from vlx.eval.data.folder import look
from vlx.eval.items.class_sources import localisation_items
from vlx.eval.items.crops import mean_scores, merged, views_of
from vlx.eval.items.item import Item, digest, seed_of
from vlx.eval.items.models import with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE
from vlx.eval.items.truth import Boxes, corners_on_file
from vlx.eval.measures.controls import centre_prior
from vlx.eval.measures.localisation import SWEPT, Corners, map_box, overlap
from vlx.eval.measures.statistics import Outcome
from vlx.eval.tasks.localisation import LOCALISATION, across
from vlx.methods.values import grad_cam
from vlx.passes.targets import label

COUNT = 6
BLACKLISTED = 3


def photo(number: int) -> Image.Image:
    noise = np.random.default_rng(number).integers(0, 256, (40 + number, 60, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def wnid(number: int) -> str:
    return KIT[number % 3][0]


def boxes(number: int) -> list[Corners]:
    first = Corners(5, 3, 40 + number, 30)
    return [first, Corners(0, 0, 9, 9)] if number % 2 else [first]


def xml(number: int, name: str | None = None) -> str:
    objects = "".join(
        f"<object><name>{name or wnid(number)}</name><bndbox><xmin>{b.left}</xmin><ymin>{b.top}</ymin>"
        f"<xmax>{b.right}</xmax><ymax>{b.bottom}</ymax></bndbox></object>"
        for b in boxes(number)
    )
    size = f"<size><width>60</width><height>{40 + number}</height></size>"
    return f"<annotation><filename>x</filename>{size}{objects}</annotation>"


def name_of(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}"


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    root = tmp_path / "devkit"
    for folder in ("data", "val", "bbox/val"):
        (root / folder).mkdir(parents=True)
    write_mat(root / "data" / "meta_clsloc.mat")
    numbers = [str(number % 3 + 1) for number in range(1, COUNT + 1)]
    (root / "data" / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(numbers) + "\n")
    (root / "data" / "ILSVRC2014_clsloc_validation_blacklist.txt").write_text(f"{BLACKLISTED}\n")
    for number in range(1, COUNT + 1):
        photo(number).save(root / "val" / f"{name_of(number)}.JPEG", quality=95)
        (root / "bbox" / "val" / f"{name_of(number)}.xml").write_text(xml(number))
    return root


@pytest.fixture
def kaggle(tmp_path: Path, devkit: Path) -> Path:
    root = tmp_path / "kaggle"
    data = root / "ILSVRC" / "Data" / "CLS-LOC" / "val"
    data.parent.mkdir(parents=True)
    (devkit / "val").rename(data)
    lines = ["ImageId,PredictionString"]
    for number in range(1, COUNT + 1):
        told = [f"{wnid(number)} {b.left} {b.top} {b.right} {b.bottom}" for b in boxes(number)]
        lines.append(f"{name_of(number)},{' '.join(told)} ")
    (root / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{one} {words}\n" for one, words in sorted(KIT)))
    return root


def test_both_layouts_hold_the_same_images_classes_and_boxes(devkit: Path, tmp_path: Path, request):
    first = localisation_items(look(devkit), Options())
    second = localisation_items(look(request.getfixturevalue("kaggle")), Options())
    assert [item.id for item in first] == [name_of(number) for number in range(1, COUNT + 1)]
    for mine, other in zip(first, second, strict=True):
        assert (mine.id, mine.category, mine.left_out) == (other.id, other.category, other.left_out) != ""
        assert isinstance(mine.truth, Boxes)
        assert isinstance(other.truth, Boxes)
        assert mine.truth.corners == other.truth.corners
        assert mine.classes is not None
        assert other.classes is not None
        assert (mine.classes.index, mine.classes.of) == (other.classes.index, 3)
        assert other.image.is_file()
    assert [item.classes.index for item in first if item.classes] == [0, 1, 2, 0, 1, 2]
    whys = [item.truth.why for item in first if isinstance(item.truth, Boxes)]
    assert whys == ["", "", "blacklisted", "", "", ""]
    assert all(isinstance(item.truth, Boxes) and not item.truth.why for item in second)


def test_rows_are_the_rule_written_out(devkit: Path):
    model, options = small.classifier(), Options()
    models, items = with_controls(model), localisation_items(look(devkit), options)
    rows = LOCALISATION.rows(models, items, [grad_cam], options)
    assert [row.item for row in rows] == [item.id for item in items]
    for number, (item, row) in enumerate(zip(items, rows, strict=True), 1):
        image = vlx.open_image(item.image)
        passed = model.read([image])
        order = passed.scores[0, 0].argsort(descending=True).tolist()
        own = sorted(one for one, _ in KIT).index(wnid(number))
        assert row.outcomes["class_top_1"].value == float(order[0] != own)
        assert row.outcomes["class_top_5"].value == 0.0  # of three classes
        if number == BLACKLISTED:
            names = [name for name in LOCALISATION.columns if not name.startswith("class_")]
            assert {row.outcomes[name].left_out for name in names} == {"blacklisted"}
            continue
        (found,) = vlx.explain(passed, [label(place) for place in order])
        planes = [found.map(at).astype(np.float64) for at in range(3)]

        def right(plane: np.ndarray, share: float = 0.15, number: int = number) -> bool:
            return any(overlap(map_box(plane, share), box) >= 0.5 for box in boxes(number))

        assert row.outcomes[SCORE].value == float(order[0] != own or not right(planes[0]))
        top = min(float(place != own or not right(plane)) for place, plane in zip(order, planes, strict=True))
        assert row.outcomes["top_5"].value == top
        mine = planes[order.index(own)]
        others = [right(plane) for place, plane in zip(order, planes, strict=True) if place != own]
        assert row.outcomes["known_class"].value == float(not right(mine))
        assert row.outcomes["own_minus_wrong"].value == pytest.approx(right(mine) - np.mean(others))
        centre = centre_prior((image.height, image.width))
        assert row.outcomes["centre_prior"].value == float(order[0] != own or not right(centre))
        for share in SWEPT:
            name = f"at_{round(100 * share):02d}"
            assert row.outcomes[name].value == float(not right(mine, share))
            assert row.outcomes[f"centre_{name}"].value == float(not right(centre, share))


def devkits_errors(predictions: Path, devkit: Path, guesses: int) -> tuple[float, float]:
    """The devkit's evaluation of a file of predictions, with files read and errors averaged as it does.

    A line of predictions is ``label xmin ymin xmax ymax``, so many times, the likeliest first; numbers of
    labels are those of the devkit. Images of the blacklist count for the classification error alone.
    """
    truth = [int(line) for line in (devkit / "data" / "ILSVRC2012_validation_ground_truth.txt").open()]
    black = [int(line) for line in (devkit / "data" / "ILSVRC2014_clsloc_validation_blacklist.txt").open()]
    class_errors, box_errors = [], []
    for number, line in enumerate(predictions.read_text().splitlines(), 1):
        numbers = [float(one) for one in line.split()]
        lines = [numbers[at : at + 5] for at in range(0, len(numbers), 5)]
        root = ElementTree.parse(devkit / "bbox" / "val" / f"{name_of(number)}.xml").getroot()
        drawn = [
            [float(one.findtext(f"bndbox/{side}") or "") for side in ("xmin", "ymin", "xmax", "ymax")]
            for one in root.findall("object")
        ]
        class_error, box_error = eval_clsloc(lines, truth[number - 1], drawn, guesses)
        class_errors.append(class_error)
        if number not in black:
            box_errors.append(box_error)
    return sum(class_errors) / len(class_errors), sum(box_errors) / len(box_errors)


@pytest.mark.parametrize("seed", range(3))
def test_the_table_holds_the_errors_of_the_devkits_script(devkit: Path, tmp_path: Path, seed: int):
    torch.manual_seed(seed)
    model = small.classifier()
    torch.nn.init.normal_(model.network[-1].weight, generator=torch.Generator().manual_seed(seed))
    numbers = {name: at for at, (name, _) in enumerate(KIT, 1)}
    order_of_network = sorted(numbers)
    written = []
    for number in range(1, COUNT + 1):
        image = vlx.open_image(devkit / "val" / f"{name_of(number)}.JPEG")
        passed = model.read([image])
        order = passed.scores[0, 0].argsort(descending=True).tolist()
        (found,) = vlx.explain(passed, [label(place) for place in order])
        line = []
        for at, place in enumerate(order):
            box = map_box(found.map(at))
            line += [numbers[order_of_network[place]], box.left, box.top, box.right, box.bottom]
        written.append(" ".join(map(str, line)))
    path = tmp_path / "predictions.txt"
    path.write_text("\n".join(written) + "\n")
    table = vlx.eval.evaluate(model, devkit, task="localisation").alone
    for guesses, name, of_class in ((1, "grad_cam", "top 1"), (5, "grad_cam, top 5", "top 5")):
        class_error, box_error = devkits_errors(path, devkit, guesses)
        assert table[name].mean == pytest.approx(box_error)
        assert table[f"classification error, {of_class}"].mean == pytest.approx(class_error)
        assert (table[name].n, table[f"classification error, {of_class}"].n) == (COUNT - 1, COUNT)


def test_rows_do_not_depend_on_the_batch_and_the_model_stays_as_it_is(devkit: Path):
    model, options = small.classifier(), Options(crop="squash", connectivity=4)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    models, items = with_controls(model), localisation_items(look(devkit), options)
    together = LOCALISATION.rows(models, items, ["grad_cam"] and [grad_cam], options)
    alone = [row for item in items for row in LOCALISATION.rows(models, [item], [grad_cam], options)]
    for one, other in zip(together, alone, strict=True):
        assert one.outcomes == other.outcomes
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert model.preprocess == small.PREPROCESS
    assert all(weight.grad is None for weight in model.network.parameters())


def test_a_table_has_the_threshold_of_the_other_half(devkit: Path):
    found = vlx.eval.evaluate(small.classifier(), devkit, task="localisation")
    assert found.alone["grad_cam"].n == COUNT - 1
    assert found.alone["classification error, top 1"].n == COUNT
    assert found.alone["grad_cam, best threshold"].n == COUNT - 1
    assert "at_15" not in "".join(found.alone)
    assert "blacklisted" in found.alone["grad_cam"].left_out
    for said in ("15%", "8-connected", "cropped or squashed as the model"):
        assert said in found.protocol


def test_without_shuffled_weights_and_wrong_classes_the_rest_is_the_same(devkit: Path):
    model = small.classifier()
    whole = vlx.eval.evaluate(model, devkit, task="localisation")
    fast = vlx.eval.evaluate(model, devkit, task="localisation", options=Options(shuffled=False, wrong=0))
    gone = {"grad_cam, random weights", "grad_cam, own minus wrong"}
    assert set(whole.alone) - set(fast.alone) == gone
    assert {name: one for name, one in whole.alone.items() if name not in gone} == fast.alone
    assert set(whole.paired) - set(fast.paired) == {
        "grad_cam minus random weights", "grad_cam minus wrong classes",
    }  # fmt: skip


def test_shuffled_weights_are_not_made_where_nobody_asks(devkit: Path):
    def never() -> object:
        raise AssertionError("the model was shuffled")

    options = Options(shuffled=False)
    models = replace(with_controls(small.classifier()), make_shuffled=never)
    rows = LOCALISATION.rows(models, localisation_items(look(devkit), options), [grad_cam], options)
    assert all("random_weights" not in row.outcomes for row in rows)
    assert all(set(row.outcomes) == set(LOCALISATION.columns_for(options)) for row in rows)


def test_each_class_of_an_image_is_explained_once(devkit: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[list[str]] = []

    def counted(passed, targets, methods):
        asked.extend([one.name for one in mine] for mine in targets)
        return vlx.explain(passed, targets, methods)

    monkeypatch.setattr("vlx.eval.items.several.explain", counted)
    options = Options(shuffled=False)
    model = small.classifier()
    LOCALISATION.rows(with_controls(model), localisation_items(look(devkit), options), [grad_cam], options)
    assert len(asked) == COUNT
    assert all(len(set(names)) == len(names) <= 3 for names in asked)


def test_thresholds_cross_between_halves_of_images():
    images = [f"image {number}" for number in range(8)]
    halves = [seed_of(0, f"half {name}") % 2 == 0 for name in images]
    columns = {}
    for name in LOCALISATION.kept:
        good = name.endswith("05"), name.endswith("40")
        columns[name] = [Outcome(float(not good[half])) for half in halves]
    found = across(columns, images)
    assert [one.value for one in found["best_threshold"]] == [1.0] * 8  # each half's own best would be 0
    assert {one.value for one in found["chosen_threshold"]} == {0.05, 0.4}
    assert [
        one.left_out for one in across({k: v[:1] for k, v in columns.items()}, images[:1])["best_threshold"]
    ] == ["one_half"]


def test_damaged_files_are_counted_with_reasons(devkit: Path):
    folder = devkit / "bbox" / "val"
    (folder / f"{name_of(1)}.xml").write_text(xml(1, "n09999999"))
    (folder / f"{name_of(2)}.xml").write_text("<!DOCTYPE a><annotation/>")
    (folder / f"{name_of(4)}.xml").unlink()
    (devkit / "val" / f"{name_of(5)}.JPEG").write_bytes(b"no image")
    options = Options()
    items = localisation_items(look(devkit), options)
    assert [item.left_out for item in items] == ["damaged_record", "damaged_record", "", "", "", ""]
    assert "its boxes are of n09999999" in items[0].detail
    assert "document type" in items[1].detail
    rows = LOCALISATION.rows(with_controls(small.classifier()), items, [grad_cam], options)
    reasons = [row.outcomes[SCORE].left_out for row in rows]
    assert reasons[:5] == ["damaged_record", "damaged_record", "blacklisted", "no_boxes", "damaged_image"]
    assert rows[3].outcomes["class_top_5"].value == 0.0


def test_boxes_follow_the_size_of_the_file():
    drawn = Boxes((100, 200), (Corners(0, 0, 99, 49),))
    assert corners_on_file(drawn, (50, 100)) == (Corners(0, 0, 49, 24),)
    assert corners_on_file(replace(drawn, size=(0, 0)), (50, 100)) == drawn.corners
    with pytest.raises(vlx.VlxError, match="whose file has 100 x 200"):
        corners_on_file(drawn, (200, 100))


def test_crops_see_other_parts_of_the_image():
    image = photo(1)
    frames = {}
    for crop in ("model", "squash", "centre"):
        (view,) = views_of(small.classifier(), crop)  # type: ignore[arg-type]
        frames[crop] = view.model.read([image]).frames[0].box
    assert frames["model"] == frames["squash"] == (0, 0, 41, 60)
    top, left, bottom, right = frames["centre"]
    assert (bottom - top, right - left) == pytest.approx((41 * 0.875, 41 * 0.875), rel=0.02)


def test_ten_crops_are_the_corners_and_the_middle_and_their_mirror_images():
    views = views_of(small.classifier(), "ten")
    assert [view.mirrored for view in views] == [False] * 5 + [True] * 5
    boxes = [view.model.read([photo(1)]).frames[0].box for view in views]
    assert boxes[:5] == boxes[5:]
    down, right = 41 / 8, 60 / 8
    assert boxes[1] == pytest.approx((0, 0, 41 - down, 60 - right))
    assert boxes[4] == pytest.approx((down, right, 41, 60))
    assert boxes[0] == pytest.approx((down / 2, right / 2, 41 - down / 2, 60 - right / 2))


def ten_crops(model: object, image: Image.Image) -> tuple[np.ndarray, torch.Tensor]:
    """The map of the first class by ten crops, written out, and the mean probabilities."""
    total, count, shares = 0.0, 0.0, []
    for view in views_of(model, "ten"):
        seen = ImageOps.mirror(image) if view.mirrored else image
        passed = view.model.read([seen])
        (found,) = vlx.explain(passed, label(0))
        plane, covered = found.map(0).astype(float), passed.frames[0].covered().numpy().astype(float)
        total = total + (plane[:, ::-1] if view.mirrored else plane)
        count = count + (covered[:, ::-1] if view.mirrored else covered)
        shares.append(passed.scores[0, 0].softmax(-1))
    return total / count, torch.stack(shares).mean(0)


def test_ten_crops_of_a_mirrored_image_are_the_mirrored_map():
    model, image = small.classifier(), photo(2)
    first, shares = ten_crops(model, image)
    second, others = ten_crops(model, ImageOps.mirror(image))
    assert np.abs(first - second[:, ::-1]).max() <= 1e-3 * np.abs(first).max()
    assert torch.allclose(shares, others, atol=1e-5)


def test_rows_of_ten_crops_are_those_of_the_merged_map(devkit: Path):
    model, options = small.classifier(), Options(crop="ten")
    items = localisation_items(look(devkit), options)[:1]
    (row,) = LOCALISATION.rows(with_controls(model), items, [grad_cam], options)
    image = vlx.open_image(items[0].image)
    views = views_of(model, "ten")
    passes = [view.model.read([ImageOps.mirror(image) if view.mirrored else image]) for view in views]
    best = int(mean_scores(passes)[0, 0].argmax())
    maps = [vlx.explain(one, label(best))[0].map(0).astype(np.float64) for one in passes]
    plane = merged(maps, [one.frames[0] for one in passes], views)
    right = any(overlap(map_box(plane), box) >= 0.5 for box in boxes(1))
    assert row.target == model.labels[best]
    assert row.outcomes[SCORE].value == float(best != 0 or not right)


def test_a_model_that_does_not_say_how_it_prepares_images_is_not_cropped():
    class Odd:
        name = "odd"

    with pytest.raises(vlx.VlxError, match="odd has no preprocess of one size"):
        views_of(Odd(), "squash")


def test_items_of_other_evaluations_have_the_fingerprint_they_had():
    plain = Item("a", Path("a.jpg"), "a")
    assert digest([plain]) == "63b86f6323bb8859272156eb83e952a16f0a6f7c69f49e259f3f43379c830c54"


def test_the_command_prints_its_table_and_refuses_in_one_line(devkit: Path, tmp_path: Path, run, monkeypatch):
    import sys

    monkeypatch.setattr(sys.modules["vlx.load"], "load", small.load)
    given = ("evaluate", "localisation", "--model", "small/classifier", "--data", devkit)
    status, out, _ = run(*given, "--out", tmp_path / "out", "--connectivity", "4", "--threshold", "0.3")
    assert status == 0
    assert "4-connected" in out
    assert "at least 30%" in out
    assert "random weights" in out
    status, out, _ = run(*given, "--out", tmp_path / "fast", "--no-shuffled", "--wrong", "0")
    assert status == 0
    assert "random weights" not in out
    status, _, err = run(*given, "--out", tmp_path / "fast", "--wrong", "0")
    assert (status, err.count("\n")) == (1, 1)
    assert "shuffled" in err
    (devkit / "data" / "meta_clsloc.mat").unlink()
    status, out, err = run(*given, "--out", tmp_path / "other")
    assert status != 0
    assert err.count("\n") == 1
    assert "ILSVRC synsets" in err
