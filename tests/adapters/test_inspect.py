"""What is told of checkpoints of every known family, at their published names and small sizes."""

import json
import pickle
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.adapters.files.caffe_writer import write_caffemodel
from tests.adapters.files.refusals import checked_refusal
from tests.adapters.files.t7_writer import write_t7
from tests.adapters.files.tensorflow_writer import write_checkpoint
from vlx.adapters.families import torchvision as torchvision_family
from vlx.adapters.files.shapes import Shapes
from vlx.adapters.files.torch7.reader import Lua
from vlx.adapters.inspect import Inspected, inspect
from vlx.adapters.parts.checkpoint import Checkpoint, Contents


def zeros(*sizes: int) -> Tensor:
    return torch.zeros(sizes)


def lua(kind: str, **fields: Any) -> Lua:
    return Lua(kind, {"gradInput": zeros(1), "output": zeros(2), **fields})


def neuraltalk2(folder: Path) -> Path:
    conv = lua("nn.SpatialConvolution", weight=zeros(4, 3, 3, 3), bias=zeros(4))
    core = lua("nn.gModule", modules=[lua("nn.Linear", weight=zeros(32, 8), bias=zeros(32))])
    lm = Lua(
        "nn.LanguageModel",
        {
            "vocab_size": 5, "input_encoding_size": 8, "rnn_size": 8, "num_layers": 1, "seq_length": 16,
            "core": core, "clones": [core, core], "lookup_table": lua("nn.LookupTable", weight=zeros(6, 8)),
        },
    )  # fmt: skip  # fields
    vocab = {str(at): f"word{at}" for at in range(1, 6)}
    checkpoint = {
        "opt": {"id": "1"},
        "protos": {"cnn": lua("nn.Sequential", modules=[conv]), "lm": lm},
        "vocab": vocab,
    }
    return write_t7(folder / "model_id1.t7", checkpoint)


def vqa(folder: Path, words: int = 3) -> Path:
    parts = {"embedding_w_q": 200 * words + 200, "encoder_w_q": 3_564_033, "multimodal_w": 7_318_504}
    return write_t7(folder / "lstm.t7", {name: zeros(1).expand(n) for name, n in parts.items()})


def hiecoatten(folder: Path) -> Path:
    options = {
        "vocab_size": 14, "hidden_size": 512, "num_layers": 2, "seq_length": 26, "atten_type": "Alternating",
        "feature_type": "Residual",
    }  # fmt: skip
    vectors = {name: zeros(3) for name in ("wparams", "pparams", "qparams", "aparams")}
    return write_t7(folder / "model_alternating_train.t7", {**vectors, "lmOpt": options})


def im2txt(folder: Path) -> Path:
    names = {
        "InceptionV3/Conv2d_1a_3x3/weights": (3, 3, 3, 2),
        "image_embedding/weights": (4, 5),
        "seq_embedding/map": (12, 5),
        "lstm/basic_lstm_cell/kernel": (12, 28),
        "logits/weights": (7, 12),
        "logits/biases": (12,),
    }
    return write_checkpoint(
        folder / "model.ckpt-7", {name: np.zeros(s, np.float32) for name, s in names.items()}
    )


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


def ruotianluo(folder: Path) -> Path:
    named = {"embed": nn.Embedding(11, 6), "img_embed": nn.Linear(9, 6), "logit": nn.Linear(7, 11)}
    core = {"core.i2h.weight": zeros(35, 6), "core.h2h.weight": zeros(35, 7)}
    return saved(folder / "model-best.pth", {**nn.ModuleDict(named).state_dict(), **core})


def infos(folder: Path) -> Path:
    options = Namespace(caption_model="fc", rnn_size=7, input_encoding_size=6, num_layers=1)
    path = folder / "infos_fc.pkl"
    path.write_bytes(
        pickle.dumps({"opt": options, "vocab": {str(at): "w" for at in range(1, 11)}, "iter": 3}, 2)
    )
    return path


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resnet = nn.Sequential(nn.Conv2d(3, 4, 3))


class DecoderWithAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.vocab_size, self.embed_dim, self.decoder_dim, self.attention_dim = 9, 5, 6, 7
        self.embedding = nn.Embedding(9, 5)


def sgrvinod(folder: Path) -> Path:
    value = {"epoch": 1, "bleu-4": 0.2, "encoder": Encoder(), "decoder": DecoderWithAttention()}
    return saved(folder / "BEST_checkpoint_coco.pth.tar", value)


