"""Training of the built-in models: labels, feature maps, each lesson learns and moves nothing else."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vlx.adapters.files.weights import load_weights
from vlx.adapters.nets.vgg import VggLike
from vlx.scenes import held_out_scenes
from vlx.scenes.cnn import normalised, small_vgg
from vlx.scenes.formats import write_world
from vlx.scenes.held_out import ARCHIVE
from vlx.scenes.inventory import CATEGORIES, COLOURS, GROUNDS
from vlx.scenes.language import Asked
from vlx.scenes.models import load_vqa
from vlx.scenes.plan import SIDE, Item, Scene
from vlx.scenes.training import stages
from vlx.scenes.training.cnn import pooled_maps
from vlx.scenes.training.crops import WINDOW, windows
from vlx.scenes.training.data import GLYPHS, PLACE, glyph_index, labels, plans
from vlx.scenes.training.fc import train_fc, vectors
from vlx.scenes.training.text import (
    answer_counts,
    commonest_answers,
    train_captioner,
    train_question_only,
    train_vqa,
)

CPU = torch.device("cpu")
CAR = next(category for category in CATEGORIES if category.name == "car")
DOG = next(category for category in CATEGORIES if category.name == "dog")


def item(category, col, colour=None, glyph=0):
    return Item(category, category.glyphs[glyph], 60, 112.0, col, 0.0, False, colour)


def test_labels_of_a_scene_worked_by_hand():
    red, blue, *_ = COLOURS
    ground = list(GROUNDS)[2]
    scene = Scene(ground, (item(CAR, 56.0, red), item(DOG, 168.0), item(DOG, 100.0, glyph=1)), 0)
    found = labels([scene, replace(scene, items=(item(CAR, 112.0, blue),))])
    assert found.counts[0, PLACE[CAR.id]] == 1
    assert found.counts[0, PLACE[DOG.id]] == 2
    assert found.counts[0].sum() == 3
    assert found.cols[0, PLACE[CAR.id]] == -0.5
    assert found.cols[0, PLACE[DOG.id]].isnan()  # two of them: no one place
    assert found.cols[1, PLACE[CAR.id]] == 0.0
    assert found.colours[:, PLACE[CAR.id]].tolist() == [0, 1]
    assert (found.colours[:, PLACE[DOG.id]] == -1).all()
    assert found.glyphs[0].nonzero().flatten().tolist() == sorted(map(glyph_index, scene.items))
    assert found.grounds.tolist() == [2, 2]
    assert len(GLYPHS) == len(set(GLYPHS))


def test_windows_hold_the_object_and_never_leave_the_scene():
    pixels = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    for col in (0.0, 30.0, 112.0, 223.0):
        pixels[:] = 0
        pixels[0, 105:119, max(0, int(col) - 7) : int(col) + 7] = 255
        found = windows(pixels, [(0, item(CAR, col))], np.random.default_rng(0))
        assert found.shape == (1, 3, WINDOW, WINDOW)
        assert float(found.max()) == 2.0
        expected = pixels[0].any(-1).sum()
        assert int((found[0, 0] > 0).sum()) == expected


def test_pooled_maps_are_what_fc6_reads():
    torch.manual_seed(0)
    cnn = small_vgg().eval()
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    maps = pooled_maps(cnn, images, CPU, batch=2)
    assert maps.dtype == torch.float16
    with torch.no_grad():
        direct = cnn(normalised(torch.from_numpy(images)))
    torch.testing.assert_close(vectors(cnn, maps, CPU), direct, atol=2e-3, rtol=2e-2)


def test_fc_learns_glyphs_and_leaves_the_convolutions_alone():
    torch.manual_seed(0)
    cnn = VggLike([4, "M", len(GLYPHS)], (256, 192)).requires_grad_(False)
    known = labels(plans(0, 640))
    maps = known.glyphs.repeat(1, 3).half()  # of a map that knows them all
    before = {name: tensor.clone() for name, tensor in cnn.state_dict().items()}
    lines: list[str] = []
    check = (maps[:64], known.of(torch.arange(64), CPU))
    train_fc(cnn, (maps, known), check, CPU, lines.append, epochs=100)
    precision, recall = map(float, re.findall(r"glyph \w+ ([\d.]+)", lines[-1]))
    assert precision > 0.9
    assert recall > 0.9
    assert not any(parameter.requires_grad for parameter in cnn.parameters())
    for name, tensor in cnn.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith("features"), name


@pytest.mark.parametrize("stage", [train_captioner, train_vqa])
def test_text_models_learn_from_vectors(stage, tmp_path):
    known = labels(plans(7, 1100))
    extra = torch.cat([known.glyphs, known.counts.float(), known.cols.nan_to_num()], 1)
    torch.manual_seed(0)
    seen = torch.relu(extra @ torch.randn(extra.shape[1], 512) / 4)  # fc7 of a CNN that sees everything
    lines: list[str] = []
    scenes = [(7, index) for index in range(1024)]
    stage(tmp_path, (scenes, seen[:1024]), (scenes[:64], seen[:64]), CPU, lines.append)
    losses = [float(found) for line in lines for found in re.findall(r"loss ([\d.]+)", line)]
    assert losses[-1] < 3.0
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_the_question_only_model_does_not_see_an_image(tmp_path):
    scenes = [(7, index) for index in range(256)]
    lines: list[str] = []
    vectors = torch.randn(256, 512)
    train_question_only(
        tmp_path, (scenes, vectors), (scenes[:64], vectors[:64]), CPU, lines.append, steps=400
    )
    weights = load_weights(tmp_path / "question-only.safetensors")
    assert not weights["image.weight"].any()
    assert weights["image.bias"].any()
    (entropy,) = (float(found) for line in lines for found in re.findall(r"entropy .* ([\d.]+)", line))
    losses = [float(found) for line in lines for found in re.findall(r"loss ([\d.]+)", line)]
    assert entropy <= losses[-1] + 1e-3 < entropy + 0.2
    reached, best = map(float, re.findall(r"(?:accuracy|answers) ([\d.]+)", lines[-1]))
    assert reached > best - 0.1


def test_the_question_only_model_in_the_package_answers_by_the_question_alone():
    model = load_vqa(weights="question-only")
    images = [Image.new("RGB", (224, 224), colour) for colour in ("black", "white", "red")]
    found = model.read(images, ["what is on the grass ?"] * 3).scores[:, 0]
    torch.testing.assert_close(found[0].expand_as(found), found)


def test_the_commonest_answer_to_each_question_worked_by_hand():
    def asked(answer, question="where ?"):
        return Asked(question, answer, "side", ())

    learned = [[asked("left"), asked("right")], [asked("right")]]
    counts = answer_counts(learned)
    assert counts == {"where ?": {"left": 1, "right": 2}}
    assert commonest_answers(counts, [[asked("right")], [asked("left"), asked("no", "is it ?")]]) == 1 / 3


def test_a_finished_stage_is_not_repeated(tmp_path, monkeypatch):
    torch.manual_seed(0)
    cnn = small_vgg().eval()
    drawn: list[int] = []

    def few(seed, count):
        drawn.append(seed)
        yield from np.zeros((count, SIDE, SIDE, 3), np.uint8)

    monkeypatch.setattr(stages, "drawn", few)
    lines: list[str] = []
    first = stages._maps_stage(tmp_path, cnn, 9, 2, CPU, lines.append)
    again = stages._maps_stage(tmp_path, cnn, 9, 2, CPU, lines.append)
    assert torch.equal(first, again)
    assert drawn == [9]
    assert len(lines) == 1


def test_held_out_scenes_are_written_as_the_archive_that_scores_read(tmp_path, monkeypatch, emoji_font):
    monkeypatch.setattr(stages, "HELD_OUT_SCENES", 2)
    out = tmp_path / "out"
    out.mkdir()
    stages._held_out_stage(tmp_path / "work", out)
    assert [path.name for path in out.iterdir()] == [ARCHIVE.name]
    packed = (out / ARCHIVE.name).read_bytes()
    stages._held_out_stage(tmp_path / "work", out)
    assert (out / ARCHIVE.name).read_bytes() == packed
    folder, world = (
        held_out_scenes(out / ARCHIVE.name),
        write_world(tmp_path / "new", 2, stages.HELD_OUT_SEED),
    )
    found, expected = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*.*")} for root in (folder, world)
    )
    assert found == expected
