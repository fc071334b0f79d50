"""The classifiers of the built-in scenes: their layers, their weights, how they learn, and what they know."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import average_precision_score
from torch import nn

import vlx
from vlx.errors import CheckpointError, LayerError
from vlx.scenes.class_scores import average_precision, class_scores, scores_of
from vlx.scenes.classes import (
    CONVOLUTIONS,
    SIDE,
    SceneClassifier,
    fixed,
    gap_classifier,
    own_state,
    vgg_classifier,
)
from vlx.scenes.cnn import normalised, small_vgg
from vlx.scenes.inventory import CATEGORIES
from vlx.scenes.models import ASSETS, load_captioner, load_classifier, load_gap_classifier
from vlx.scenes.training import stages
from vlx.scenes.training.classes import (
    above,
    train_gap_classifier,
    train_vgg_classifier,
    whole_maps,
)
from vlx.scenes.training.data import labels, plans

CPU = torch.device("cpu")
NAMES = [one.name for one in CATEGORIES]
LESSONS = [(train_vgg_classifier, vgg_classifier), (train_gap_classifier, gap_classifier)]
BOTH = pytest.mark.parametrize("name", ["scenes/classifier", "scenes/classifier-gap"])


@pytest.fixture(scope="module")
def pictures(held_out: Path) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted((held_out / "images").iterdir())]


@pytest.fixture(scope="module")
def present(held_out: Path) -> list[set[str]]:
    told = json.loads((held_out / "instances.json").read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in told["categories"]}
    shown: dict[int, set[str]] = {one["id"]: set() for one in told["images"]}
    for one in told["annotations"]:
        shown[one["image_id"]].add(names[one["category_id"]])
    return list(shown.values())


def test_layers_are_named_as_those_of_the_published_vgg() -> None:
    network = vgg_classifier()
    features = [name for name, _ in network.features.named_children()]
    assert features == [
        "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3_1", "relu3_1", "conv3_2", "relu3_2",
        "pool3", "conv4_1", "relu4_1", "conv4_2", "relu4_2", "conv5", "relu5", "pool5",
    ]  # fmt: skip
    classifier = [name for name, _ in network.classifier.named_children()]
    assert classifier == ["fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]
    assert isinstance(network.classifier.fc8, nn.Linear)
    pixels = torch.zeros(2, 3, 224, 224)
    assert network(pixels).shape == (2, len(CATEGORIES))
    sister = gap_classifier()
    assert [name for name, _ in sister.features.named_children()] == features[:-1]
    assert sister.features(pixels).shape[2:] == (SIDE, SIDE)
    assert sister(pixels).shape == (2, len(CATEGORIES))


@pytest.mark.parametrize("make", [vgg_classifier, gap_classifier])
def test_the_first_convolutions_are_those_of_the_other_models(make: Any) -> None:
    cnn, network = small_vgg().eval(), make().eval()
    torch.manual_seed(0)
    for weight in cnn.parameters():
        nn.init.normal_(weight, std=0.1)
    state = {**own_state(network), **fixed(cnn.state_dict())}
    assert state.keys() == network.state_dict().keys()
    network.load_state_dict(state)
    images = normalised(
        torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8))
    )
    names = [name for name, _ in network.features.named_children()]
    with torch.no_grad():
        below = network.features[: names.index("relu4_2") + 1](images)
        torch.testing.assert_close(below, cnn.features(images))
        torch.testing.assert_close(network.of_features(above(network)(below)), network(images))


@BOTH
def test_a_name_gives_a_classifier_of_several_labels(name: str, pictures: list[Image.Image]) -> None:
    model = vlx.load(name)
    assert model.labels == tuple(NAMES)
    assert model.layer == ("features.relu5" if name == "scenes/classifier" else "features")
    read = model.read(pictures[:3])
    assert read.scores.shape == (3, 1, len(NAMES))
    assert read.features.shape[2:] == (SIDE, SIDE)
    assert {one.odds for one in read.readings} == {"sigmoid"}
    found = vlx.explain_label(model, pictures[0], ["person"])
    score = read.scores[0, 0, 0].item()
    assert found.targets[0].probability == pytest.approx(1 / (1 + np.exp(-score)), rel=1e-4)
    other = model.at("features.relu3_2")
    assert other.multi_label
    assert other.layer == "features.relu3_2"
    captioner = load_captioner().network.cnn
    kept = fixed(captioner.state_dict())
    for key, value in kept.items():
        assert torch.equal(model.network.state_dict()[key], value)


def test_each_file_holds_only_what_is_a_classifiers_own() -> None:
    for name, network in (("classifier", vgg_classifier()), ("classifier-gap", gap_classifier())):
        path = ASSETS / f"{name}.safetensors"
        state = load_file(path)
        assert state.keys() == own_state(network).keys()
        assert not any(key.startswith(f"features.{one}.") for key in state for one in CONVOLUTIONS)
        assert {value.dtype for value in state.values()} == {torch.float16}
        assert path.stat().st_size < 2_500_000


def test_maps_of_averaged_features_are_class_activation_maps(pictures: list[Image.Image]) -> None:
    model = load_gap_classifier()
    passed = model.read(pictures[:2])
    for at in range(2):
        targets = [[vlx.label(name)] for name in ("person", "dog")]
        cam, grad_cam = (
            vlx.explain(passed, [targets[0] if one == at else [] for one in range(2)], method)
            for method in ("class_activation_map", "grad_cam")
        )
        assert cam[0].grid_maps.shape == grad_cam[0].grid_maps.shape
        scale = SIDE * SIDE
        np.testing.assert_allclose(
            np.maximum(cam[0].grid_maps, 0), grad_cam[0].grid_maps * scale, rtol=1e-3, atol=1e-3
        )
    with pytest.raises(LayerError, match="class activation maps need a head"):
        vlx.explain_label(load_classifier(), pictures[0], method="class_activation_map")


@BOTH
def test_scores_on_held_out_scenes(name: str, pictures: list[Image.Image], present: list[set[str]]) -> None:
    found = class_scores(vlx.load(name), pictures, present)
    precision = sum(found.precisions.values()) / len(found.precisions)
    recall = sum(found.recalls.values()) / len(found.recalls)
    assert precision > 0.97
    assert recall > 0.85
    assert found.wrong < 0.05
    assert found.top_1 > 0.98
    assert max(found.shares.values()) < 0.2
    assert len(found.lines()) == 4


def test_scores_worked_by_hand() -> None:
    scores = np.array([[2.0, 1.0, -1.0], [1.0, -1.0, -2.0], [-3.0, -1.0, -2.0]])
    found = scores_of(scores, ("a", "b", "c"), [{"a"}, {"a", "b"}, {"b"}])
    assert found.precisions == {"a": 1.0, "b": pytest.approx((2 / 3 + 2 / 3) / 2)}
    assert found.recalls == {"a": 1.0, "b": 0.0}
    assert found.wrong == pytest.approx(1 / 3)
    assert found.top_1 == 1.0
    assert found.shares == {"a": pytest.approx(2 / 3), "b": pytest.approx(2 / 3)}


def test_average_precision_is_sklearns_ties_included() -> None:
    random = np.random.default_rng(0)
    for count in (1, 5, 40):
        scores, there = random.integers(0, 6, count).astype(float), random.random(count) < 0.4
        there[0] = True
        assert average_precision(scores, there) == pytest.approx(average_precision_score(there, scores))


@pytest.mark.parametrize(("lesson", "make"), LESSONS)
def test_a_short_lesson_is_the_same_twice_and_moves_nothing_fixed(lesson: Any, make: Any) -> None:
    there = (labels(plans(0, 128)).counts > 0).float()
    random = np.random.default_rng(0)
    maps = np.maximum(random.standard_normal((128, 160, SIDE, SIDE)), 0).astype(np.float16)
    seen = (maps, there)
    made: list[dict[str, torch.Tensor]] = []
    for _ in range(2):
        stages._seed_everything()
        lines: list[str] = []
        network: SceneClassifier = lesson(seen, seen, CPU, lines.append)
        made.append(network.state_dict())
        assert not network.training
        assert not any(weight.requires_grad for weight in network.parameters())
        assert "new scenes: precision" in lines[-1]
    assert all(torch.equal(value, made[1][key]) for key, value in made[0].items())
    stages._seed_everything()
    start = make().state_dict()
    for key, value in made[0].items():
        assert torch.equal(value, start[key]) == key.startswith(tuple(f"features.{n}." for n in CONVOLUTIONS))


@pytest.mark.parametrize("lesson", [train_vgg_classifier, train_gap_classifier])
def test_what_was_learned_is_what_the_network_gives(lesson: Any) -> None:
    there = torch.zeros(64, len(CATEGORIES))
    there[:32, 3] = 1
    maps = np.zeros((64, 160, SIDE, SIDE), np.float16)
    maps[:32, 5, 2:5, 7:9] = 3.0
    maps[32:, 9, 8:11, 1:4] = 3.0
    stages._seed_everything()
    lines: list[str] = []
    network = lesson(
        (np.repeat(maps, 20, 0), there.repeat_interleave(20, 0)), (maps, there), CPU, lines.append
    )
    with torch.no_grad():
        said = network.of_features(above(network)(torch.from_numpy(maps).float()))
    assert "precision 1.000, recall 1.000" in lines[-1]
    assert torch.equal(said > 0, there > 0)


def test_whole_maps_are_those_of_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cnn = small_vgg().eval()
    images = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    whole_maps(tmp_path / "maps.npy", cnn, images, 3, CPU, batch=2)
    assert (tmp_path / "maps.done").is_file()
    with torch.no_grad():
        direct = cnn.features(normalised(torch.from_numpy(images)))
    np.testing.assert_allclose(np.load(tmp_path / "maps.npy"), direct, atol=2e-3, rtol=2e-3)


def test_a_stage_that_is_done_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "CLASS_SCENES", 64)
    monkeypatch.setitem(stages.WORLDS, stages.CHECK_SEED, 8)
    drawn: list[int] = []

    def few(seed: int, count: int) -> Any:
        drawn.append(seed)
        yield from np.random.default_rng(seed).integers(0, 256, (count, 224, 224, 3), np.uint8)

    monkeypatch.setattr(stages, "drawn", few)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cnn.safetensors").write_bytes((ASSETS / "cnn.safetensors").read_bytes())
    for _ in range(2):
        stages.train_classifiers(tmp_path / "work", tmp_path / "out", CPU)
    assert drawn == [stages.CLASSES_SEED, stages.CHECK_SEED]
    for load in (load_classifier, load_gap_classifier):
        assert load(folder=tmp_path / "out").labels == tuple(NAMES)


def test_weights_that_do_not_fit_are_told(tmp_path: Path) -> None:
    for name in ("cnn", "classifier"):
        (tmp_path / f"{name}.safetensors").write_bytes((ASSETS / f"{name}.safetensors").read_bytes())
    assert load_classifier(folder=tmp_path).name == "scenes/classifier"
    with pytest.raises(CheckpointError, match="classifier-gap"):
        load_gap_classifier(folder=tmp_path)
    state = load_file(tmp_path / "classifier.safetensors")
    state.pop("classifier.fc8.bias")
    save_file(state, tmp_path / "classifier.safetensors")
    with pytest.raises(CheckpointError, match=r"1 missing \(classifier\.fc8\.bias\)"):
        load_classifier(folder=tmp_path)
    save_file({"features.0.weight": torch.zeros(24, 3, 3, 3)}, tmp_path / "cnn.safetensors")
    with pytest.raises(CheckpointError, match="missing"):
        load_classifier(folder=tmp_path)
