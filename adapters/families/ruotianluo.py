"""Captioners of ImageCaptioning.pytorch that see an image as one vector: show_tell, fc and newfc.

Trained on averaged features of a ResNet-101 converted from Caffe, which is a file of its own
(``resnet101.pth``). Images are not resized. Captions are split at blanks, in lower case and without
punctuation. The image is the first input, token 0 the second; its output says the first word, and
token 0 as an output ends the caption.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from vlx.adapters.files.pickle.reader import Standin, read_pickle
from vlx.adapters.files.states import read_state
from vlx.adapters.files.weights import fit_around_cnn, ready
from vlx.adapters.nets.recurrent import CaptionNetwork, MaxOutLSTM
from vlx.adapters.nets.resnet import TELLING, averaged, channels_of, resnet_map
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.checkpoint import Checkpoint, Contents, File, Need, short_text, whole_numbers
from vlx.adapters.parts.search import refilled_beam
from vlx.adapters.parts.vocabulary import Vocabulary
from vlx.errors import CheckpointError
from vlx.images.preprocess import AsIs, Preprocess
from vlx.passes.site import Layer

PREPROCESS = Preprocess(AsIs())
"""What the authors do to an image: its own size, 0 to 1, ImageNet's mean and deviation."""

LAYER = "layer4"
"""The default layer: the ResNet's last feature map, one place for 32 x 32 pixels."""

MODEL = File("model.pth", ("model*.pth",), "its weights")
INFOS = File("infos.pkl", ("infos*.pkl",), "its options and words")
RESNET = File("resnet101.pth", ("resnet*.pth",), "its CNN")
FILES = (MODEL, INFOS, RESNET)

KINDS = {
    "show_tell": ("img_embed.weight", "core.weight_ih_l0"),
    "fc": ("img_embed.weight", "core.i2h.weight"),
    "newfc": ("fc_embed.weight", "_core.i2h.weight"),
}
"""The models that are read, each with two weights that tell it from the others."""

_TELLING = ("embed.weight", "logit.weight")  # in each of them

_NAMES = {
    "img_embed": "image_embedding",
    "fc_embed": "image_embedding",
    "embed": "word_embedding",
    "core": "lstm",
    "_core": "lstm",
    "logit": "vocabulary",
}
"""Parts of the published models, and what they are called here."""


def load_ruotianluo(
    model: str | Path,
    infos: str | Path,
    cnn: str | Path,
    *,
    layer: Layer | None = None,
    device: str = "cpu",
    caffe: bool | None = None,
    preprocess: Preprocess = PREPROCESS,
) -> CNNLSTMCaptioner:
    """Load ``model….pth`` and ``infos….pkl``, and the ResNet whose features the model was trained on.

    That ResNet is one converted from Caffe. Torchvision's is another network, and its weights give
    wrong features here, so a file that looks like torchvision's is refused unless ``caffe`` says what it
    is. Captions are greedy unless a beam is asked for; the authors' beam never says UNK. By default
    `LAYER` is explained; images of several sizes can be read one by one only, or with a ``preprocess``
    that resizes. Raises CheckpointError for files that are damaged, of another kind, or of another
    training.
    """
    options, words = _infos(infos)
    state = _renamed(read_state(model, _TELLING), str(model))
    eye = _resnet(cnn, caffe)
    rows, features = len(state["vocabulary.weight"]), state["image_embedding.weight"].shape[1]
    if features != channels_of(eye):
        raise CheckpointError(
            f"{model} sees vectors of {features} numbers, but {cnn} gives {channels_of(eye)}: "
            "give the ResNet of its training"
        )
    vocabulary = _vocabulary(options, words, rows, f"{infos} does not go with {model}")
    network = _network(state, averaged(eye), vocabulary.start, str(model))
    ready(network, device)
    return CNNLSTMCaptioner(
        network,
        vocabulary,
        preprocess,
        layer=LAYER if layer is None else layer,
        steps=_steps(options),
        search=partial(refilled_beam, never=vocabulary.unknown),
        name=f"ruotianluo/{Path(model).stem}",
    )


def detect(held: Contents) -> Checkpoint | None:
    """The file of options and words, or that of weights."""
    return _told_by_options(held) or _told_by_weights(held)


def _told_by_options(held: Contents) -> Checkpoint | None:
    given, words = held.table.get("opt"), held.table.get("vocab")
    options = given.state if isinstance(given, Standin) else given
    if not isinstance(options, dict) or not isinstance(words, dict) or "caption_model" not in options:
        return None
    sizes = whole_numbers(options, embedding="input_encoding_size", hidden="rnn_size", layers="num_layers")
    name = f"ruotianluo, options and words ({short_text(options, 'caption_model')})"
    return Checkpoint(name, len(words), sizes, (Need(MODEL),))


