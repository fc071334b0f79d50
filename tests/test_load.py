"""Models of a user's own by the name of a function."""

import sys
from pathlib import Path

import pytest

import vlx
from vlx.errors import VlxError

CODE = """
class Captioner:
    name = "mine"

    def __init__(self, layer, device):
        self.layer, self.device = layer, device

    def read(self, images, captions):
        return None

    def generate(self, images, beam=1):
        return ["a dog"]

def captioner(layer="last", device="cpu"):
    return Captioner(layer, device)

def plain():
    return Captioner("last", "cpu")

words = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that lies in the working directory."""
    (tmp_path / "my_models.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    return "python:my_models"


def test_a_function_of_ones_own_is_a_model(own: str) -> None:
    paths = list(sys.path)
    model = vlx.load(f"{own}:captioner")
    assert (model.layer, model.device) == ("last", "cpu")
    model = vlx.load(f"{own}:captioner", layer="encoder", device="cuda")
    assert (model.layer, model.device) == ("encoder", "cuda")
    assert vlx.load(f"{own}:plain").generate([]) == ["a dog"]
    assert sys.path == paths


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("neuraltalk:model.t7", "no model 'neuraltalk:model.t7'; near names: neuraltalk2:FILE"),
        ("scenes/captoner", "no model 'scenes/captoner'; near names: scenes/captioner, scenes/classifier"),
        (
            "scenes/captioner:x",
            "no model 'scenes/captioner:x'; near names: scenes/captioner",
        ),
        ("resnet50", "no model 'resnet50'; for example: scenes/captioner"),
        ("", "no model ''; for example: scenes/captioner"),
    ],
)
def test_an_unknown_name_is_told_near_ones(name: str, said: str) -> None:
    with pytest.raises(VlxError) as caught:
        vlx.load(name)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("name", ["scenes/vqa", "torchvision/resnet18", "neuraltalk2:model.t7"])
def test_only_what_can_be_spread_takes_any_device(name: str) -> None:
    with pytest.raises(
        VlxError, match=f"device auto spreads a model of transformers .*, not {name}: use cpu"
    ):
        vlx.load(name, device="auto")


def test_a_model_of_ones_own_is_asked_for_any_device(own: str) -> None:
    assert vlx.load(f"{own}:captioner", device="auto").device == "auto"


@pytest.mark.parametrize(
    ("rest", "layer", "said"),
    [
        (":plan", None, "near names: plain"),
        (":words", None, "no function 'words'"),
        (":plain", "encoder", "takes no layer"),
        ("", None, "give a module and a function"),
        ("s:captioner", None, "No module named 'my_modelss'"),
    ],
)
def test_what_cannot_be_made_is_one_line(own: str, rest: str, layer: str | None, said: str) -> None:
    with pytest.raises(VlxError, match=said) as caught:
        vlx.load(f"{own}{rest}", layer=layer)
    assert "\n" not in str(caught.value)
