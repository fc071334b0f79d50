"""Captioners of sgrvinod's PyTorch tutorial: Show, Attend and Tell in one checkpoint and a word map.

The checkpoint holds whole pickled modules, which are read as data; nothing of them is run. Images are
squashed to 256 x 256 pixels; captions are split at blanks, in lower case and without punctuation.
``<start>`` is the first input, its output says the first word.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from vlx.adapters.files.pickle.reader import Standin, read_torch
from vlx.adapters.files.source import read_json
from vlx.adapters.files.states import state_in
from vlx.adapters.files.weights import fit_around_cnn, ready
from vlx.adapters.nets.attention import AttentionNetwork
from vlx.adapters.nets.resnet import channels_of, resnet_map
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.checkpoint import Checkpoint, Contents, File, Need, whole_numbers
from vlx.adapters.parts.search import shrinking_beam
from vlx.adapters.parts.vocabulary import Vocabulary
from vlx.errors import CheckpointError
from vlx.images.preprocess import Preprocess, Squash
from vlx.passes.site import Layer

PREPROCESS = Preprocess(Squash((256, 256)))
"""What ``caption.py`` does to an image."""

LAYER = "layer4"
"""The default layer: the ResNet's last feature map, 8 x 8; attention sees it resized to 14 x 14."""

WORDS = File("WORDMAP_….json", ("WORDMAP*.json",), "its words")
FILES = (File("BEST_checkpoint….pth.tar", ("*.pth.tar",), "its encoder and decoder"), WORDS)

BEAM, STEPS = 5, 51
"""What ``caption.py`` searches with by default, and when it gives up."""

_NAMES = {
    "attention.encoder_att": "of_places",
    "attention.decoder_att": "of_state",
    "attention.full_att": "score",
    "embedding": "word_embedding",
    "init_h": "first_hidden",
    "init_c": "first_cell",
    "f_beta": "gate",
    "fc": "vocabulary",
}
"""Layers of the decoder, and what they are called here."""

_CELL = {"ih": "enter", "hh": "recur"}  # decode_step.weight_ih is enter.weight


def load_sgrvinod(
    checkpoint: str | Path,
    word_map: str | Path,
    *,
    layer: Layer | None = None,
    device: str = "cpu",
    beam: int = BEAM,
) -> CNNLSTMCaptioner:
    """Load ``BEST_checkpoint….pth.tar`` and its ``WORDMAP….json``.

    Captions are searched with the authors' beam unless a width is given. By default `LAYER` is
    explained. Raises CheckpointError for files that are damaged, of another kind, or of another training.
    """
    found: Any = read_torch(checkpoint)
    parts = cast(Mapping[object, object], found) if isinstance(found, Mapping) else {}
    lacking = [name for name in ("encoder", "decoder") if name not in parts]
    if lacking:
        raise CheckpointError(
            f"{checkpoint} is no checkpoint of sgrvinod's tutorial: it holds no {lacking[0]}"
        )
    vocabulary = read_word_map(word_map)
    network = _network(parts["encoder"], parts["decoder"], vocabulary.start, str(checkpoint))
    words = network.word_embedding.num_embeddings
    if words != len(vocabulary.names):
        raise CheckpointError(
            f"{word_map} has {len(vocabulary.names)} words, but {checkpoint} {words}: "
            "they are not of one training"
        )
    ready(network, device)
    return CNNLSTMCaptioner(
        network,
        vocabulary,
        PREPROCESS,
        layer=LAYER if layer is None else layer,
        steps=STEPS,
        beam=beam,
        search=shrinking_beam,
        name=f"sgrvinod/{Path(checkpoint).name.removesuffix('.tar').removesuffix('.pth')}",
    )


def detect(held: Contents) -> Checkpoint | None:
    """A whole checkpoint, or the weights of a decoder alone."""
    decoder = held.table.get("decoder")
    if not isinstance(held.table.get("encoder"), Standin) or not isinstance(decoder, Standin):
        return _told_by_weights(held)
    if not decoder.class_name.endswith("DecoderWithAttention"):
        return None
    state = decoder.state if isinstance(decoder.state, dict) else {}
    sizes = whole_numbers(state, embedding="embed_dim", hidden="decoder_dim", attention="attention_dim")
    vocabulary = whole_numbers(state, words="vocab_size").get("words")
    return Checkpoint("sgrvinod", vocabulary, sizes, (Need(WORDS, vocabulary),))


def _told_by_weights(held: Contents) -> Checkpoint | None:
    words = held.matrix("embedding.weight")
    if words is None or "attention.encoder_att.weight" not in held.tensors:
        return None
    needs = (Need(replace(WORDS, use="")),)
    return Checkpoint("sgrvinod, decoder alone", words[0], {"embedding": words[1]}, needs)


def read_word_map(path: str | Path) -> Vocabulary:
    """The words of ``WORDMAP….json`` in the order of their numbers, ``<pad>`` first."""
    found = read_json(path, "word map")
    if not isinstance(found, Mapping) or not {"<start>", "<end>"} <= set(cast(Mapping[Any, Any], found)):
        raise CheckpointError(f"{path} is no word map: it numbers no <start> and <end>")
    numbers = cast(Mapping[str, Any], found)
    if set(map(repr, numbers.values())) != set(map(repr, range(len(numbers)))):
        raise CheckpointError(f"{path} does not number its {len(numbers)} words from 0 to {len(numbers) - 1}")
    names = tuple(sorted(numbers, key=lambda name: numbers[name]))
    return Vocabulary(names, numbers["<start>"], numbers["<end>"], numbers.get("<unk>"))


def _network(encoder: object, decoder: object, start: int, source: str) -> AttentionNetwork:
    cnn = resnet_map(
        {
            name.removeprefix("resnet."): value
            for name, value in state_in(encoder, f"{source}, encoder").items()
        },
        f"{source}, encoder",
    )
    features = channels_of(cnn)
    cnn.add_module("pool", nn.AdaptiveAvgPool2d(_side(encoder)))
    weights = _named(state_in(decoder, f"{source}, decoder"), f"{source}, decoder")
    words, embedding = weights["word_embedding.weight"].shape
    attention, hidden = weights["of_state.weight"].shape
    attended = weights["of_places.weight"].shape[1]
    if attended != features:
        raise CheckpointError(
            f"{source}: the decoder attends to {attended} channels, but the encoder gives {features}: "
            "they are not of one training"
        )
    with torch.device("meta"):
        network = AttentionNetwork(
            cnn, features, words, embedding=embedding, hidden=hidden, attention=attention, start=start
        )
    fit_around_cnn(network, weights, f"{source}, decoder")
    return network


def _side(encoder: object) -> int:
    """Rows and columns of the map that is attended: 14 unless the pickled encoder says another number."""
    state: Any = encoder.state if isinstance(encoder, Standin) else None
    side = cast(Mapping[str, Any], state).get("enc_image_size") if isinstance(state, Mapping) else None
    return side if isinstance(side, int) and 0 < side <= 256 else 14


def _named(weights: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The decoder's weights under the names of `AttentionNetwork`."""
    for name in ("embedding.weight", "attention.encoder_att.weight", "attention.decoder_att.weight"):
        if name not in weights or weights[name].ndim != 2:
            raise CheckpointError(f"{source} is no DecoderWithAttention: it has no {name}")
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        layer, _, leaf = name.rpartition(".")
        kind, _, way = leaf.partition("_")
        if layer == "decode_step" and way in _CELL:
            found[f"{_CELL[way]}.{kind}"] = value
        else:
            found[f"{_NAMES.get(layer, layer)}.{leaf}"] = value
    return found
