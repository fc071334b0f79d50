"""Captioners of yunjey's tutorial and of Udacity's students, from the files that they save."""

import copy
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import vlx
from tests.adapters import small
from tests.adapters import student_files as files
from tests.adapters.conformance import CAPTION_CHECKS, CHECKS, Case, check_batch, check_patch
from vlx.adapters.families import students
from vlx.adapters.families.students import UDACITY, YUNJEY, find_student_files, load_student
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.roles import decoder_of, encoder_of
from vlx.errors import CheckpointError, Notice
from vlx.images.preprocess import Squash

CAPTIONS = ("a dog on the grass .", "red bike", "the cat , a zebra")
PHOTOS = small.photos((240, 300), (256, 256), (400, 310))

STUDENTS = {
    "udacity": {},
    "udacity, other names": {"names": ("word_embeddings", "lstm", "hidden2vocab"), "layers": 2},
    "udacity, output first": {"names": ("words_embed", "rnn", "FC"), "legacy": True},
    "yunjey": {"udacity": False},
    "yunjey, before 1.6": {"udacity": False, "legacy": True, "layers": 3},
    "no start": {"says_start": False},
}


def loaded(folder: Path, *, udacity: bool = True, **options) -> CNNLSTMCaptioner:
    found = find_student_files(folder)
    course = UDACITY if udacity else YUNJEY
    return load_student(course, found.encoder, found.decoder, found.vocabulary, **options)


@dataclass(frozen=True, eq=False)
class Written:
    """A captioner as loaded, in double precision, and what its files were written from."""

    model: CNNLSTMCaptioner
    encoder: files.Encoder
    decoder: files.Decoder


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Callable[..., Written]:
    """Writes and loads a student's files once for each form; the model is a copy of one's own."""

    @cache
    def once(**how) -> Written:
        folder = tmp_path_factory.mktemp("student")
        encoder, decoder = files.write_student(folder, **how)
        model = loaded(folder, udacity=how.get("udacity", True))
        model.network.double()
        return Written(model, encoder, decoder)

    def copied(**how) -> Written:
        one = once(**how)
        return replace(one, model=copy.deepcopy(one.model))

    return copied


@pytest.mark.parametrize("how", STUDENTS.values(), ids=STUDENTS)
def test_scores_are_those_of_their_own_code(student, how):
    one = student(**how)
    model, encoder, decoder = one.model, one.encoder, one.decoder
    words = model.vocabulary.names
    assert model.network.feeds_start == how.get("says_start", True)
    for image, caption in zip(PHOTOS, ("a dog on the grass .", "red bike", "the cat a bike"), strict=True):
        ids = [words.index(word) for word in caption.split()]
        fed = [words.index("<start>")] * model.network.feeds_start + ids
        pixels, _ = model.preprocess(image)
        scores = decoder(encoder(pixels[None].double()), torch.tensor([[*fed, words.index("<end>")]]))
        run = model.read([image], [caption])
        expected = scores[0].log_softmax(1)[len(fed) - len(ids) :]
        torch.testing.assert_close(run.scores[0].detach(), expected, rtol=1e-11, atol=1e-11)
        picked = sum(expected[step, index] for step, index in enumerate(ids))
        result = vlx.explain_caption(model, image, caption)
        assert result.targets[-1].score == pytest.approx(float(picked), rel=1e-9)


@pytest.mark.parametrize("how", STUDENTS.values(), ids=STUDENTS)
def test_the_caption_is_the_one_their_sample_says(student, how):
    one = student(**how)
    model, encoder, decoder = one.model, one.encoder, one.decoder
    words = model.vocabulary.names
    for image, said in zip(PHOTOS, model.generate(PHOTOS), strict=True):
        pixels, _ = model.preprocess(image)
        tokens = [words[index] for index in decoder.sample(encoder(pixels[None].double()))]
        if model.network.feeds_start:
            assert tokens.pop(0) == "<start>"
        until = tokens.index("<end>") if "<end>" in tokens else len(tokens)
        assert said.split() == tokens[:until][: model.steps]


def case(model: CNNLSTMCaptioner) -> Case:
    """On smaller images than the authors', to save time."""
    assert isinstance(model.network, nn.Module)
    prepare = replace(model.preprocess, resize=Squash((64, 80)), window=None)
    other = CNNLSTMCaptioner(model.network, model.vocabulary, prepare, layer=model.layer, steps=model.steps)
    return Case(other, model.network, small.photos((64, 64), (90, 70), (48, 99)), CAPTIONS)


