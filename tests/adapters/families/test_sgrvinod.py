"""sgrvinod's tutorial: a checkpoint of whole pickled modules, as its code writes and runs them."""

import copy
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

import vlx
from tests.adapters import small
from tests.adapters.conformance import CAPTION_CHECKS, CHECKS, Case, check_patch
from tests.adapters.tiny_resnet import tiny_resnet
from vlx.adapters.families.sgrvinod import PREPROCESS, load_sgrvinod, read_word_map
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.errors import CheckpointError
from vlx.images.preprocess import Squash

SPOKEN = ("a", "dog", "cat", "on", "the", "grass", "red", "bike")
WORD_MAP = {
    "<pad>": 0,
    **{word: at for at, word in enumerate(SPOKEN, 1)},
    "<unk>": 9,
    "<start>": 10,
    "<end>": 11,
}
CAPTIONS = ("a dog on the grass", "red bike", "the cat a zebra")
PHOTOS = small.photos((200, 256), (256, 256), (300, 120))
NAME = "BEST_checkpoint_coco_5_cap_per_img_5_min_word_freq.pth.tar"


class Encoder(nn.Module):
    """A ResNet without its last two layers, resized to a map of fixed size, channels last."""

    def __init__(self, size=14):
        super().__init__()
        self.enc_image_size = size
        self.resnet = nn.Sequential(*tiny_resnet().float().children())
        self.adaptive_pool = nn.AdaptiveAvgPool2d((size, size))

    def forward(self, images):
        return self.adaptive_pool(self.resnet(images)).permute(0, 2, 3, 1)


class Attention(nn.Module):
    def __init__(self, encoder, decoder, attention):
        super().__init__()
        self.encoder_att = nn.Linear(encoder, attention)
        self.decoder_att = nn.Linear(decoder, attention)
        self.full_att = nn.Linear(attention, 1)
        self.relu, self.softmax = nn.ReLU(), nn.Softmax(dim=1)


class DecoderWithAttention(nn.Module):
    def __init__(self, attention=5, embed=6, decoder=7, words=12, encoder=12):
        super().__init__()
        self.encoder_dim, self.vocab_size = encoder, words
        self.attention = Attention(encoder, decoder, attention)
        self.embedding = nn.Embedding(words, embed)
        self.dropout = nn.Dropout(0.5)
        self.decode_step = nn.LSTMCell(embed + encoder, decoder)
        self.init_h, self.init_c = nn.Linear(encoder, decoder), nn.Linear(encoder, decoder)
        self.f_beta = nn.Linear(decoder, encoder)
        self.sigmoid = nn.Sigmoid()
        self.fc = nn.Linear(decoder, words)


def steps(decoder, places, ids):
    """Log-probabilities at every step, literally: one image, one word after the other."""
    h, c = decoder.init_h(places.mean(0)), decoder.init_c(places.mean(0))
    found = []
    for said in (WORD_MAP["<start>"], *ids):
        scores = [
            decoder.attention.full_att(
                torch.relu(decoder.attention.encoder_att(place) + decoder.attention.decoder_att(h))
            )
            for place in places
        ]
        alpha = torch.cat(scores).softmax(0)
        seen = sum(share * place for share, place in zip(alpha, places, strict=True))
        gated = torch.sigmoid(decoder.f_beta(h)) * seen
        fed = torch.cat([decoder.embedding.weight[said], gated])
        h, c = (part[0] for part in decoder.decode_step(fed[None], (h[None], c[None])))
        found.append(decoder.fc(h).log_softmax(0))
    return torch.stack(found)


def write(
    folder: Path, *, size: int = 3, legacy: bool = False, change=None
) -> tuple[Encoder, DecoderWithAttention]:
    """Write checkpoint and word map; classes are pickled under the module that the tutorial has."""
    torch.manual_seed(4)
    encoder, decoder = Encoder(size).eval(), DecoderWithAttention().eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(2.5)
        decoder.fc.bias[[0, 9, 10]] = -50.0
    if change:
        change(encoder, decoder)
    optimizer = torch.optim.Adam(decoder.parameters())
    state = {
        "epoch": 3, "epochs_since_improvement": 0, "bleu-4": 0.24, "encoder": encoder, "decoder": decoder,
        "encoder_optimizer": None, "decoder_optimizer": optimizer,
    }  # fmt: skip
    stub = ModuleType("models")
    kinds = (Encoder, Attention, DecoderWithAttention)
    homes = [kind.__module__ for kind in kinds]
    for kind in kinds:
        setattr(stub, kind.__name__, kind)
        kind.__module__ = "models"
    sys.modules["models"] = stub
    try:
        torch.save(state, folder / NAME, _use_new_zipfile_serialization=not legacy)
    finally:
        del sys.modules["models"]
        for kind, home in zip(kinds, homes, strict=True):
            kind.__module__ = home
    (folder / "WORDMAP.json").write_text(json.dumps(WORD_MAP))
    return encoder.double().requires_grad_(False), decoder.double().requires_grad_(False)


