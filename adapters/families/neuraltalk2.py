"""neuraltalk2's published captioners: VGG-16 and an LSTM that reads the image first (Karpathy 2015).

A checkpoint holds everything: the CNN, the language model and its words, whether it was saved on a GPU
or converted for the CPU. Images are squashed to 256 pixels and cropped to 224, RGB, 0 to 255, less
VGG's mean. Captions are split at blanks, in lower case and without punctuation. The LSTM reads the
image, then START, then the words; START as an input and END as an output share the last index, and
what follows START is the first word. Explained by default is ``relu5_3``, as in the Grad-CAM paper.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from vlx.adapters.files.torch7.fields import Field
from vlx.adapters.files.torch7.reader import Lua, read_t7
from vlx.adapters.files.weights import fit_around_cnn, ready
from vlx.adapters.nets.caffe import VGG16, Weights, filled, vgg, vgg_side
from vlx.adapters.nets.recurrent import CaptionNetwork, caption_network
from vlx.adapters.parts.caffe_cnn import VGG_MEAN, squashed
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.checkpoint import Checkpoint, Contents, File, whole_numbers
from vlx.adapters.parts.gates import TORCH7, in_order
from vlx.adapters.parts.resampling import torch7_bytes
from vlx.adapters.parts.vocabulary import Vocabulary
from vlx.errors import VlxError
from vlx.images.preprocess import Preprocess, Squash
from vlx.passes.site import Layer

FILES = (File("model_id….t7", ("model_id*.t7",), "its CNN, language model and words"),)

_CNN = [
    *(name for count in VGG16 for name in (*("SpatialConvolution", "ReLU") * count, "SpatialMaxPooling")),
    *("View", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU"),
]
_SAME = {"SpatialConvolutionMM": "SpatialConvolution", "Reshape": "View"}  # of other versions of Torch


def load_neuraltalk2(
    path: str | Path,
    *,
    layer: Layer | None = None,
    device: str = "cpu",
    channels: str = "rgb",
) -> CNNLSTMCaptioner:
    """Load a checkpoint of neuraltalk2, ``model_id….t7``, saved on a GPU or converted for the CPU.

    ``channels="bgr"`` prepares images as the demo of the Grad-CAM paper does, blue first and squashed
    to 224 pixels without a crop; the published model was trained on ``"rgb"``. Captions are greedy
    unless a beam is asked for, as in that demo; neuraltalk2's own evaluation takes a beam of 2.

    Raises CheckpointError for a file that is damaged or no checkpoint of neuraltalk2.
    """
    if channels not in ("rgb", "bgr"):
        raise VlxError(f"no order of channels {channels!r}: use 'rgb', or 'bgr' for the paper's demo")
    checkpoint = Field(read_t7(path), f"{path} is no checkpoint of neuraltalk2")
    vision, image = _vision(checkpoint["protos"]["cnn"].of("Sequential"), str(path))
    lm = checkpoint["protos"]["lm"].of("LanguageModel")
    language = _language(lm)
    vocabulary = _vocabulary(checkpoint["vocab"], len(language["word_embedding.weight"]) - 1)
    side = vgg_side(vision, VGG16)
    cnn = filled(vgg(vision, VGG16), vision, side)
    network = _network(cnn, vision.shape("fc7", 2)[0], {**image, **language}, str(path))
    return CNNLSTMCaptioner(
        ready(network, device),
        vocabulary,
        _cropped(side) if channels == "rgb" else squashed(side, VGG_MEAN),
        layer="relu5_3" if layer is None else layer,
        steps=lm["seq_length"].whole(),
        name=f"neuraltalk2/{Path(path).stem}",
    )


def detect(held: Contents) -> Checkpoint | None:
    """A checkpoint as neuraltalk2 writes it."""
    protos, words = held.table.get("protos"), held.table.get("vocab")
    if not isinstance(protos, dict) or not isinstance(words, dict) or not isinstance(protos.get("lm"), Lua):
        return None
    sizes = whole_numbers(
        protos["lm"].fields,
        embedding="input_encoding_size",
        hidden="rnn_size",
        layers="num_layers",
        words="seq_length",
    )
    return Checkpoint("neuraltalk2", len(words), sizes)


def _vision(cnn: Field, source: str) -> tuple[Weights, dict[str, Tensor]]:
    """The weights of VGG-16 up to fc7, and those of the image's embedding."""
    modules = cnn["modules"].entries()
    classes = [_SAME.get(module.class_name, module.class_name) for module in modules]
    if classes != _CNN:
        at = next((at for at, pair in enumerate(zip(classes, _CNN, strict=False)) if len({*pair}) > 1), None)
        told = (
            f"{len(classes)} modules, not {len(_CNN)}" if at is None else f"a {classes[at]} for a {_CNN[at]}"
        )
        raise cnn.wrong(f"is no VGG-16 with an embedding: it has {told}")
    names = [f"conv{block}_{at}" for block, count in enumerate(VGG16, 1) for at in range(1, count + 1)]
    names += ["fc6", "fc7", "image_embedding.0"]
    found: dict[str, Tensor] = {}
    weighted = [
        module for module in modules if module.class_name.startswith(("SpatialConvolution", "Linear"))
    ]
    for name, module in zip(names, weighted, strict=True):
        found[f"{name}.weight"] = _kernels(module["weight"]) if "conv" in name else module["weight"].tensor(2)
        found[f"{name}.bias"] = module["bias"].tensor(1)
    image = {name: found.pop(name) for name in list(found) if name.startswith("image_embedding")}
    return Weights(found, source), image