@pytest.mark.parametrize("check", [*CHECKS, *CAPTION_CHECKS])
def test_conforms(student, check):
    model = student(udacity=False, legacy=True, layers=3).model
    if check is check_patch:  # needs the places of a larger image
        check(Case(model, model.network, PHOTOS[:2], CAPTIONS[:2]))
    else:
        check(case(model))


@pytest.mark.parametrize("check", [check_batch, *CAPTION_CHECKS])
@pytest.mark.parametrize("how", [{}, {"says_start": False}], ids=["start", "no start"])
def test_conforms_in_other_forms(student, check, how):
    check(case(student(**how).model))


def test_default_layer_and_preparation(student):
    model = student().model
    assert model.layer == "layer4"
    assert model.name == "udacity/decoder-3"
    assert model.read(PHOTOS[:1], ["a dog"]).features.shape[1:] == (12, 7, 7)
    image = Image.effect_noise((600, 300), 80).convert("RGB")
    for prepare, resample in (
        (YUNJEY.preprocess, Image.Resampling.LANCZOS),
        (UDACITY.preprocess, Image.Resampling.BILINEAR),
    ):
        pixels, frame = prepare(image)
        if prepare is YUNJEY.preprocess:
            shown = image.resize((224, 224), resample)
            assert frame.box == (0, 0, 300, 600)
        else:
            shown = image.resize((512, 256), resample).crop((144, 16, 368, 240))
            assert frame.box == pytest.approx((18.75, 168.75, 281.25, 431.25))
        assert frame.input_size == (224, 224)
        assert prepare.displayed(pixels).tobytes() == shown.tobytes()


def test_the_start_token_can_be_forced(tmp_path):
    files.write_student(tmp_path, says_start=False)
    found = find_student_files(tmp_path)
    paths = (found.encoder, found.decoder, found.vocabulary)
    asked, told = (load_student(UDACITY, *paths, feeds_start=fed) for fed in (None, True))
    assert not asked.network.feeds_start
    assert told.network.feeds_start
    scores = [model.read(PHOTOS[:1], ["a dog"]).scores for model in (asked, told)]
    assert not torch.allclose(*scores)


def several_outputs(_, decoder) -> None:
    hidden, words = decoder.linear.in_features, decoder.linear.out_features
    del decoder.linear
    decoder.fc1, decoder.fc2 = nn.Linear(hidden, 5), nn.Linear(5, words)


def test_several_output_layers_need_to_be_told_what_stands_between(tmp_path):
    files.write_student(tmp_path, change=several_outputs)
    with pytest.raises(CheckpointError, match=r"decoder-3.pkl holds 2 output layers and does not tell what"):
        loaded(tmp_path)
    plain, bent = (loaded(tmp_path, between=made) for made in (nn.Identity, nn.ReLU))
    one, two = (model.network.vocabulary for model in (plain, bent))
    hidden = torch.randn(3, files.HIDDEN)
    torch.testing.assert_close(two(hidden), one[2](torch.relu(one[0](hidden))))
    torch.testing.assert_close(one(hidden), one[2](one[0](hidden)))
    assert plain.read(PHOTOS[:1], ["a dog"]).scores.shape == (1, 3, len(files.UDACITY_WORDS))


def named_resnet(encoder, _) -> None:
    """yunjey's first version: a ResNet whose own last layer embeds the image."""
    children = dict(zip(("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"),
                        encoder.resnet.children(), strict=False))  # fmt: skip
    encoder.resnet = nn.Sequential()
    for name, child in children.items():
        encoder.resnet.add_module(name, child)
    encoder.resnet.add_module("fc", encoder.embed)
    del encoder.embed


def test_a_resnet_with_its_own_names_and_last_layer(student, tmp_path):
    plain = student().model
    files.write_student(tmp_path, change=named_resnet)
    named = loaded(tmp_path)
    named.network.double()
    runs = [model.read(PHOTOS[:1], ["a dog"]).scores for model in (plain, named)]
    torch.testing.assert_close(runs[0], runs[1], rtol=1e-12, atol=1e-12)


def test_modules_pickled_whole(tmp_path):
    encoder, decoder = files.write_student(tmp_path)
    for role, module in (("encoder", encoder), ("decoder", decoder)):
        torch.save(module.float(), tmp_path / f"{role}-3.pkl")
    model = loaded(tmp_path)
    assert model.generate(PHOTOS[:1])


def test_words_that_the_model_writes_itself_stay_whole(tmp_path):
    path = files.write_vocabulary(tmp_path / "vocab.pkl", files.UDACITY_WORDS)
    vocabulary = students.student_vocabulary(path)
    assert (vocabulary.start, vocabulary.end, vocabulary.unknown) == (0, 1, 2)
    tokens, ids, unknown = vocabulary.encode("A <unk> isn't on the grass.")
    assert tokens == ["a", "<unk>", "is", "n't", "on", "the", "grass", "."]
    assert ids == [3, 2, 2, 2, 6, 7, 8, 11]
    assert unknown == ("is", "n't")