def yunjey_encoder(folder: Path) -> Path:
    held = {"resnet": nn.Sequential(nn.Conv2d(3, 4, 3)), "linear": nn.Linear(12, 5), "bn": nn.BatchNorm1d(5)}
    return saved(folder / "encoder-5-3000.ckpt", nn.ModuleDict(held).state_dict())


def yunjey_decoder(folder: Path) -> Path:
    held = {"embed": nn.Embedding(9, 5), "lstm": nn.LSTM(5, 6), "linear": nn.Linear(6, 9)}
    return saved(folder / "decoder-5-3000.ckpt", nn.ModuleDict(held).state_dict())


def udacity_encoder(folder: Path) -> Path:
    held = {"resnet": nn.Sequential(nn.Conv2d(3, 4, 3)), "embed": nn.Linear(12, 5)}
    return saved(folder / "encoder-3.pkl", nn.ModuleDict(held).state_dict())


def udacity_decoder(folder: Path) -> Path:
    held = {"word_embeddings": nn.Embedding(9, 5), "lstm": nn.LSTM(5, 6, 2), "hidden2vocab": nn.Linear(6, 9)}
    return saved(folder / "decoder-3.pkl", nn.ModuleDict(held).state_dict())


class Vocabulary:
    def __init__(self) -> None:
        self.word2idx = {"<start>": 0, "<end>": 1}
        self.idx2word = {0: "<start>", 1: "<end>"}
        self.idx = 2


def vocabulary(folder: Path) -> Path:
    path = folder / "vocab.pkl"
    path.write_bytes(pickle.dumps(Vocabulary(), 2))
    return path


def vgg(folder: Path) -> Path:
    layers = {"conv1_1": [np.ones((2, 3, 1, 1)), np.ones(2)], "conv5_4": [np.ones((2, 2, 1, 1)), np.ones(2)]}
    return write_caffemodel(
        folder / "VGG.caffemodel", {**layers, "fc8": [np.ones((10, 2)), np.ones(10)]}, v1=True
    )


Told = tuple[str, str, int | None, dict[str, int], list[str]]
FAMILIES: dict[Callable[[Path], Path], Told] = {
    neuraltalk2: ("neuraltalk2", "Torch7", 5, {"embedding": 8, "hidden": 8, "layers": 1, "words": 16}, []),
    vqa: (
        "VQA_LSTM_CNN",
        "Torch7",
        3,
        {"embedding": 200, "hidden": 512, "layers": 2, "joint": 1024, "answers": 1000},
        ["data_prepro.json", "VGG_ILSVRC_19_layers.caffemodel"],
    ),
    hiecoatten: (
        "HieCoAtten (Alternating)",
        "Torch7",
        14,
        {"hidden": 512, "layers": 2, "words": 26},
        ["vqa_data_prepro.json", "resnet-200.t7"],
    ),
    im2txt: ("im2txt", "TensorFlow checkpoint", 12, {"embedding": 5, "hidden": 7}, ["word_counts.txt"]),
    ruotianluo: (
        "ruotianluo (fc)",
        "torch file",
        10,
        {"embedding": 6, "hidden": 7},
        ["infos.pkl", "resnet101.pth"],
    ),
    infos: (
        "ruotianluo, options and words (fc)",
        "pickle",
        10,
        {"embedding": 6, "hidden": 7, "layers": 1},
        ["model.pth"],
    ),
    sgrvinod: (
        "sgrvinod",
        "torch file",
        9,
        {"embedding": 5, "hidden": 6, "attention": 7},
        ["WORDMAP_….json"],
    ),
    yunjey_encoder: (
        "yunjey, encoder",
        "torch file",
        None,
        {"features": 12, "embedding": 5},
        ["decoder….pkl", "vocab.pkl"],
    ),
    yunjey_decoder: (
        "yunjey, decoder",
        "torch file",
        9,
        {"embedding": 5, "hidden": 6, "layers": 1},
        ["encoder….pkl", "vocab.pkl"],
    ),
    udacity_encoder: (
        "Udacity, encoder",
        "torch file",
        None,
        {"features": 12, "embedding": 5},
        ["decoder….pkl", "vocab.pkl"],
    ),
    udacity_decoder: (
        "Udacity, decoder (a student's)",
        "torch file",
        9,
        {"embedding": 5, "hidden": 6, "layers": 2},
        ["encoder….pkl", "vocab.pkl"],
    ),
    vocabulary: (
        "words of yunjey's or Udacity's captioner",
        "pickle",
        2,
        {},
        ["encoder….pkl", "decoder….pkl"],
    ),
    vgg: ("Caffe, VGG-19", "caffemodel", None, {"classes": 10}, []),
}


