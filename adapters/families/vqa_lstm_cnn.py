"""VQA_LSTM_CNN's published model: deeper LSTM Q + norm I (Lu et al. 2015), from its flat vectors.

Three files make it: ``lstm.t7`` with the weights, ``data_prepro.json`` with words and answers, and the
CNN, Caffe's VGG-19. Images are squashed to 224 pixels, BGR, 0 to 255, less VGG's mean; the CNN gives its
rectified fc7, which is brought to length 1. Questions are lower-cased Treebank tokens, "?" among them,
at most 26, unknown words read as ``UNK``; the LSTM reads the words alone, so no padding matters.
Explained by default is ``relu5_4`` of VGG-19, ``relu5_3`` of VGG-16 or ``relu5`` of AlexNet.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from vlx.adapters.files.source import read_json
from vlx.adapters.files.torch7.fields import Field
from vlx.adapters.files.torch7.reader import read_t7
from vlx.adapters.files.weights import fit_around_cnn, ready
from vlx.adapters.nets.question import QuestionNetwork
from vlx.adapters.parts.caffe_cnn import VGG19_FILE, load_vector_cnn
from vlx.adapters.parts.checkpoint import Checkpoint, Contents, File, Need
from vlx.adapters.parts.deeper_lstm import DeeperLSTM
from vlx.adapters.parts.gates import TORCH7, in_order
from vlx.adapters.parts.vocabulary import Vocabulary, treebank_tokens
from vlx.passes.site import Layer

LONGEST = 26
"""Words of a question that are read; it was trained on no more."""

TEXTS = File("data_prepro.json", ("data_prepro*.json",), "its words and answers")
FILES = (
    File("lstm….t7", ("*lstm*.t7",), "its weights"),
    TEXTS,
    replace(VGG19_FILE, patterns=("*.caffemodel", "*vgg*.pth", "*.safetensors")),
)

_PUBLISHED = [3_564_033, 7_318_504]  # numbers of the second and third vector
_VECTORS = ("embedding_w_q", "encoder_w_q", "multimodal_w")


def load_vqa_lstm_cnn(
    weights: str | Path,
    words: str | Path,
    vgg: str | Path,
    *,
    layer: Layer | None = None,
    device: str = "cpu",
) -> DeeperLSTM:
    """Load VQA_LSTM_CNN from its ``lstm.t7`` or ``lstm_cpu.t7``, its ``data_prepro.json`` and a CNN.

    ``vgg`` is Caffe's VGG-19 as a ``.caffemodel``, or the same weights under torchvision's names; its
    VGG-16 or AlexNet where the model was trained on that. Weights that torchvision trained itself fit
    too, but are another network than the answers were learned on.

    Raises CheckpointError for files that are damaged, of another model, or do not belong together.
    """
    asked, answers = _texts(words)
    cnn = load_vector_cnn(vgg)
    vectors = Field(read_t7(weights), f"{weights} is no model of VQA_LSTM_CNN")
    tensors = _tensors(vectors, len(asked), cnn.outputs, len(answers))
    count, embedding = tensors["word_embedding.weight"].shape
    with torch.device("meta"):
        network = QuestionNetwork(
            cnn.network, cnn.outputs, count, len(answers),
            embedding=embedding,
            hidden=tensors["lstm.weight_hh_l0"].shape[1],
            joint=len(tensors["question.bias"]),
        )  # fmt: skip
    fit_around_cnn(network, tensors, str(weights))
    unknown = asked.index("UNK") if "UNK" in asked else None
    return DeeperLSTM(
        ready(network, device),
        Vocabulary(asked, start=0, end=0, unknown=unknown, tokenise=treebank_tokens),
        answers,
        cnn.preprocess,
        layer=cnn.layer if layer is None else layer,
        longest=LONGEST,
        name=f"vqa_lstm_cnn/{Path(weights).stem}",
    )


def detect(held: Contents) -> Checkpoint | None:
    """The three vectors; those of the published lengths tell all sizes."""
    lengths = held.lengths(*_VECTORS)
    if lengths is None:
        return None
    words, sizes = None, dict[str, int]()
    if lengths[1:] == _PUBLISHED:
        words = (lengths[0] - 200) // 200 if lengths[0] % 200 == 0 else None
        sizes = {"embedding": 200, "hidden": 512, "layers": 2, "joint": 1024, "answers": 1000}
    return Checkpoint("VQA_LSTM_CNN", words, sizes, (Need(TEXTS, words), Need(VGG19_FILE)))


def _texts(path: str | Path) -> tuple[list[str], list[str]]:
    """The words of questions and the answers, in the order of their numbers from 1."""
    told = Field(read_json(path, "file of words"), f"{path} is no data_prepro.json")
    return _numbered(told["ix_to_word"]), _numbered(told["ix_to_ans"])


def _numbered(texts: Field) -> list[str]:
    count = len(texts.value) if isinstance(texts.value, dict) else 0
    return [texts[str(at)].text() for at in range(1, max(count, 1) + 1)]


def _tensors(vectors: Field, words: int, features: int, answers: int) -> dict[str, Tensor]:
    """The weights that the three vectors hold, by the names of `QuestionNetwork`.

    Their lengths and the numbers of words, features and answers tell all other sizes.
    """
    embed, encode, join = (vectors[name].tensor(1) for name in _VECTORS)
    embedding = len(embed) // (words + 1)
    half = (4 * embedding + 17) / 24
    hidden = round((half**2 + (len(encode) - 1) / 12) ** 0.5 - half)
    joint = (len(join) - answers) // (4 * hidden + features + answers + 2)
    gates = 4 * hidden
    matrix, bias = _cut(vectors[_VECTORS[0]], f"{words} words", [(embedding, words), (embedding,)])
    lstm = _cut(
        vectors[_VECTORS[1]], f"words embedded in {embedding} numbers",
        [(gates, embedding), (gates,), *[(gates, hidden), (gates,)] * 3, (1, hidden), (1,)],
    )  # fmt: skip
    last = _cut(
        vectors[_VECTORS[2]], f"{features} features, {answers} answers and an LSTM of {hidden}",
        [(joint, gates), (joint,), (joint, features), (joint,), (answers, joint), (answers,)],
    )  # fmt: skip
    kinds = ("weight", "bias")
    inside = [f"lstm.{kind}_{way}_l{at}" for at in (0, 1) for way in ("ih", "hh") for kind in kinds]
    after = [f"{layer}.{kind}" for layer in ("question", "image", "answers") for kind in kinds]
    return {
        "word_embedding.weight": matrix.T.contiguous(),
        "word_bias": bias,
        # the last two of these belong to a layer that was never used
        **{name: in_order(rows, TORCH7) for name, rows in zip(inside, lstm, strict=False)},
        **dict(zip(after, last, strict=True)),
    }


def _cut(vector: Field, given: str, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """The tensors that follow one another in a vector; raises CheckpointError unless they fill it."""
    flat, ends = vector.tensor(1), list(accumulate(map(prod, shapes), initial=0))
    if ends[-1] != len(flat) or min(map(prod, shapes)) < 1:
        raise vector.wrong(f"has {len(flat)} numbers, which do not fit {given}: are they of one model?")
    return [flat[first:last].view(shape) for (first, last), shape in zip(pairwise(ends), shapes, strict=True)]
