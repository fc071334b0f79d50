"""ImageCaptioning.pytorch: show_tell, fc and newfc with their infos and a ResNet converted from Caffe."""

import copy
import os
import pickle
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import vlx
from tests.adapters import small
from tests.adapters.conformance import CAPTION_CHECKS, CHECKS, Case, check_patch
from tests.adapters.tiny_resnet import tiny_resnet
from vlx.adapters.families.ruotianluo import PREPROCESS, load_ruotianluo
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.errors import CheckpointError, Notice
from vlx.images.preprocess import Squash

SPOKEN = ("a", "dog", "cat", "on", "the", "grass", "red", "bike")
VOCAB = {str(at): word for at, word in enumerate((*SPOKEN, "UNK"), 1)}
FEATURES, EMBED, HIDDEN, ROWS = 12, 6, 7, len(VOCAB) + 1
PHOTOS = small.photos((96, 130), (128, 128), (150, 97))
CAPTIONS = ("a dog on the grass", "red bike", "the cat a zebra")


class LSTMCore(nn.Module):
    """The max-out cell, as published."""

    def __init__(self):
        super().__init__()
        self.i2h, self.h2h = nn.Linear(EMBED, 5 * HIDDEN), nn.Linear(HIDDEN, 5 * HIDDEN)

    def forward(self, xt, state):
        sums = self.i2h(xt) + self.h2h(state[0])
        gates = torch.sigmoid(sums[:, : 3 * HIDDEN])
        entering, forget, leaving = (gates[:, at * HIDDEN : (at + 1) * HIDDEN] for at in range(3))
        candidate = torch.max(sums[:, 3 * HIDDEN : 4 * HIDDEN], sums[:, 4 * HIDDEN :])
        cell = forget * state[1] + entering * candidate
        hidden = leaving * torch.tanh(cell)
        return hidden, (hidden, cell)


class Published(nn.Module):
    """The parts of the three models under their published names, stepped as their code does."""

    def __init__(self, kind: str, layers: int = 1):
        super().__init__()
        self.kind = kind
        setattr(self, "fc_embed" if kind == "newfc" else "img_embed", nn.Linear(FEATURES, EMBED))
        core = nn.LSTM(EMBED, HIDDEN, layers, bias=False) if kind == "show_tell" else LSTMCore()
        setattr(self, "_core" if kind == "newfc" else "core", core)
        self.embed = nn.Embedding(ROWS, EMBED)
        self.logit = nn.Linear(HIDDEN, ROWS)

    def step(self, xt, state):
        core = self._core if self.kind == "newfc" else self.core
        if self.kind == "show_tell":
            out, state = core(xt[None], state)
            return out[0], state
        zeros = torch.zeros(len(xt), HIDDEN, dtype=xt.dtype)
        return core(xt, state or (zeros, zeros))

    def scores(self, vector, ids):
        """Log-probabilities after the image and token 0, and after each word."""
        image = (self.fc_embed if self.kind == "newfc" else self.img_embed)(vector)
        _, state = self.step(image[None], None)
        found = []
        for said in (0, *ids):
            out, state = self.step(self.embed.weight[said][None], state)
            found.append(self.logit(out)[0].log_softmax(0))
        return torch.stack(found)


KINDS = {
    "show_tell": ("show_tell", 1),
    "show_tell of two layers": ("show_tell", 2),
    "fc": ("fc", 1),
    "newfc": ("newfc", 1),
}


def caffe_state(resnet: nn.Module) -> dict[str, torch.Tensor]:
    """A file of the time: with a classifier, without counts of batches."""
    state = {key: value.float() for key, value in resnet.state_dict().items()}
    kept = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    return {**kept, "fc.weight": torch.zeros(5, FEATURES), "fc.bias": torch.zeros(5)}


def write(folder: Path, kind: str = "fc", layers: int = 1, *, legacy: bool = True, **options):
    """Write model, infos and ResNet; give the parts that were written, in double precision."""
    torch.manual_seed(8)
    model, resnet = Published(kind, layers), tiny_resnet(caffe=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.5)
        model.logit.bias[0] += 1.0
    torch.save(model.state_dict(), folder / "model-best.pth", _use_new_zipfile_serialization=not legacy)
    torch.save(caffe_state(resnet), folder / "resnet101.pth", _use_new_zipfile_serialization=not legacy)
    opt = Namespace(caption_model=kind, seq_length=16, rnn_size=HIDDEN, vocab_size=len(VOCAB), **options)
    infos = {"opt": opt, "vocab": VOCAB, "iter": 3, "best_val_score": 1.02, "split_ix": {"train": [1, 2]}}
    (folder / "infos_fc-best.pkl").write_bytes(pickle.dumps(infos, protocol=2))
    return model.double().requires_grad_(False), resnet.requires_grad_(False)