def test_files_are_found_by_epoch(tmp_path):
    for name in ("encoder-1.pkl", "decoder-1.pkl", "encoder-10.pkl", "decoder-10.pkl", "encoder-12.pkl",
                 "encoder-9.pkl", "decoder-9.pkl", "training_log.txt"):  # fmt: skip
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / name).touch()
    with pytest.raises(CheckpointError, match=r"holds no vocab.pkl$"):
        find_student_files(tmp_path)
    (tmp_path / "vocab.pkl").touch()
    found = find_student_files(tmp_path)
    assert [path.name for path in (found.encoder, found.decoder, found.vocabulary)] == [
        "encoder-10.pkl", "decoder-10.pkl", "vocab.pkl",
    ]  # fmt: skip
    for role in ("encoder", "decoder"):
        (tmp_path / "models" / f"{role}-best.pkl").touch()
    with pytest.warns(Notice, match=r"holds decoder-best.pkl and decoder-1.pkl, .* is read"):
        assert find_student_files(tmp_path).encoder.name == "encoder-best.pkl"
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        CheckpointError, match=r"no encoder….pkl and decoder….pkl of one epoch and no vocab.pkl"
    ):
        find_student_files(tmp_path / "empty")
    with pytest.raises(CheckpointError, match=r"no folder .*nowhere"):
        find_student_files(tmp_path / "nowhere")


# Files that do not fit.