def _told_by_weights(held: Contents) -> Checkpoint | None:
    words, output = held.matrix("embed.weight"), held.matrix("logit.weight")
    kind = next((kind for kind, names in KINDS.items() if all(name in held.tensors for name in names)), None)
    if kind is None or words is None or output is None:
        return None
    sizes = {"embedding": words[1], "hidden": output[1]}
    return Checkpoint(f"ruotianluo ({kind})", words[0] - 1, sizes, (Need(INFOS), Need(RESNET)))


def _infos(path: str | Path) -> tuple[Mapping[str, object], Mapping[object, object]]:
    """The options of training, and the words by their numbers, which are text."""
    found: Any = read_pickle(path)
    facts = cast(Mapping[object, object], found) if isinstance(found, Mapping) else {}
    given = facts.get("opt")
    options: Any = given.state if isinstance(given, Standin) else given
    words = facts.get("vocab")
    if not isinstance(options, Mapping) or not isinstance(words, Mapping):
        raise CheckpointError(
            f"{path} is no infos file of ImageCaptioning.pytorch: it holds no opt and vocab"
        )
    kind = cast(Mapping[str, object], options).get("caption_model")
    if kind is not None and not (isinstance(kind, str) and kind in KINDS):
        raise CheckpointError(f"{path} is of a {kind!r:.80} model: {', '.join(KINDS)} are read")
    return cast(Mapping[str, object], options), cast(Mapping[object, object], words)


def _renamed(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        found[f"{_NAMES.get(part, part)}.{rest}"] = value
    needed = {"image_embedding.weight", "word_embedding.weight", "vocabulary.weight"}
    matrices = {name for name, value in found.items() if value.ndim == 2}
    if not (needed <= matrices and matrices & {"lstm.i2h.weight", "lstm.weight_ih_l0"}):
        raise CheckpointError(
            f"{source} is no show_tell, fc or newfc model: it holds {', '.join(list(state)[:4])}"
        )
    return found


def _network(state: Mapping[str, Tensor], cnn: nn.Module, start: int, source: str) -> CaptionNetwork:
    words, hidden = state["vocabulary.weight"].shape
    embedding, features = state["image_embedding.weight"].shape
    layers = sum(name.startswith("lstm.weight_ih") for name in state)
    with torch.device("meta"):
        network = CaptionNetwork(
            cnn,
            nn.Linear(features, embedding),
            nn.Embedding(words, embedding),
            nn.LSTM(embedding, hidden, layers, bias=False, batch_first=True)
            if layers
            else MaxOutLSTM(embedding, hidden),
            nn.Linear(hidden, words),
            start=start,
        )
    fit_around_cnn(network, state, source)
    return network


def _resnet(path: str | Path, caffe: bool | None) -> nn.Sequential:
    state = read_state(path, TELLING)
    if caffe is None and any(name.endswith("num_batches_tracked") for name in state):
        raise CheckpointError(
            f"{path} looks like torchvision's own ResNet, not the one converted from Caffe: "
            "give caffe=True or caffe=False to say which it is"
        )
    return resnet_map(state, str(path), caffe=caffe is not False)


def _vocabulary(
    options: Mapping[str, object], words: Mapping[object, object], rows: int, wrong: str
) -> Vocabulary:
    """A name for each of the model's rows; row 0, or those that the options name, are START and END."""
    start, end, padding = (_number(options, f"{key}_idx", 0) for key in ("bos", "eos", "pad"))
    special = {padding: "PAD", start: "START", end: "END"}
    names = [words.get(str(row), words.get(row, special.get(row))) for row in range(rows)]
    numbers = {str(row) for row in range(rows)}
    if not {str(row) for row in (*words, *special)} <= numbers or not all(isinstance(n, str) for n in names):
        raise CheckpointError(f"{wrong}: it names {len(words)} words, the model has {rows - 1}")
    texts = cast(list[str], names)
    return Vocabulary(texts, start, end, texts.index("UNK") if "UNK" in texts else None)


def _steps(options: Mapping[str, object]) -> int:
    """Words at most: those of training, or 20 with newfc."""
    return 20 if options.get("caption_model") == "newfc" else _number(options, "seq_length", 16) or 16


def _number(options: Mapping[str, object], name: str, default: int) -> int:
    value = options.get(name)
    return value if isinstance(value, int) and 0 <= value < 1_000_000 else default