def loaded(folder: Path, **options) -> CNNLSTMCaptioner:
    return load_ruotianluo(
        folder / "model-best.pth", folder / "infos_fc-best.pkl", folder / "resnet101.pth", **options
    )


@pytest.mark.parametrize(("kind", "layers"), KINDS.values(), ids=KINDS)
def test_scores_and_captions_are_those_of_the_published_steps(tmp_path, kind, layers):
    model, resnet = write(tmp_path, kind, layers, legacy=layers == 1)
    found = loaded(tmp_path)
    found.network.double()
    words = ("", *VOCAB.values())
    for image, caption in zip(PHOTOS, ("a dog on the grass", "red bike", "the cat"), strict=True):
        ids = [words.index(word) for word in caption.split()]
        maps = resnet(PREPROCESS(image)[0][None].double())
        vector = maps.mean(3).mean(2)[0]
        expected = model.scores(vector, ids)
        run = found.read([image], [caption])
        torch.testing.assert_close(run.scores[0].detach(), expected, rtol=1e-10, atol=1e-10)
        (result,) = vlx.explain(run, [vlx.caption()])
        picked = sum(float(expected[step, index]) for step, index in enumerate(ids))
        assert result.targets[0].score == pytest.approx(picked, rel=1e-9)
        said: list[int] = []
        while len(said) < found.steps:
            said.append(int(model.scores(vector, said)[-1].argmax()))
            if said[-1] == 0:
                break
        assert found.generate([image]) == [" ".join(words[index] for index in said if index)]


@pytest.fixture(scope="module")
def captioners(tmp_path_factory) -> dict[str, CNNLSTMCaptioner]:
    found = {}
    for name, (kind, layers) in KINDS.items():
        folder = tmp_path_factory.mktemp("ruotianluo")
        write(folder, kind, layers)
        found[name] = loaded(folder)
        found[name].network.double()
    return found


def case(model: CNNLSTMCaptioner, *, small: bool) -> Case:
    """Images of one size, as a batch needs it; smaller than photos where they need not be large."""
    model = copy.deepcopy(model)
    model.preprocess = replace(model.preprocess, resize=Squash((64, 96) if small else (224, 224)))
    assert isinstance(model.network, nn.Module)
    return Case(model, model.network, PHOTOS, CAPTIONS)


@pytest.mark.parametrize("check", [*CHECKS, *CAPTION_CHECKS])
def test_conforms(captioners, check):
    check(case(captioners["fc"], small=check is not check_patch))


@pytest.mark.parametrize("check", CAPTION_CHECKS)
@pytest.mark.parametrize("name", ["show_tell of two layers", "newfc"])
def test_other_kinds_conform_too(captioners, check, name):
    check(case(captioners[name], small=True))


def test_the_beam_never_says_unk(captioners):
    model = copy.deepcopy(captioners["fc"])
    with torch.no_grad():
        model.network.vocabulary.bias[-1] += 3.0
    assert model.generate(PHOTOS[:1]) != model.generate(PHOTOS[:1], 2)
    assert "UNK" in model.generate(PHOTOS[:1])[0].split()
    assert all("UNK" not in model.generate([image], 3)[0].split() for image in PHOTOS)


def test_images_keep_their_size(captioners):
    model = captioners["fc"]
    run = model.read(PHOTOS[:1], ["a dog"])
    assert run.below.pixels.shape == (1, 3, 96, 130)
    assert run.features.shape == (1, 12, 3, 4)
    assert run.frames[0].box == (0, 0, 96, 130)
    assert run.layer == "layer4"
    assert run.model == "ruotianluo/model-best"


def test_lengths_and_tokens_follow_the_options(tmp_path):
    write(tmp_path, "fc")
    assert loaded(tmp_path).steps == 16
    write(tmp_path, "newfc")
    assert loaded(tmp_path).steps == 20
    vocabulary = loaded(tmp_path).vocabulary
    assert list(vocabulary.names) == ["END", *VOCAB.values()]
    assert (vocabulary.start, vocabulary.end, vocabulary.unknown) == (0, 0, len(VOCAB))
    assert vocabulary.encode("A red bike, the t-shirt!")[1] == [1, 7, 8, 5, 9]
    write(tmp_path, "newfc", bos_idx=0, eos_idx=0, pad_idx=0)
    assert loaded(tmp_path).vocabulary.names[0] == "END"
    infos = pickle.loads((tmp_path / "infos_fc-best.pkl").read_bytes())
    infos["vocab"] = {**{str(at + 2): word for at, word in enumerate((*SPOKEN,))}}
    infos["opt"] = Namespace(**{**vars(infos["opt"]), "eos_idx": 1})
    (tmp_path / "infos_fc-best.pkl").write_bytes(pickle.dumps(infos))
    other = loaded(tmp_path)
    assert other.vocabulary.names[:3] == ("START", "END", "a")
    assert (other.vocabulary.start, other.vocabulary.end, other.vocabulary.unknown) == (0, 1, None)
    assert other.network.start == 0