def _kernels(weight: Field) -> Tensor:
    """The weights of a convolution; some versions of Torch keep each output's kernels in one row."""
    if isinstance(weight.value, Tensor) and weight.value.ndim == 4:
        return weight.tensor(4)
    flat = weight.tensor(2)
    if flat.shape[1] % 9:
        raise weight.wrong("holds no kernels of 3 x 3")
    return flat.unflatten(1, (-1, 3, 3))


def _language(lm: Field) -> dict[str, Tensor]:
    """The weights of the language model by the names of `CaptionNetwork`."""
    *gates, decoder = _linear(lm["core"].of("gModule"))
    found = {"word_embedding.weight": lm["lookup_table"].of("LookupTable")["weight"].tensor(2)}
    for at, module in enumerate(gates):
        way = "hh" if at % 2 else "ih"
        found[f"lstm.weight_{way}_l{at // 2}"] = in_order(module["weight"].tensor(2), TORCH7)
        found[f"lstm.bias_{way}_l{at // 2}"] = in_order(module["bias"].tensor(1), TORCH7)
    return {
        **found,
        "vocabulary.weight": decoder["weight"].tensor(2),
        "vocabulary.bias": decoder["bias"].tensor(1),
    }


def _linear(core: Field) -> list[Field]:
    """The linear modules of the graph: from input and from state for each layer, then the decoder.

    By the names that its nodes bear. Where they bear none, in the graph's own order, which is the same.
    """
    nodes = [node["data"] for node in core["forwardnodes"].entries()] if "forwardnodes" in core else []
    linear = [node for node in nodes if "module" in node and node["module"].class_name == "Linear"]
    named = {
        node["annotations"]["name"].text(): node["module"]
        for node in linear
        if "annotations" in node and "name" in node["annotations"]
    }
    if "decoder" in named:
        layers = sum(name.startswith("i2h_") for name in named)
        ways = [f"{way}_{at}" for at in range(1, layers + 1) for way in ("i2h", "h2h")]
        if sorted(named) == sorted([*ways, "decoder"]):
            return [named[name] for name in (*ways, "decoder")]
    found = [node["module"] for node in linear]
    if not found:
        found = [module for module in core["modules"].entries() if module.class_name == "Linear"]
    if len(found) < 3 or len(found) % 2 == 0:
        raise core.wrong(f"is no LSTM with a decoder: it has {len(found)} linear modules")
    return found


def _network(cnn: nn.Module, features: int, tensors: dict[str, Tensor], source: str) -> CaptionNetwork:
    words, embedding = tensors["word_embedding.weight"].shape
    with torch.device("meta"):
        network = caption_network(
            cnn,
            features,
            words,
            embedding=embedding,
            hidden=tensors["vocabulary.weight"].shape[1],
            start=words - 1,
            layers=sum(name.startswith("lstm.weight_ih") for name in tensors),
        )
    fit_around_cnn(network, tensors, source)
    return network


def _vocabulary(vocab: Field, size: int) -> Vocabulary:
    """Its words have the keys "1", "2", … as text; START and END are the number after the last."""
    words = [vocab[str(at)].text() for at in range(1, size + 1)]
    if str(size + 1) in vocab:
        raise vocab.wrong(f"holds more words than the {size} that the model has")
    unknown = words.index("UNK") if "UNK" in words else None
    return Vocabulary([*words, "END"], start=size, end=size, unknown=unknown)


def _cropped(side: int) -> Preprocess:
    """neuraltalk2's own preparation: a square of 32 pixels more, of which the window starts at 15."""
    red_first = (VGG_MEAN[2], VGG_MEAN[1], VGG_MEAN[0])
    return Preprocess(
        Squash((side + 32, side + 32)),
        (side, side),
        mean=red_first,
        std=(1.0, 1.0, 1.0),
        scale=255.0,
        resample=torch7_bytes,
        corner=(15, 15),
    )