@pytest.mark.parametrize("make", FAMILIES, ids=lambda make: make.__name__)
def test_a_checkpoint_of_a_known_family_is_told(make: Callable[[Path], Path], tmp_path: Path) -> None:
    family, format_, words, sizes, missing = FAMILIES[make]
    found = inspect(make(tmp_path))
    assert (found.family, found.format, found.vocabulary, found.sizes) == (family, format_, words, sizes)
    assert [told.partition(":")[0] for told in found.missing] == missing


def test_the_layers_of_a_checkpoint_are_named(tmp_path: Path) -> None:
    assert inspect(neuraltalk2(tmp_path)).layers == {
        "protos.cnn.modules.1.weight": (4, 3, 3, 3),
        "protos.cnn.modules.1.bias": (4,),
        "protos.lm.lookup_table.weight": (6, 8),
        "protos.lm.core.modules.1.weight": (32, 8),
        "protos.lm.core.modules.1.bias": (32,),
    }
    assert inspect(sgrvinod(tmp_path)).layers == {
        "encoder.resnet.0.weight": (4, 3, 3, 3),
        "encoder.resnet.0.bias": (4,),
        "decoder.embedding.weight": (9, 5),
    }
    assert inspect(im2txt(tmp_path)).layers["seq_embedding/map"] == (12, 5)
    assert list(inspect(vgg(tmp_path)).layers) == [
        f"{n}.{at}" for n in ("conv1_1", "conv5_4", "fc8") for at in (0, 1)
    ]


def test_what_lies_beside_is_not_missing(tmp_path: Path) -> None:
    path = vqa(tmp_path)
    (tmp_path / "VGG_ILSVRC_19_layers.caffemodel").touch()
    data = tmp_path / "data_prepro.json"
    data.write_text(json.dumps({"ix_to_word": {"1": "a", "2": "b", "3": "UNK"}, "ix_to_ans": {"1": "yes"}}))
    assert inspect(path).missing == ()
    data.write_text(json.dumps({"ix_to_word": {"1": "a"}}))
    assert inspect(path).missing == (
        "data_prepro.json: its words and answers (the one beside it holds 1 words, the model 3)",
    )
    data.write_text("[" * 100_000)
    assert inspect(path).missing[0].endswith("holds no words, the model 3)")


def test_the_words_of_sgrvinod_are_counted(tmp_path: Path) -> None:
    path = sgrvinod(tmp_path)
    (tmp_path / "WORDMAP_coco.json").write_text(json.dumps({f"w{at}": at for at in range(9)}))
    assert inspect(path).missing == ()


def of_torchvision(shapes: Shapes) -> Checkpoint | None:
    return torchvision_family.detect(Contents(tensors=shapes))


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "vgg11",
        "alexnet",
        "squeezenet1_1",
        "densenet121",
        "mobilenet_v2",
        "googlenet",
        "vit_b_32",
        "vit_l_16",
        "swin_s",
        "swin_v2_t",
        "maxvit_t",
    ],
)
def test_a_classifier_of_torchvision_is_named(name: str) -> None:
    extra = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    with torch.device("meta"):
        network = torchvision.models.get_model(name, num_classes=7, **extra)
    told = of_torchvision({key: tuple(tensor.shape) for key, tensor in network.state_dict().items()})
    assert told is not None
    assert (told.family, told.sizes) == (f"torchvision/{name}", {"classes": 7})


def test_a_network_that_is_only_like_one_of_torchvision_is_not_named() -> None:
    state = torchvision.models.squeezenet1_1().state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    assert of_torchvision(shapes) is not None
    assert of_torchvision({**shapes, "features.0.weight": (64, 1, 3, 3)}) is None
    assert of_torchvision({**shapes, "more.weight": (3,)}) is None
    assert of_torchvision({**shapes, "classifier.1.bias": (3,)}) is None
    assert of_torchvision({**shapes, "classifier.1.bias": ()}) is None
    assert of_torchvision({key: sizes for key, sizes in shapes.items() if key != "features.0.bias"}) is None