def refusal(folder: Path, **options) -> str:
    with pytest.raises(CheckpointError) as caught:
        loaded(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    files.write_student(folder)
    return folder


def copied(sound: Path, folder: Path) -> Path:
    for path in sound.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("name", ["encoder-3.pkl", "decoder-3.pkl", "vocab.pkl"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html></html>", "is a web page"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "is an image"),
    ],
)
def test_what_is_no_model_is_told(sound, tmp_path, name, content, told):
    (copied(sound, tmp_path) / name).write_bytes(content)
    message = refusal(tmp_path)
    assert name in message
    assert told in message


@pytest.mark.parametrize("name", ["encoder-3.pkl", "decoder-3.pkl", "vocab.pkl"])
def test_truncated_files_are_told(sound, tmp_path, name):
    whole = (copied(sound, tmp_path) / name).read_bytes()
    for share in (0.1, 0.5, 0.95):
        (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
        message = refusal(tmp_path)
        assert name in message
        assert "truncated" in message


@pytest.mark.parametrize("legacy", [True, False])
def test_a_download_cut_at_the_limit_of_a_host(sound, tmp_path, legacy):
    copied(sound, tmp_path)
    state = torch.load(tmp_path / "encoder-3.pkl")
    state["embed.weight"] = torch.zeros(600_000)
    torch.save(state, tmp_path / "encoder-3.pkl", _use_new_zipfile_serialization=not legacy)
    os.truncate(tmp_path / "encoder-3.pkl", 1_048_576)
    assert "encoder-3.pkl is truncated at exactly 1,048,576 bytes" in refusal(tmp_path)


WRONG_ENCODERS = [
    ({"embed.weight": torch.zeros(6, 2048)}, "layer 'embed' takes 2048 numbers, but 12 come to it"),
    ({"resnet.0.weight": None}, "encoder.pkl holds no ResNet: resnet.1.weight 4"),
    ({"resnet.6.0.conv2.weight": None}, "does not fit this Sequential: 1 missing .layer3.0.conv2.weight"),
    ({"attention": torch.zeros(3)}, "holds a layer '' without a known role: attention 3"),
    ({"conv.weight": torch.zeros(3, 3, 1, 1)}, "holds a layer 'conv' without a known role"),
]
WRONG_DECODERS = [
    ({"lstm.weight_ih_l0": None}, "holds 0 recurrent layers, not one LSTM"),
    ({"lstm.weight_hh_l0": None}, "holds no LSTM: weight_ih_l0 28×6"),
    ({"lstm.weight_hh_l0": torch.zeros(21, 7)}, "holds a GRU .21 gate rows for 7 units.; only LSTMs"),
    ({"lstm.weight_ih_l0_reverse": torch.zeros(28, 6)}, "does not fit this LSTM: 1 unknown"),
    ({"lstm.weight_hr_l0": torch.zeros(28, 6)}, "does not fit this LSTM: 1 unknown"),
    ({"gru.weight_ih_l0": torch.zeros(3, 3)}, "holds 2 recurrent layers, not one LSTM"),
    ({"embed.weight": None}, "holds 0 word embeddings of size 6, as its LSTM reads, not one"),
    ({"other.weight": torch.zeros(4, 6)}, "holds 2 word embeddings of size 6"),
    ({"linear.weight": torch.zeros(9, 7), "linear.bias": torch.zeros(9)},
     "embeds 12 words, but its output layers do not end in 12 scores"),
    ({"linear.weight": torch.zeros(12, 8)}, "layer 'linear' takes 8 numbers, but 7 come to it"),
    ({"linear.bias": torch.zeros(3)}, "1 of another shape"),
    ({"norm.running_mean": torch.zeros(12), "norm.running_var": torch.ones(12)}, "do not end in 12 scores"),
]  # fmt: skip


def changed(module: nn.Module, tensors: dict[str, torch.Tensor | None]) -> dict[str, torch.Tensor]:
    """A module's weights, but for some that are others (or, for None, absent)."""
    return {name: value for name, value in {**module.state_dict(), **tensors}.items() if value is not None}


@pytest.mark.parametrize(("tensors", "told"), WRONG_ENCODERS, ids=[told for _, told in WRONG_ENCODERS])
def test_encoders_without_a_known_role_are_told(student, tensors, told):
    with pytest.raises(CheckpointError, match="^encoder.pkl.*" + told.removeprefix("encoder.pkl")):
        encoder_of(changed(student().encoder, tensors), "encoder.pkl")


@pytest.mark.parametrize(("tensors", "told"), WRONG_DECODERS, ids=[told for _, told in WRONG_DECODERS])
def test_decoders_without_a_known_role_are_told(student, tensors, told):
    with pytest.raises(CheckpointError, match="^decoder.pkl.*" + told):
        decoder_of(changed(student().decoder, tensors), "decoder.pkl")


def test_an_encoder_of_another_size_than_the_decoder_is_told(sound, tmp_path):
    state = torch.load(copied(sound, tmp_path) / "encoder-3.pkl")
    state |= {"embed.weight": torch.zeros(5, 12), "embed.bias": torch.zeros(5)}
    torch.save(state, tmp_path / "encoder-3.pkl")
    told = (
        "encoder-3.pkl embeds images in 5 numbers, but the LSTM of .*decoder-3.pkl reads 6: they are not of"
    )
    assert re.search(told, refusal(tmp_path))


def test_a_vocabulary_of_another_size_is_told(sound, tmp_path):
    files.write_vocabulary(copied(sound, tmp_path) / "vocab.pkl", (*files.UDACITY_WORDS, "zebra"))
    assert "vocab.pkl has 13 words, but" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"words": 3}, "an object with word2idx was expected"),
        (["<start>"], "an object with word2idx was expected"),
        ({"word2idx": {"<start>": 0, "<end>": 2}}, "does not number its 2 words from 0 to 1"),
        ({"word2idx": {"<start>": 0, 7: 1}}, "does not number its 2 words"),
        ({"word2idx": {"<start>": 0, "<end>": [1]}}, "does not number its 2 words"),
        ({"word2idx": {"<start>": 0, "<end>": 1}, "end_word": ["a"]}, "has no <start> or no <end>"),
        ({"word2idx": {"a": 0, "b": 1}}, "has no <start> or no <end> among its 2 words"),
    ],
)
def test_odd_vocabularies_are_told(tmp_path, value, told):
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(CheckpointError, match=told):
        students.student_vocabulary(tmp_path / "vocab.pkl")


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_nothing_in_a_file_is_run(sound, tmp_path, monkeypatch):
    monkeypatch.chdir(copied(sound, tmp_path))
    for name in ("vocab.pkl", "encoder-3.pkl", "decoder-3.pkl"):
        kept = Path(name).read_bytes()
        Path(name).write_bytes(pickle.dumps({"word2idx": Harmful(), "linear.weight": Harmful()}))
        assert name in refusal(tmp_path)
        torch.save({"word2idx": Harmful(), "linear.weight": Harmful()}, name)
        assert name in refusal(tmp_path)
        Path(name).write_bytes(kept)
    assert not Path("harmed").exists()


def test_the_files_of_a_training_are_read(student, tmp_path):
    plain = student().model
    encoder, decoder = files.write_student(tmp_path)
    for role, module in (("encoder", encoder), ("decoder", decoder)):
        state = {f"module.{name}": value for name, value in module.state_dict().items()}
        torch.save({"epoch": 3, "state_dict": state, "optimizer": {"state": {}}}, tmp_path / f"{role}-3.pkl")
    assert loaded(tmp_path).generate(PHOTOS[:1]) == plain.generate(PHOTOS[:1])