def loaded(folder: Path, **options) -> CNNLSTMCaptioner:
    return load_sgrvinod(folder / NAME, folder / "WORDMAP.json", **options)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")  # of the classes, which live here
@pytest.mark.parametrize(("size", "legacy"), [(2, True), (14, False)])
def test_scores_are_those_of_the_published_steps(tmp_path, size, legacy):
    encoder, decoder = write(tmp_path, size=size, legacy=legacy)
    model = loaded(tmp_path)
    model.network.double()
    for image, caption in zip(PHOTOS, ("a dog on the grass", "red bike", "the cat"), strict=True):
        ids = [WORD_MAP[word] for word in caption.split()]
        places = encoder(PREPROCESS(image)[0][None].double()).flatten(1, 2)[0]
        expected = steps(decoder, places, ids)
        run = model.read([image], [caption])
        torch.testing.assert_close(run.scores[0].detach(), expected, rtol=1e-10, atol=1e-10)
        (result,) = vlx.explain(run, [vlx.caption()])
        picked = sum(float(expected[step, index]) for step, index in enumerate(ids))
        assert result.targets[0].score == pytest.approx(picked, rel=1e-9)


def talkative(_, decoder):
    """Not for too long."""
    with torch.no_grad():
        decoder.fc.bias[WORD_MAP["<end>"]] += 2.0


def test_the_caption_is_the_one_that_its_search_finds(tmp_path):
    """caption.py with its beam of 5: each caption that ends makes the beam narrower."""
    encoder, decoder = write(tmp_path, change=talkative)
    model = loaded(tmp_path)
    model.network.double()
    assert model.beam == 5
    for image, said in zip(PHOTOS, model.generate(PHOTOS), strict=True):
        places = encoder(PREPROCESS(image)[0][None].double()).flatten(1, 2)[0]
        k, going, complete = 5, [(0.0, [])], []
        while k and len(going[0][1]) < 51:
            options = []
            for total, ids in going:
                last = steps(decoder, places, ids)[-1]
                options += [(total + float(last[word]), [*ids, word]) for word in range(len(WORD_MAP))]
            best = sorted(options, key=lambda pair: -pair[0])[:k]
            complete += [pair for pair in best if pair[1][-1] == WORD_MAP["<end>"]]
            going = [pair for pair in best if pair[1][-1] != WORD_MAP["<end>"]]
            k = len(going)
        names = {index: word for word, index in WORD_MAP.items()}
        best = max(complete, key=lambda pair: pair[0])[1]
        assert said == " ".join(names[index] for index in best[:-1])


@pytest.fixture(scope="module")
def captioner(tmp_path_factory) -> CNNLSTMCaptioner:
    """In double precision, greedy."""
    folder = tmp_path_factory.mktemp("sgrvinod")
    write(folder)
    model = loaded(folder, beam=1)
    model.network.double()
    return model


@pytest.mark.parametrize("check", [*CHECKS, *CAPTION_CHECKS])
def test_conforms(captioner, check):
    """On smaller images than the authors', where they need not be large, to save time."""
    model = copy.deepcopy(captioner)
    if check is not check_patch:
        model.preprocess = replace(model.preprocess, resize=Squash((64, 96)))
    assert isinstance(model.network, nn.Module)
    check(Case(model, model.network, PHOTOS, CAPTIONS))


def test_maps_are_exact_gradients(captioner):
    """Batched products through the attention equal plain gradients, one word after the other."""
    model = captioner
    run = model.read(PHOTOS[:1], CAPTIONS[:1])
    (result,) = vlx.explain(run, [vlx.word(at) for at in range(5)], vlx.grad_cam)
    assert result.provenance.batched
    again = model.read(PHOTOS[:1], CAPTIONS[:1])
    for at, raw in enumerate(result.raw):
        index = WORD_MAP[CAPTIONS[0].split()[at]]
        cut = again.shortcuts.cut
        above, leaf = cut.above, cut.leaf
        (hidden,) = torch.autograd.grad(again.scores[0, at, index], leaf, retain_graph=True)
        (gradient,) = torch.autograd.grad(above, again.features, hidden, retain_graph=True)
        expected = (gradient[0].mean((1, 2), keepdim=True) * again.features[0].detach()).sum(0).relu()
        torch.testing.assert_close(torch.from_numpy(raw), expected.float())


