"""The published models at small sizes: what their files hold, on random weights, as plain values.

Each function names its tensors as the model's own code does, in the order of gates of that code; tests
compute with them what the authors' equations say, and write them in the published layouts.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vlx.adapters.files.torch7.reader import Lua
from vlx.adapters.nets.caffe import VGG16, VGG19

WORDS = ("a", "dog", "cat", "on", "the", "grass", "red", "bike", "tshirt", "UNK")


def made(generator: torch.Generator, *shape: int, like: float = 1.0) -> Tensor:
    """Random numbers in single precision, of a size that keeps sums over a row near ``like``."""
    fan = 1
    for side in shape[1:]:
        fan *= side
    return like * torch.randn(shape, generator=generator) * (2.0 / fan if fan > 1 else 0.1) ** 0.5


def vgg_tensors(
    blocks: Sequence[int] = VGG16,
    *,
    channels: Sequence[int] = (3, 4, 4, 5, 5),
    fc: Sequence[int] = (9, 8),
    places: int = 2,
    seed: int = 0,
) -> dict[str, Tensor]:
    """VGG by Caffe's names; ``fc`` gives the sizes of fc6, fc7 and, if there is a third, fc8."""
    generator, found, before = torch.Generator().manual_seed(seed), dict[str, Tensor](), 3
    for block, (count, size) in enumerate(zip(blocks, channels, strict=True), 1):
        for at in range(1, count + 1):
            scale = 1 / 60 if block == at == 1 else 1.0  # pixels reach 150
            found[f"conv{block}_{at}.weight"] = made(generator, size, before, 3, 3, like=scale)
            found[f"conv{block}_{at}.bias"] = made(generator, size)
            before = size
    inputs = before * places * places
    for at, size in enumerate(fc, 6):
        found[f"fc{at}.weight"] = made(generator, size, inputs)
        found[f"fc{at}.bias"] = made(generator, size)
        inputs = size
    return found