def test_torchvisions_own_resnet_is_not_taken_for_the_other(tmp_path):
    _, resnet = write(tmp_path)
    maps = loaded(tmp_path).read(PHOTOS[:1], ["a dog"]).features
    torch.testing.assert_close(maps.detach(), resnet(PREPROCESS(PHOTOS[0])[0][None].double()).float())
    torch.save(resnet.float().state_dict(), tmp_path / "resnet101.pth")
    assert "resnet101.pth looks like torchvision's own ResNet" in refusal(tmp_path)
    same, other = (
        loaded(tmp_path, caffe=kind).read(PHOTOS[:1], ["a dog"]).features for kind in (True, False)
    )
    torch.testing.assert_close(same, maps)
    assert same.shape != other.shape


# Files that do not fit.


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        loaded(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def resaved(path: Path, **tensors) -> None:
    state = torch.load(path) | {name.replace("__", "."): value for name, value in tensors.items()}
    torch.save({name: value for name, value in state.items() if value is not None}, path)


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({"img_embed__weight": torch.zeros(EMBED, 2048)}, "sees vectors of 2048 numbers, but"),
        ({"img_embed__weight": None}, "is no show_tell, fc or newfc model: it holds img_embed.bias"),
        ({"core__i2h__weight": None}, "is no show_tell, fc or newfc model"),
        ({"ctx2att__weight": torch.zeros(2, 2)}, "does not fit this .*: 1 unknown .ctx2att.weight"),
        ({"core__h2h__weight": torch.zeros(28, 7)}, "1 of another shape .lstm.h2h.weight"),
        ({"logit__weight": torch.zeros(9, 7)}, "does not go with .*pth: it names 9 words, the model has 8"),
        ({"logit__weight": torch.zeros(99, 7)}, "it names 9 words, the model has 98"),
    ],
)  # fmt: skip
def test_other_models_are_told(tmp_path, tensors, told):
    write(tmp_path)
    resaved(tmp_path / "model-best.pth", **tensors)
    with pytest.raises(CheckpointError, match=told):
        loaded(tmp_path)


def test_a_gru_is_told(tmp_path):
    write(tmp_path, "show_tell")
    resaved(
        tmp_path / "model-best.pth",
        core__weight_ih_l0=torch.zeros(21, 6),
        core__weight_hh_l0=torch.zeros(21, 7),
    )
    assert "2 of another shape (lstm.weight_ih_l0" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("infos", "told"),
    [
        ({"opt": Namespace(), "words": {}}, "is no infos file of ImageCaptioning.pytorch: it holds no"),
        ([1], "is no infos file"),
        ({"opt": Namespace(caption_model="topdown"), "vocab": VOCAB}, "is of a 'topdown' model: show_tell"),
        ({"opt": {"caption_model": [1, 2]}, "vocab": VOCAB}, "is of a [1, 2] model: show_tell"),
        ({"opt": {}, "vocab": {"1": "a"}}, "it names 1 words, the model has 9"),
        ({"opt": {"eos_idx": 500}, "vocab": VOCAB}, "it names 9 words, the model has 9"),
    ],
)  # fmt: skip
def test_other_infos_are_told(tmp_path, infos, told):
    write(tmp_path)
    (tmp_path / "infos_fc-best.pkl").write_bytes(pickle.dumps(infos))
    assert told in refusal(tmp_path)


@pytest.mark.parametrize("name", ["model-best.pth", "resnet101.pth", "infos_fc-best.pkl"])
def test_damaged_files_are_told(tmp_path, name):
    write(tmp_path, legacy=name != "model-best.pth")
    whole = (tmp_path / name).read_bytes()
    for share in (0.2, 0.9):
        (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
        message = refusal(tmp_path)
        assert name in message
        assert "truncated" in message
    os.truncate(tmp_path / name, 1 << 20)
    assert f"{name} is truncated at exactly 1,048,576 bytes" in refusal(tmp_path)
    (tmp_path / name).unlink()
    assert f"{name}" in refusal(tmp_path)


def test_the_best_and_the_last_of_a_training_lie_in_one_folder(tmp_path):
    write(tmp_path, "fc", 0)
    for best, last in (("model-best.pth", "model.pth"), ("infos_fc-best.pkl", "infos_fc.pkl")):
        (tmp_path / last).write_bytes(b"another")
        assert (tmp_path / best).is_file()
    state = {f"model.{name}": one for name, one in torch.load(tmp_path / "model-best.pth").items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "model-best.pth")
    with pytest.warns(Notice, match="is read"):
        assert vlx.load(f"ruotianluo:{tmp_path}").generate(PHOTOS[:1])