def test_defaults(tmp_path):
    write(tmp_path, size=14)
    model = loaded(tmp_path)
    assert model.layer == "layer4"
    assert model.steps == 51
    assert model.name == "sgrvinod/BEST_checkpoint_coco_5_cap_per_img_5_min_word_freq"
    run = model.read(PHOTOS[:1], CAPTIONS[:1])
    assert run.features.shape == (1, 12, 8, 8)
    assert run.below.pixels.shape == (1, 3, 256, 256)
    assert run.frames[0].box == (0, 0, 200, 256)
    other = CNNLSTMCaptioner(model.network, model.vocabulary, PREPROCESS, layer="pool")
    pooled = other.read(PHOTOS[:1], CAPTIONS[:1])
    assert pooled.features.shape == (1, 12, 14, 14)
    pixels, _ = PREPROCESS(PHOTOS[0])
    assert PREPROCESS.displayed(pixels).tobytes() == PHOTOS[0].resize((256, 256), 2).tobytes()


def test_words(tmp_path):
    (tmp_path / "w.json").write_text(json.dumps(WORD_MAP))
    vocabulary = read_word_map(tmp_path / "w.json")
    assert (vocabulary.start, vocabulary.end, vocabulary.unknown) == (10, 11, 9)
    assert vocabulary.encode("A dog, on <unk> zebras!") == (
        ["a", "dog", "on", "unk", "zebras"],
        [1, 2, 4, 9, 9],
        ("unk", "zebras"),
    )


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        loaded(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("[1, 2", "WORDMAP.json is truncated or no JSON"),
        ("[" * 100_000, "WORDMAP.json is truncated or no JSON"),
        ("<!DOCTYPE html><html>", "WORDMAP.json is a web page"),
        ('["<start>", "<end>"]', "is no word map: it numbers no <start> and <end>"),
        ('{"a": 0}', "is no word map: it numbers no <start> and <end>"),
        ('{"<start>": 0, "<end>": 2}', "does not number its 2 words from 0 to 1"),
        ('{"<start>": true, "<end>": 0}', "does not number its 2 words"),
    ],
)
def test_other_word_maps_are_told(tmp_path, words, told):
    (tmp_path / "WORDMAP.json").write_text(words)
    with pytest.raises(CheckpointError, match=told):
        read_word_map(tmp_path / "WORDMAP.json")


def test_a_word_map_of_another_training_is_told(tmp_path):
    write(tmp_path)
    (tmp_path / "WORDMAP.json").write_text('{"<start>": 0, "<end>": 1}')
    assert "WORDMAP.json has 2 words, but" in refusal(tmp_path)


def without(*names):
    def change(_, decoder):
        for name in names:
            delattr(decoder, name)

    return change


def smaller(encoder, decoder):
    decoder.attention.encoder_att = nn.Linear(11, 5)


def odd(encoder, decoder):
    decoder.fc = nn.Linear(7, 13)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("attention"), "decoder is no DecoderWithAttention: it has no attention.encoder_att.weight"),
        (without("f_beta"), "decoder does not fit this AttentionNetwork: 2 missing .gate"),
        (smaller, "the decoder attends to 11 channels, but the encoder gives 12: they are not of one"),
        (odd, "decoder does not fit this AttentionNetwork: 2 of another shape .vocabulary.weight"),
    ],
)
def test_other_decoders_are_told(tmp_path, change, told):
    write(tmp_path, change=change)
    assert told.replace(" .", " (") in refusal(tmp_path)


def test_other_checkpoints_are_told(tmp_path):
    write(tmp_path)
    whole = (tmp_path / NAME).read_bytes()
    for share in (0.1, 0.6, 0.97):
        (tmp_path / NAME).write_bytes(whole[: int(share * len(whole))])
        assert "truncated" in refusal(tmp_path)
    torch.save({"decoder": torch.zeros(2)}, tmp_path / NAME)
    assert "is no checkpoint of sgrvinod's tutorial: it holds no encoder" in refusal(tmp_path)
    torch.save({"encoder": [], "decoder": {}}, tmp_path / NAME)
    assert "encoder: a list is neither a module nor named tensors" in refusal(tmp_path)
    (tmp_path / NAME).write_bytes(whole + b"\0" * (1 << 20))
    os.truncate(tmp_path / NAME, 1 << 20)
    assert "1,048,576 bytes" in refusal(tmp_path)
    (tmp_path / NAME).unlink()
    assert "no torch file" in refusal(tmp_path)