def weights(tensors: dict[str, Tensor], layer: str, like: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer, in the precision of what they meet."""
    return tensors[f"{layer}.weight"].to(like), tensors[f"{layer}.bias"].to(like)


def vgg_features(tensors: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """What the last ReLU before pool5 gives: convolutions, ReLUs, and pools of 2 x 2, written out."""
    blocks = VGG19 if "conv5_4.weight" in tensors else VGG16
    for block, count in enumerate(blocks, 1):
        for at in range(1, count + 1):
            weight, bias = (
                tensors[f"conv{block}_{at}.{kind}"].to(pixels.dtype) for kind in ("weight", "bias")
            )
            pixels = F.conv2d(pixels, weight, bias, padding=1).clamp(min=0)
        if block < 5:
            pixels = F.max_pool2d(pixels, 2, ceil_mode=True)
    return pixels


def vgg_vector(tensors: dict[str, Tensor], features: Tensor) -> Tensor:
    """Rectified fc7 from the features, channels first."""
    vector = F.max_pool2d(features, 2, ceil_mode=True).flatten(1)
    for at in ("fc6", "fc7"):
        weight, bias = weights(tensors, at, vector)
        vector = (vector @ weight.T + bias).clamp(min=0)
    return vector


def neuraltalk2_tensors(
    *,
    words: Sequence[str] = WORDS,
    embedding: int = 5,
    hidden: int = 6,
    layers: int = 1,
    seed: int = 0,
    **vgg: Any,
) -> dict[str, Tensor]:
    """A captioner of neuraltalk2: VGG-16, embedding, LSTM (input, forget, output, candidate), words."""
    found, generator = vgg_tensors(seed=seed, **vgg), torch.Generator().manual_seed(seed + 1)
    found["embed.weight"] = made(generator, embedding, len(found["fc7.bias"]))
    found["embed.bias"] = made(generator, embedding)
    for layer in range(1, layers + 1):
        for way, inputs in (("i2h", embedding if layer == 1 else hidden), ("h2h", hidden)):
            found[f"{way}_{layer}.weight"] = made(generator, 4 * hidden, inputs, like=1.5)
            found[f"{way}_{layer}.bias"] = made(generator, 4 * hidden, like=2.0)
    found["decoder.weight"] = made(generator, len(words) + 1, hidden, like=4.0)
    found["decoder.bias"] = made(generator, len(words) + 1)
    found["lookup.weight"] = made(generator, len(words) + 1, embedding, like=2.0)
    return found


def neuraltalk2_value(
    tensors: dict[str, Tensor],
    *,
    words: Sequence[str] = WORDS,
    gpu: bool = True,
    rows: bool = False,
    names: bool = True,
    nodes: bool = True,
    steps: int = 16,
) -> dict[str, Any]:
    """What a checkpoint of neuraltalk2 holds.

    ``rows`` keeps kernels in rows, as SpatialConvolutionMM does; without ``names`` the graph's nodes bear
    none, without ``nodes`` there are modules alone.
    """
    opt = {
        "rnn_size": 512,
        "input_encoding_size": 512,
        "drop_prob_lm": 0.5,
        "id": "1",
        "finetune_cnn_after": 0,
    }
    lm = {
        "vocab_size": len(words),
        "input_encoding_size": tensors["embed.weight"].shape[0],
        "rnn_size": tensors["decoder.weight"].shape[1],
        "num_layers": sum(name.startswith("i2h") for name in tensors) // 2,
        "seq_length": steps,
        "core": _core(tensors, names, nodes),
        "lookup_table": Lua("nn.LookupTable", {"weight": tensors["lookup.weight"], "train": False}),
        "init_state": [torch.zeros(1, 6), torch.zeros(1, 6)],
        "num_state": 2,
        "_type": "torch.CudaTensor" if gpu else "torch.FloatTensor",
    }
    return {
        "opt": opt,
        "iter": 500_000,
        "loss_history": {0: 9.1, 25: 8.2, 50: 7.7},
        "val_loss_history": {2500: 2.4},
        "val_predictions": [{"image_id": 7, "caption": "a dog on the grass"}],
        "val_lang_stats_history": {2500: {"CIDEr": 0.66}},
        "protos": {"cnn": _cnn(tensors, gpu, rows), "lm": Lua("nn.LanguageModel", lm)},
        "vocab": {str(at): word for at, word in enumerate(words, 1)},
    }


def _cnn(tensors: dict[str, Tensor], gpu: bool, rows: bool) -> Lua:
    kind = "cudnn" if gpu else "nn"
    modules: list[Lua] = []
    for block, count in enumerate(VGG16, 1):
        for at in range(1, count + 1):
            weight = tensors[f"conv{block}_{at}.weight"]
            fields = {
                "nInputPlane": weight.shape[1], "nOutputPlane": weight.shape[0], "kW": 3, "kH": 3,
                "dW": 1, "dH": 1, "padW": 1, "padH": 1, "bias": tensors[f"conv{block}_{at}.bias"],
                "weight": weight.view(len(weight), -1) if rows else weight, "train": False,
            }  # fmt: skip
            modules.append(Lua(f"{kind}.SpatialConvolution{'MM' if rows else ''}", fields))
            modules.append(Lua(f"{kind}.ReLU", {"inplace": True, "train": False}))
        modules.append(
            Lua(f"{kind}.SpatialMaxPooling", {"kW": 2, "kH": 2, "dW": 2, "dH": 2, "ceil_mode": True})
        )
    modules.append(Lua("nn.View", {"numElements": -1, "numInputDims": 3}))
    for name in ("fc6", "fc7"):
        modules += [_linear(tensors, name), Lua(f"{kind}.ReLU", {"inplace": True})]
        modules.append(Lua("nn.Dropout", {"p": 0.5, "v2": True, "noise": torch.empty(0)}))
    modules += [_linear(tensors, "embed"), Lua(f"{kind}.ReLU", {"inplace": True})]
    return Lua("nn.Sequential", {"modules": modules, "train": False, "output": torch.empty(0)})


def _linear(tensors: dict[str, Tensor], name: str) -> Lua:
    fields = {"weight": tensors[f"{name}.weight"], "bias": tensors[f"{name}.bias"], "output": torch.empty(0)}
    return Lua("nn.Linear", {**fields, "train": False})


def _core(tensors: dict[str, Tensor], names: bool, nodes: bool) -> Lua:
    """The graph's nodes in the order in which Torch sorts them."""
    layers = sum(name.startswith("i2h") for name in tensors) // 2
    order: list[tuple[str, Lua | None]] = []
    for layer in range(1, layers + 1):
        order += [("", Lua("nn.Identity", {})), (f"i2h_{layer}", _linear(tensors, f"i2h_{layer}"))]
        order += [("", Lua("nn.Identity", {})), (f"h2h_{layer}", _linear(tensors, f"h2h_{layer}"))]
        order += [("", Lua(f"nn.{kind}", {})) for kind in ("CAddTable", "Reshape", "SplitTable")]
        order += [("", None)] * 4 + [("", Lua(f"nn.{kind}", {})) for kind in ("Sigmoid", "Tanh", "CMulTable")]
    order += [("drop_final", Lua("nn.Dropout", {"p": 0.5})), ("decoder", _linear(tensors, "decoder"))]
    order.append(("", Lua("nn.LogSoftMax", {})))
    modules = [module for _, module in order if module is not None]
    graph = [_node(at, name if names else "", module) for at, (name, module) in enumerate(order, 1)]
    fields = {"modules": modules, "nInputs": 1 + 2 * layers, "verbose": False}
    if nodes:
        fields |= {"forwardnodes": graph, "fg": Lua("graph.Graph", {"nodes": graph})}
    return Lua("nn.gModule", fields)


def _node(at: int, name: str, module: Lua | None) -> Lua:
    noted = {"_debugLabel": f"[misc/LSTM.lua]:{at}", **({"name": name} if name else {})}
    data = {
        "annotations": noted,
        "mapindex": {},
        "forwardNodeId": at,
        **({"module": module} if module else {}),
    }
    return Lua("nngraph.Node", {"id": at, "data": data, "children": {}, "visited": False, "marked": False})


def torch7_cell(
    tensors: dict[str, Tensor], layer: int, x: Tensor, c: Tensor, h: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of the LSTM of neuraltalk2 and VQA_LSTM_CNN: new c and h of one row."""
    size = len(h)
    sums = torch.zeros(4 * size, dtype=x.dtype)
    for way, value in ((f"i2h_{layer}", x), (f"h2h_{layer}", h)):
        weight, bias = weights(tensors, way, x)
        sums = sums + weight @ value + bias
    in_gate, forget_gate, out_gate = (torch.sigmoid(sums[at * size : (at + 1) * size]) for at in range(3))
    c = forget_gate * c + in_gate * torch.tanh(sums[3 * size :])
    return c, out_gate * torch.tanh(c)


ASKED = ("is", "what", "colour", "the", "a", "dog", "bike", "red", "?", "on", "UNK")
ANSWERS = ("yes", "no", "red", "blue", "two")


def vqa_tensors(
    *,
    words: int = len(ASKED),
    answers: int = len(ANSWERS),
    features: int = 8,
    embedding: int = 4,
    hidden: int = 3,
    joint: int = 7,
    seed: int = 0,
) -> dict[str, Tensor]:
    """VQA_LSTM_CNN in the order of its three vectors; what no layer uses is NaN."""
    generator = torch.Generator().manual_seed(seed)
    found = {"embed.weight": made(generator, embedding, words, like=3.0)}
    found["embed.bias"] = made(generator, embedding, like=3.0)
    for layer, inputs in ((1, embedding), (2, hidden)):
        for way, size in (("i2h", inputs), ("h2h", hidden)):
            found[f"{way}_{layer}.weight"] = made(generator, 4 * hidden, size, like=1.5)
            found[f"{way}_{layer}.bias"] = made(generator, 4 * hidden, like=2.0)
    found["unused.weight"] = torch.full((1, hidden), torch.nan)
    found["unused.bias"] = torch.full((1,), torch.nan)
    for name, out, size in (
        ("question", joint, 4 * hidden),
        ("image", joint, features),
        ("answers", answers, joint),
    ):
        found[f"{name}.weight"] = made(generator, out, size, like=2.0)
        found[f"{name}.bias"] = made(generator, out)
    return found


def vqa_value(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What ``lstm.t7`` holds."""

    def joined(*layers: str) -> Tensor:
        return torch.cat(
            [tensors[f"{layer}.{kind}"].flatten() for layer in layers for kind in ("weight", "bias")]
        )

    return {
        "embedding_w_q": joined("embed"),
        "encoder_w_q": joined("i2h_1", "h2h_1", "i2h_2", "h2h_2", "unused"),
        "multimodal_w": joined("question", "image", "answers"),
    }


def vqa_words(asked: Sequence[str] = ASKED, answers: Sequence[str] = ANSWERS) -> dict[str, Any]:
    """What ``data_prepro.json`` holds."""
    return {
        "ix_to_word": {str(at): word for at, word in enumerate(asked, 1)},
        "ix_to_ans": {str(at): answer for at, answer in enumerate(answers, 1)},
        "unique_img_train": ["train2014/COCO_train2014_000000000009.jpg"],
        "unique_img_test": [],
    }
