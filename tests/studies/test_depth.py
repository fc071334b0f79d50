"""Maps at every layer: what is measured of them, and the figures of one photo."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

import vlx
from tests.adapters.families.test_hiecoatten import ASKED, eye, loaded, small_images, write
from tests.conftest import Run
from tests.eval import small
from tests.studies.few_scenes import few_scenes
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import VlxError
from vlx.images.preprocess import Preprocess, Squash
from vlx.scenes.inventory import CATEGORIES
from vlx.scenes.models import load_vqa
from vlx.studies.depth.maps import layers_of, maps_at
from vlx.studies.depth.photo import DepthPhotoSettings, depth_photo_study
from vlx.studies.depth.study import DepthSettings, depth_study
from vlx.studies.depth.tables import Depth, answer_of, over_layers, sets, steps
from vlx.studies.panels import Tile, panel_png

PHOTO = "PHOTO"
"""Stands for the photo of the fixture."""


@pytest.fixture(scope="module")
def photo(held_out: Path) -> Path:
    return held_out / "images" / "000000000001.jpg"


@pytest.fixture(scope="module")
def few(held_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return few_scenes(held_out, tmp_path_factory.mktemp("few") / "scenes", (1, 2, 3))


def residual(side: int = 64) -> Classifier:
    torch.manual_seed(4)
    names = [one.name for one in CATEGORIES]
    network = resnet18(num_classes=len(names)).eval()
    return Classifier(network, names, Preprocess(Squash((side, side))), name="small/resnet")


def thing(hit: float, own: float, like: float | str) -> dict[str, float | str]:
    return {"hit": hit, "area": 0.5, "own hit": own, "like above": like}


ROWS = {
    "1": {
        "classes": ["dog", "cat"], "centre": [0.0, 1.0], "pixel": [0.1, 0.2], "refused": {},
        "layers": {
            "a": {"grid": [8, 8], "activation": [0.0, 0.0], "area activation": [0.5, 0.5],
                  "grad_cam": [thing(0.0, 0.0, 0.8), thing(0.0, 0.0, 0.6)]},
            "b": {"grid": [8, 8], "activation": [1.0, 0.0], "area activation": [0.5, 0.5],
                  "grad_cam": [thing(0.0, 0.0, 0.2), thing(1.0, 0.5, "flat_map")]},
            "c": {"grid": [4, 4], "activation": [1.0, 0.0], "area activation": [0.5, 0.5],
                  "grad_cam": [thing(1.0, 1.0, "last"), thing(1.0, 0.5, "last")]},
        },
    },
    "2": {"left_out": "unknown_class"},
}  # fmt: skip


def test_neighbours_are_told_apart_by_their_grids():
    depth = Depth(ROWS)
    assert (depth.flat, depth.drops, depth.clusters) == ([0], [1], ["1", "1"])
    table = {one.name: one for one in steps(depth, "grad_cam", "").numbers}
    assert table["grad_cam: pointing gained, where the grid stays"].value == 0.5  # 0 and 1
    assert table["grad_cam: pointing gained, across a down-sampling"].value == 0.5  # 1 and 0
    assert table["grad_cam: likeness, where the grid stays"].value == pytest.approx(0.7)
    across = table["grad_cam: likeness, across a down-sampling"]
    assert (across.value, across.n, across.left_out) == (0.2, 1, {"flat_map": 1})
    assert table["grad_cam: likeness, down-sampling less the rest"].value == pytest.approx(0.2 - 0.8)
    assert table["grad_cam: pointing gained, b (8 x 8) to c (4 x 4)"].n == 2
    assert table["grad_cam: own minus wrong gained, where the grid stays"].value == 0.25
    assert table["grad_cam: own minus wrong gained, across a down-sampling"].value == 0.5


def test_sets_of_layers_are_compared():
    table = {one.name: one for one in sets(Depth(ROWS), "grad_cam", "").numbers}
    assert table["grad_cam: pointing of a set, 8 x 8"].value == 0.25  # 0, 0 and 0, 1
    assert table["grad_cam: pointing of a set, 4 x 4 less 8 x 8"].value == 0.75
    assert table["grad_cam: own minus wrong of a set, 4 x 4 less 8 x 8"].value == 0.75 - 0.125


def test_each_layer_has_its_numbers_and_controls():
    depth = Depth(ROWS)
    pointing, wrong, area = over_layers(depth, ["grad_cam"], "", 0.0)
    numbers = {one.name: one for one in pointing.numbers}
    assert [numbers[f"grad_cam, {one}"].value for one in ("a (8 x 8)", "b (8 x 8)", "c (4 x 4)")] == [
        0,
        0.5,
        1,
    ]
    assert numbers["centre point"].value == 0.5
    assert numbers["mean activation, c (4 x 4)"].control
    assert wrong.numbers[2].value == 0.75
    assert area.numbers[0].value == 0.5
    said = answer_of(depth, ["grad_cam"], "net")
    assert "1.00 at the last layer (c), at 0.00 at the first (a), best at c" in said


def test_a_layer_that_an_image_lacks_is_left_out():
    lacking = {**ROWS["1"], "layers": {"a": ROWS["1"]["layers"]["a"]}}  # type: ignore[index]
    depth = Depth({"1": ROWS["1"], "2": lacking})
    (_, number, *_), *_ = (table.numbers for table in over_layers(depth, ["grad_cam"], "", 0.0))
    assert number.left_out == {"no_map_there": 2}


def test_a_residual_network_is_measured_at_its_blocks(tmp_path: Path, few: Path):
    settings = DepthSettings(("small/resnet",), str(few), methods=("grad_cam",), limit=1, pictures=0)
    model, lines = residual(), list[str]()
    found = depth_study(settings, tmp_path, lines.append, models={"small/resnet": model})
    names = [one.name for one in found.tables[0].numbers if not one.control]
    assert names[0] == "grad_cam, relu (32 x 32)"
    assert names[-2:] == ["grad_cam, layer4.0 (2 x 2)", "grad_cam, layer4 (2 x 2)"]
    assert len(names) == 9
    gained = [one.name for one in found.tables[4].numbers if " to " in one.name and "pointing" in one.name]
    assert [one.split(" to ")[1].split(" ")[0] for one in gained] == [
        "layer1.0",
        "layer2.0",
        "layer3.0",
        "layer4.0",
    ]
    assert len(lines) == 1
    again = depth_study(settings, tmp_path, lines.append, models={"small/resnet": model})
    assert again.tables == found.tables
    assert len(lines) == 1
    with pytest.raises(VlxError, match="other settings"):
        depth_study(replace(settings, seed=1), tmp_path, models={"small/resnet": model})


def test_several_models_are_told_apart(tmp_path: Path, few: Path):
    settings = DepthSettings(("a", "b"), str(few), limit=1, pictures=1, layers=("layer3", "layer4"))
    two = {"a": residual(64), "b": residual(40)}
    found = depth_study(settings, tmp_path, lambda _line: None, models=two)
    titles = [one.title for one in found.tables]
    assert sum("(a)" in title for title in titles) == sum("(b)" in title for title in titles) == 7
    assert "a: grad_cam" in found.answer
    assert "b: grad_cam" in found.answer
    assert len(found.pictures) == 2
    with pytest.raises(VlxError, match="no classifier"):
        depth_study(settings, tmp_path / "other", models={"vqa": load_vqa()})


def test_layers_without_maps_are_told(photo: Path):
    model = residual()
    shown = vlx.open_image(photo)
    found, refused = maps_at(
        model, lambda one: one.read([shown]), ["layer3", "fc"], [vlx.label("dog")], [vlx.grad_cam]
    )
    assert [one.layer for one in found] == ["layer3"]
    assert "fc" in refused
    with pytest.raises(VlxError):
        maps_at(model, lambda one: one.read([shown]), ["fc"], [vlx.label("dog")], [vlx.grad_cam])
    with pytest.raises(VlxError, match="one layer alone"):
        layers_of(object(), lambda one: one)


@pytest.mark.parametrize("variant", ["Alternating", "Parallel"])
def test_co_attention_over_its_layers(variant: str, photo: Path, tmp_path: Path):
    write(tmp_path, variant)
    model = small_images(loaded(tmp_path, eye()), (64, 64))
    asked = DepthPhotoSettings(photo, question=ASKED[0], names=("yes", "red"))
    found = depth_photo_study(asked, tmp_path / "out", models={"hiecoatten": model})
    assert [one.title.split(":")[0] for one in found.pictures] == ["hiecoatten", "hiecoatten"]
    assert "yes, red at every layer" in found.pictures[1].title
    assert any(" to end" in one.name for one in found.tables[1].numbers)


def test_three_models_answer_side_by_side(photo: Path, tmp_path: Path):
    three = {"one": small.vqa(), "two": small.vqa(), "three": small.vqa().at("features.1")}
    asked = DepthPhotoSettings(photo, question="what colour is the dog ?")
    found = depth_photo_study(asked, tmp_path, models=three)
    first, *rest = found.pictures
    assert first.title.startswith("one, two, three: the photo with what each says")
    assert len(rest) == 3
    names = [one.name for one in found.tables[0].numbers]
    assert [name.split(" says")[0] for name in names[:3]] == ["one", "two", "three"]
    assert names[3:] == ["likeness of one and two", "likeness of one and three", "likeness of two and three"]


def test_words_of_a_caption_over_layers(photo: Path, tmp_path: Path, run: Run):
    status, said, problem = run(
        "study", "depth", "--image", photo, "--caption", "a dog", "--word", "dog", "--layer", "last/2",
        "--layer", "last", "--out", tmp_path,
    )  # fmt: skip
    assert (status, problem) == (0, "")
    assert "scenes/captioner at" in said
    assert (tmp_path / "figures" / "1.png").is_file()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--label", "dog"), "--image"),
        (("--image", PHOTO, "--label", "unicorn"), "unicorn"),
        (("--image", PHOTO, "--model", "scenes/vqa"), "--question"),
        (("--image", PHOTO, "--method", "grad_cam", "--method", "hires_cam"), "one --method"),
        (("--model", "scenes/vqa"), "no classifier"),
        (("--layer", "nowhere", "--limit", 1), "nowhere"),
    ],
)
def test_bad_input_is_one_line(given: tuple[object, ...], said: str, photo: Path, run: Run, tmp_path: Path):
    asked = [photo if one == PHOTO else one for one in given]
    status, _, problem = run("study", "depth", *asked, "--out", tmp_path / "out")
    assert status == 1
    assert said in problem
    assert len(problem.strip().splitlines()) == 1


def test_panels():
    wide, tall = Image.new("RGB", (90, 10)), Image.new("RGB", (10, 90))
    png = panel_png([[Tile(wide, "a $x$ b" * 9), None], [Tile(tall, "b", "told")]], title="t " * 80, note="n")
    assert png.startswith(b"\x89PNG")
    with pytest.raises(VlxError, match="no pictures"):
        panel_png([[None]])
