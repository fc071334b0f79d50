"""The examples of the documents are run as printed."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

import vlx
from tests.adapters import small
from vlx.adapters.catalogue import FAMILIES
from vlx.adapters.huggingface.families import SPEAKING
from vlx.passes.mean_gradient import on_tokens

README = Path(__file__).parents[1] / "README.md"
ADAPTERS = Path(__file__).parents[1] / "adapters" / "README.md"


class Theirs(nn.Module):
    """A captioner as somebody else might have written it."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.cnn = torchvision.models.resnet18(num_classes=16)
        self.embedding = nn.Embedding(words, 16)
        self.gru = nn.GRU(16, 16, batch_first=True)
        self.out = nn.Linear(16, words)

    def forward(self, pixels, ids):
        start = torch.zeros_like(ids[:, :1])
        state = self.cnn(pixels)[None]
        hidden, _ = self.gru(self.embedding(torch.cat([start, ids], 1)), state)
        return self.out(hidden)


def block(document: Path, holds: str) -> str:
    """The one Python example of a document that holds a text."""
    blocks = re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [one for one in blocks if holds in one]
    return found


def table(document: Path, head: str) -> list[list[str]]:
    """The cells of the one table of a document whose head begins with a text, without head and code marks."""
    text = document.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^{re.escape(head)}.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in found.splitlines()]
    return [[cell.replace("`", "") for cell in row] for row in rows]


def test_the_table_of_models_is_the_catalogue():
    shown = table(README, "| name | what it is |")
    known = vlx.known_models()
    assert [form for form, _ in shown] == list(known)
    assert [line for form, line in shown if not line.startswith(known[form])] == []


def test_the_table_of_published_models_names_every_family_and_its_files():
    shown = table(ADAPTERS, "| model | name | files |")
    published = [family for family in FAMILIES if family.files]
    names = [form for _, forms, *_ in shown for form in forms.split(", ")]
    assert sorted(names) == sorted(form for family in published for form in family.forms)
    files = {form: cell for _, forms, cell, *_ in shown for form in forms.split(", ")}
    lacking = [
        (form, file.name)
        for family in published
        for form in family.forms
        for file in family.files
        if file.name not in files[form]
    ]
    assert lacking == []


def test_the_table_of_transformers_names_every_family_that_is_read():
    import transformers

    classes = [name for _, cell, *_ in table(ADAPTERS, "| model | class |") for name in cell.split(", ")]
    assert classes[-1] == "…ForImageClassification"
    read = {getattr(transformers, name).config_class.model_type for name in classes[:-1]}
    assert read == {*SPEAKING, "vilt", "clip", "siglip", "siglip2"}


@pytest.fixture
def example() -> str:
    return block(README, "class MyCaptioner")


def test_the_example_of_an_evaluation_in_hand_prints_its_methods(capsys):
    space: dict[str, Any] = {}
    exec(block(README, "vlx.eval.evaluate("), space)
    assert {"grad_cam", "grad_cam_no_relu", "occlusion_64_32", "energy"} <= space["found"].alone.keys()
    assert "energy" in capsys.readouterr().out


def test_the_example_stays_under_thirty_lines(example):
    assert len([line for line in example.splitlines() if line.strip()]) < 30


def test_the_example_explains_every_word(example):
    space: dict[str, object] = {}
    exec(example, space)
    torch.manual_seed(0)
    words = ["END", "a", "dog", "on", "grass"]
    model = space["MyCaptioner"](Theirs(len(words)), words)
    photo = Image.new("RGB", (300, 240), "olive")
    found = vlx.explain_caption(model, photo, "a dog on grass")
    assert [target.name for target in found.targets] == ["a", "dog", "on", "grass", "caption"]
    assert found.maps.shape == (5, 240, 300)
    total = sum(target.score for target in found.targets[:4])
    assert found.targets[4].score == pytest.approx(total, abs=1e-5)
    both = vlx.explain_captions(model, [photo, photo], ["a dog", "a dog on grass"])
    assert both[1].targets[1].score == pytest.approx(found.targets[1].score, abs=1e-5)


class Tokens(nn.Module):
    """16 patches after a class token, read by a decoder with cross-attention."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 16, 16)
        self.first = nn.Parameter(torch.randn(1, 1, 16))
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.embedding = nn.Embedding(words, 16)
        self.decoder = nn.TransformerDecoderLayer(16, 2, 32, batch_first=True)
        self.vocabulary = nn.Linear(16, words)

    def forward(self, pixels, ids):
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        memory = self.encoder(torch.cat([self.first.expand(len(patches), -1, -1), patches], 1))
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.vocabulary(self.decoder(self.embedding(ids), memory, mask, tgt_is_causal=True))


def token_captioner(**layer):
    space: dict[str, Any] = {}
    exec(block(ADAPTERS, "class TokenCaptioner"), space)
    torch.manual_seed(0)
    words = ["END", "a", "dog", "on", "grass"]
    return space["TokenCaptioner"](Tokens(len(words)), words, **layer)


def test_the_adapter_of_the_document_explains_every_word():
    model = token_captioner()
    photo = Image.new("RGB", (300, 240), "olive")
    both = vlx.explain_captions(model, [photo, photo], ["a dog", "a dog on grass"])
    assert [target.name for target in both[1].targets] == ["a", "dog", "on", "grass", "caption"]
    assert both[1].raw.shape == (5, 4, 4)
    assert both[1].targets[1].score == pytest.approx(both[0].targets[1].score, abs=1e-5)
    assert both[1].provenance.batched


def test_the_shorter_way_of_the_document_gives_the_same_maps():
    (site,) = re.findall(r"`(vlx\.Site\(.*\))` in place of the layer", ADAPTERS.read_text(encoding="utf-8"))
    site = eval(site, {"vlx": vlx, "on_tokens": on_tokens})
    photos, said = small.photos((48, 60), (64, 64)), ["a dog", "a dog on grass"]
    plain, shorter = token_captioner(), token_captioner(layer=site)
    assert plain.read(photos, said).shortcuts.everywhere is None
    assert shorter.read(photos, said).shortcuts.everywhere.shape == (2, 16)
    expected = vlx.explain_captions(plain, photos, said)
    for mine, theirs in zip(vlx.explain_captions(shorter, photos, said), expected, strict=True):
        assert theirs.raw.any()
        assert mine.raw == pytest.approx(theirs.raw, rel=1e-3, abs=1e-5 * float(theirs.raw.max()))


def test_the_example_of_a_plain_network():
    """Every line of it, on a network whose last map is 4 x 6."""
    torch.manual_seed(0)
    net, x = torchvision.models.resnet18(num_classes=10), torch.randn(2, 3, 128, 192)
    known: dict[str, Any] = {"net": net, "x": x, "torch": torch, "vlx": vlx}
    exec(block(README, "vlx.explain_model"), known)
    assert known["maps"].shape == (2, 4, 6)
    assert known["large"].shape == (2, 128, 192)
    assert net.conv1.weight.grad.abs().max() > 0
    assert net.training