def test_a_state_dict_is_found_in_any_wrapping(tmp_path: Path) -> None:
    network = torchvision.models.squeezenet1_1(num_classes=4)
    state = network.state_dict()
    save_file(state, tmp_path / "x.safetensors")
    parallel = nn.DataParallel(network).state_dict()
    files = {
        "torch file": saved(tmp_path / "x.pth", {"epoch": 1, "state_dict": state}),
        "safetensors": tmp_path / "x.safetensors",
    }
    for format_, path in files.items():
        found = inspect(path)
        assert (found.family, found.format) == ("torchvision/squeezenet1_1", format_)
        assert found.layers == {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert inspect(saved(tmp_path / "z.pth", parallel)).family == "torchvision/squeezenet1_1"
    whole = inspect(saved(tmp_path / "y.pth", network))
    assert (whole.family, whole.holds) == (
        "torchvision/squeezenet1_1",
        "torchvision.models.squeezenet.SqueezeNet",
    )


def old(folder: Path) -> Path:
    torch.save({"w": zeros(2)}, folder / "x.pkl", _use_new_zipfile_serialization=False, pickle_protocol=3)
    return folder / "x.pkl"


def written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def layers_alone(folder: Path) -> Path:
    return write_caffemodel(folder / "x.caffemodel", {"v": [zeros(2)]})


UNKNOWN: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "tensor": (lambda folder: write_t7(folder / "x.t7", zeros(2, 3)), "Torch7", "Tensor"),
    "module": (lambda folder: write_t7(folder / "x.t7", lua("nn.\x1b[2J")), "Torch7", "nn.?[2J"),
    "table": (lambda folder: write_t7(folder / "x", {"a": 1, "b": [2]}), "Torch7", "a table of a, b"),
    "list": (lambda folder: saved(folder / "x", [1, 2]), "torch file", "a list of 2"),
    "state": (lambda folder: saved(folder / "x", {"w": zeros(2)}), "torch file", "a table of w"),
    "older": (old, "torch file", "a table of w"),
    "pickle": (lambda folder: written(folder, "x", pickle.dumps(3, 4)), "pickle", "int"),
    "variable": (
        lambda folder: write_checkpoint(folder / "m", {"v": zeros(2)}),
        "TensorFlow checkpoint",
        "variables",
    ),
    "layers": (layers_alone, "caffemodel", "layers"),
    "json": (lambda folder: written(folder, "x.json", b'{"a": 1}'), "JSON text", "unknown"),
    "hdf5": (lambda folder: written(folder, "x.h5", b"\x89HDF\r\n\x1a\n"), "an HDF5 file", "unknown"),
    "text": (lambda folder: written(folder, "notes.txt", b"hello"), "unknown", "unknown"),
}


@pytest.mark.parametrize(("make", "format_", "holds"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_an_unknown_file_is_called_unknown(
    make: Callable[[Path], Path], format_: str, holds: str, tmp_path: Path
) -> None:
    found = inspect(make(tmp_path))
    assert (found.family, found.format, found.holds) == ("unknown", format_, holds)
    assert (found.vocabulary, found.sizes, found.missing) == (None, {}, ())


def test_real_files(shared_data: Path) -> None:
    found = inspect(shared_data / "squeezenet" / "squeezenet1_0_deepcomp_caffe_bgr.pth")
    assert (found.family, found.sizes) == ("torchvision/squeezenet1_0", {"classes": 1000})
    graph = inspect(shared_data / "torch7" / "gmodule_with_linear_identity.t7")
    assert (graph.family, graph.holds) == ("unknown", "nn.gModule")
    assert graph.layers == {"modules.3.bias": (2,), "modules.3.weight": (2, 1)}


@pytest.mark.parametrize(
    "name", ["x.t7", "x.pkl", "x.pth", "x.safetensors", "x.caffemodel", "x.pth.tar", "x.index"]
)
def test_a_damaged_file_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, name, b"\x00\x01\x02\x03")
    assert "is truncated or no" in checked_refusal(lambda: inspect(path))
    assert "no " in checked_refusal(lambda: inspect(tmp_path / f"none-{name}"))
    assert "is truncated: it is empty" in checked_refusal(lambda: inspect(written(tmp_path, name, b"")))


def test_references_without_end_are_told_in_bounded_time(tmp_path: Path) -> None:
    node: dict[object, object] = {"w": zeros(1)}
    node["self"] = node
    for at in range(100):
        node = {"a": node, "b": node, f"{at}": 1}
    found = inspect(write_t7(tmp_path / "x.t7", node))
    assert isinstance(found, Inspected)
    assert list(found.layers.values()) == [(1,)]
