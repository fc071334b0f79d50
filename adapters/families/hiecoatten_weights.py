"""The weights of HieCoAttenVQA's checkpoints: four flat vectors, taken apart for `hiecoatten`.

Torch lays weights out in an order of its own graph, not in that of the equations: of the alternating
attention the third step comes first. The sizes follow from the vectors' lengths.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vlx.adapters.files.torch7.fields import Field
from vlx.adapters.files.torch7.reader import read_t7
from vlx.adapters.nets.coattention import Variant
from vlx.adapters.parts.gates import TORCH7, in_order
from vlx.errors import CheckpointError

VECTORS = ("wparams", "pparams", "qparams", "aparams")
_MOST_STEPS = 1000
Shapes = list[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Sizes:
    """What the lengths of the vectors tell of a network."""

    variant: Variant
    hidden: int
    features: int
    layers: int
    last: int


@dataclass(frozen=True)
class Options:
    """What a checkpoint tells of its training; released ones may leave things out."""

    attention: str | None = None
    """``Alternating`` or ``Parallel``."""
    features: str | None = None
    """``VGG`` or ``Residual``."""
    steps: int = 26
    """Tokens of a question: shorter ones are padded, longer ones clipped."""


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], Options]:
    """The four vectors of a ``.t7``, and the options it was trained with."""
    table = Field(read_t7(path), f"{path} is no HieCoAttenVQA model")
    vectors = {name: table[name].tensor(1) for name in VECTORS}
    told = table["lmOpt"] if "lmOpt" in table else Field({}, table.file)
    steps = told["seq_length"].whole() if "seq_length" in told else Options.steps
    if not 0 < steps <= _MOST_STEPS:
        raise told["seq_length"].wrong(f"is {steps}, not from 1 to {_MOST_STEPS}")
    attention, features = (
        told[name].text() if name in told else None for name in ("atten_type", "feature_type")
    )
    return vectors, Options(attention, features, steps)


def attention_layout(variant: Variant, hidden: int) -> Shapes:
    """Names and shapes of one attention block, in the order of the file."""
    size, score = (hidden, hidden), (1, hidden)
    if variant == "Parallel":
        order = [
            ("affinity", size),
            ("places", size),
            ("words", size),
            ("word_score", score),
            ("place_score", score),
        ]
    else:
        order = [
            ("words", size), ("places", size), ("first", size), ("first_score", score),
            ("asked", size), ("place_score", score), ("seen", size), ("word_score", score),
        ]  # fmt: skip
    return [shape for name, weight in order for shape in _linear(name, *weight)]


def sizes_of(
    vectors: Mapping[str, Tensor], words: int, answers: int, stated: str | None, source: str
) -> Sizes:
    """The sizes of the network with these vectors, for so many words (padding included) and answers.

    The kind of attention that is stated is held against them. Raises CheckpointError where nothing fits.
    """
    lengths = {name: vector.numel() for name, vector in vectors.items()}
    for variant in get_args(Variant):
        hidden = _hidden(variant, lengths["pparams"])
        if hidden is None or stated not in (None, variant):
            continue
        attention = _count(attention_layout(variant, hidden))
        cell = 8 * hidden * (hidden + 1)
        layers, rest = divmod(lengths["qparams"] - attention, cell)
        features, over = divmod(lengths["wparams"] - attention - words * hidden - hidden, hidden)
        unknown = 3 * hidden * hidden + 2 * hidden + answers
        last, beyond = divmod(lengths["aparams"] - unknown, 2 * hidden + 1 + answers)
        if rest or layers < 1:
            raise CheckpointError(
                f"{source}: qparams of {lengths['qparams']} numbers hold no LSTM of {hidden} units"
            )
        if over or features < 1:
            raise CheckpointError(
                f"{source}: wparams of {lengths['wparams']} numbers do not hold {words - 1} words: give the "
                "vqa_data_prepro json that the model was trained with"
            )
        if beyond or last < 1:
            raise CheckpointError(
                f"{source}: aparams of {lengths['aparams']} numbers do not end in {answers} answers: give "
                "the vqa_data_prepro json that the model was trained with"
            )
        return Sizes(variant, hidden, features, layers, last)
    told = f" as {stated!r} attention" if stated else ""
    raise CheckpointError(f"{source}: pparams of {lengths['pparams']} numbers fit no HieCoAttenVQA{told}")


def named_weights(
    vectors: Mapping[str, Tensor], sizes: Sizes, words: int, answers: int
) -> dict[str, Float[Tensor, "..."]]:
    """The vectors' weights under the names of a `CoAttentionNetwork`, its CNN left out."""
    h = sizes.hidden
    attention = attention_layout(sizes.variant, h)
    gates = [
        shape
        for layer in range(sizes.layers)
        for kind in ("ih", "hh")
        for shape in ((f"weight_{kind}_l{layer}", (4 * h, h)), (f"bias_{kind}_l{layer}", (4 * h,)))
    ]
    # Linear maps over the words and channels that a kernel covers, word by word.
    grams = [
        shape
        for count, name in enumerate(("unigram", "bigram", "trigram"), 1)
        for shape in _linear(name, h, count * h)
    ]
    layouts: dict[str, Shapes] = {
        "wparams": [
            *_linear("image", h, sizes.features),
            ("words.weight", (words, h)),
            *_under("of_words", attention),
        ],
        "pparams": grams + _under("of_phrases", attention),
        "qparams": _under("lstm", gates) + _under("of_question", attention),
        "aparams": _linear("hidden_words", h, h)
        + _linear("hidden_phrases", h, 2 * h)
        + _linear("hidden_question", sizes.last, 2 * h)
        + _linear("answers", answers, sizes.last),
    }
    found = {
        name: value for key, layout in layouts.items() for name, value in _unpacked(vectors[key], layout)
    }
    for count, name in enumerate(("unigram", "bigram", "trigram"), 1):
        found[f"{name}.weight"] = found[f"{name}.weight"].unflatten(1, (count, h)).mT
    for name, _ in gates:
        found[f"lstm.{name}"] = in_order(found[f"lstm.{name}"], TORCH7)
    found["words.weight"] = torch.cat([torch.zeros(1, h), found["words.weight"][1:]])  # padding is nothing
    return found


def _linear(name: str, out: int, into: int) -> Shapes:
    return [(f"{name}.weight", (out, into)), (f"{name}.bias", (out,))]


def _under(name: str, layout: Shapes) -> Shapes:
    return [(f"{name}.{part}", shape) for part, shape in layout]


def _count(layout: Shapes) -> int:
    return sum(math.prod(shape) for _, shape in layout)


def _unpacked(vector: Float[Tensor, " number"], layout: Shapes) -> Iterator[tuple[str, Tensor]]:
    parts = vector.split([math.prod(shape) for _, shape in layout])
    for (name, shape), part in zip(layout, parts, strict=True):
        yield name, part.view(shape)


def _hidden(variant: Variant, length: int) -> int | None:
    """The hidden size whose convolutions and attention take so many numbers."""
    near = math.isqrt(length // (9 if variant == "Parallel" else 11)) if length > 0 else 0
    for hidden in range(max(near - 1, 1), near + 2):
        if 6 * hidden * hidden + 3 * hidden + _count(attention_layout(variant, hidden)) == length:
            return hidden
    return None
