"""To which family of models a checkpoint belongs, by the names and sizes of what it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from vlx.adapters.files.pickle.reader import Standin
from vlx.adapters.files.shapes import Shapes
from vlx.adapters.files.torch7.reader import Lua


@dataclass(frozen=True)
class Need:
    """A file that a model needs beside its checkpoint: patterns of its name, and what it is for."""

    patterns: tuple[str, ...]
    what: str
    words: int | None = None
    """How many words it should hold, where both tell."""


@dataclass(frozen=True)
class Family:
    """What a checkpoint is, as far as it tells."""

    name: str
    vocabulary: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    needs: tuple[Need, ...] = ()


_VGG19 = Need(("VGG_ILSVRC_19_layers.caffemodel", "vgg19*.pth"), "VGG_ILSVRC_19_layers.caffemodel: its CNN")
_VOCABULARY = Need(("vocab*.pkl",), "vocab.pkl: its words")


def of_value(value: object) -> Family | None:
    """The family of a value of a Torch7 file or a pickle, which is not just named tensors."""
    if isinstance(value, Standin):
        return _vocabulary(value)
    if not isinstance(value, dict):
        return None
    for known in (_neuraltalk2, _vqa_lstm_cnn, _hiecoatten, _sgrvinod, _ruotianluo_infos):
        family = known(value)
        if family is not None:
            return family
    return None


def _whole(fields: Mapping[object, object], **names: str) -> dict[str, int]:
    """Those fields that are whole numbers, under other names."""
    found = {ours: fields.get(theirs) for ours, theirs in names.items()}
    return {name: value for name, value in found.items() if isinstance(value, int)}


def _text(fields: Mapping[object, object], name: str) -> str:
    found = fields.get(name)
    return found[:40] if isinstance(found, str) else ""


def _matrix(shapes: Shapes, name: str) -> tuple[int, int] | None:
    sizes = shapes.get(name, ())
    return (sizes[0], sizes[1]) if len(sizes) == 2 else None


def _neuraltalk2(value: Mapping[object, object]) -> Family | None:
    protos, words = value.get("protos"), value.get("vocab")
    if not isinstance(protos, dict) or not isinstance(words, dict) or not isinstance(protos.get("lm"), Lua):
        return None
    sizes = _whole(
        protos["lm"].fields,
        embedding="input_encoding_size",
        hidden="rnn_size",
        layers="num_layers",
        words="seq_length",
    )
    return Family("neuraltalk2", len(words), sizes)


def _lengths(value: Mapping[object, object], names: tuple[str, ...]) -> list[int] | None:
    """The lengths of vectors under some names, if all are there."""
    vectors = [value.get(name) for name in names]
    found = [len(one) for one in vectors if isinstance(one, torch.Tensor) and one.dim() == 1]
    return found if len(found) == len(names) else None


def _vqa_lstm_cnn(value: Mapping[object, object]) -> Family | None:
    lengths = _lengths(value, ("embedding_w_q", "encoder_w_q", "multimodal_w"))
    if lengths is None:
        return None
    published = lengths[1:] == [3_564_033, 7_318_504]
    words = (lengths[0] - 200) // 200 if published and lengths[0] % 200 == 0 else None
    sizes = (
        {"embedding": 200, "hidden": 512, "layers": 2, "joint": 1024, "answers": 1000} if published else {}
    )
    needs = (Need(("data_prepro.json",), "data_prepro.json: its words and answers", words), _VGG19)
    return Family("VQA_LSTM_CNN", words, sizes, needs)


def _hiecoatten(value: Mapping[object, object]) -> Family | None:
    options = value.get("lmOpt")
    if _lengths(value, ("wparams", "pparams", "qparams", "aparams")) is None or not isinstance(options, dict):
        return None
    sizes = _whole(options, hidden="hidden_size", layers="num_layers", words="seq_length")
    vocabulary = _whole(options, words="vocab_size").get("words")
    data = Need(("vqa_data_prepro*.json",), "vqa_data_prepro.json: its words and answers", vocabulary)
    eye = _VGG19
    if _text(options, "feature_type") == "Residual":
        eye = Need(("resnet-200.t7",), "resnet-200.t7: its CNN")
    kind = _text(options, "atten_type")
    name = f"HieCoAtten ({kind})" if kind else "HieCoAtten"
    return Family(name, vocabulary, sizes, (data, eye))


def _sgrvinod(value: Mapping[object, object]) -> Family | None:
    decoder = value.get("decoder")
    if not isinstance(value.get("encoder"), Standin) or not isinstance(decoder, Standin):
        return None
    if not decoder.class_name.endswith("DecoderWithAttention"):
        return None
    state = decoder.state if isinstance(decoder.state, dict) else {}
    names = {"embedding": "embed_dim", "hidden": "decoder_dim", "attention": "attention_dim"}
    vocabulary = _whole(state, words="vocab_size").get("words")
    words = Need(("WORDMAP*.json",), "WORDMAP_….json: its words", vocabulary)
    return Family("sgrvinod", vocabulary, _whole(state, **names), (words,))


def _ruotianluo_infos(value: Mapping[object, object]) -> Family | None:
    options, words = value.get("opt"), value.get("vocab")
    held = options.state if isinstance(options, Standin) else options
    if not isinstance(held, dict) or not isinstance(words, dict) or "caption_model" not in held:
        return None
    sizes = _whole(held, embedding="input_encoding_size", hidden="rnn_size", layers="num_layers")
    name = f"ruotianluo, options and words ({_text(held, 'caption_model')})"
    return Family(name, len(words), sizes, (Need(("model*.pth",), "model.pth: its weights"),))


def _vocabulary(value: Standin) -> Family | None:
    words = value.state.get("word2idx") if isinstance(value.state, dict) else None
    if not isinstance(words, dict):
        return None
    needs = (
        Need(("encoder*",), "encoder….pkl: its CNN"),
        Need(("decoder*",), "decoder….pkl: its language model"),
    )
    return Family("words of yunjey's or Udacity's captioner", len(words), {}, needs)


def of_tensors(shapes: Shapes) -> Family | None:
    """The family of named tensors: a state_dict, or the variables of TensorFlow."""
    for known in (_im2txt, _ruotianluo, _attention, _encoder, _decoder):
        family = known(shapes)
        if family is not None:
            return family
    return None


def _im2txt(shapes: Shapes) -> Family | None:
    words, output = _matrix(shapes, "seq_embedding/map"), _matrix(shapes, "logits/weights")
    if words is None or output is None or "image_embedding/weights" not in shapes:
        return None
    sizes = {"embedding": words[1], "hidden": output[0]}
    listed = Need(("word_counts*.txt",), "word_counts.txt: its words")
    return Family("im2txt", words[0], sizes, (listed,))


def _ruotianluo(shapes: Shapes) -> Family | None:
    kinds = {
        "show_tell": ("img_embed.weight", "core.weight_ih_l0"),
        "fc": ("img_embed.weight", "core.i2h.weight"),
        "newfc": ("fc_embed.weight", "_core.i2h.weight"),
    }
    for kind, names in kinds.items():
        words, output = _matrix(shapes, "embed.weight"), _matrix(shapes, "logit.weight")
        if words and output and all(name in shapes for name in names):
            sizes = {"embedding": words[1], "hidden": output[1]}
            infos = Need(("infos*.pkl",), "infos.pkl: its options and words")
            cnn = Need(("resnet*.pth",), "resnet101.pth: its CNN")
            return Family(f"ruotianluo ({kind})", words[0] - 1, sizes, (infos, cnn))
    return None


def _attention(shapes: Shapes) -> Family | None:
    words = _matrix(shapes, "embedding.weight")
    if words is None or "attention.encoder_att.weight" not in shapes:
        return None
    sizes = {"embedding": words[1]}
    return Family("sgrvinod, decoder alone", words[0], sizes, (Need(("WORDMAP*.json",), "WORDMAP_….json"),))


def _encoder(shapes: Shapes) -> Family | None:
    linear = _matrix(shapes, "linear.weight") or _matrix(shapes, "embed.weight")
    if linear is None or not any(name.startswith("resnet.") for name in shapes):
        return None
    name = "yunjey, encoder" if "linear.weight" in shapes else "Udacity, encoder"
    needs = (Need(("decoder*",), "decoder….pkl: its language model"), _VOCABULARY)
    return Family(name, None, {"features": linear[1], "embedding": linear[0]}, needs)


def _decoder(shapes: Shapes) -> Family | None:
    inputs = [sizes for name, sizes in shapes.items() if name.endswith("weight_ih_l0") and len(sizes) == 2]
    if len(inputs) != 1:
        return None
    hidden, embedding = inputs[0][0] // 4, inputs[0][1]
    tables = [sizes for name, sizes in shapes.items() if "weight_" not in name and sizes[1:] == (embedding,)]
    words = max((sizes[0] for sizes in tables), default=0)
    outputs = [name for name, sizes in shapes.items() if name.endswith("weight") and sizes[:1] == (words,)]
    if len(outputs) < 2:
        return None
    layers = sum("weight_ih_l" in name for name in shapes)
    own = {"embed.weight", "linear.weight", "linear.bias"} <= set(shapes)
    needs = (Need(("encoder*",), "encoder….pkl: its CNN"), _VOCABULARY)
    sizes = {"embedding": embedding, "hidden": hidden, "layers": layers}
    return Family("yunjey, decoder" if own else "Udacity, decoder (a student's)", words, sizes, needs)
