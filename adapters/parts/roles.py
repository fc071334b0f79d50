"""Find the parts of a hand-written encoder or decoder by role and shape: everyone names layers differently.

The order of a state_dict is the order in which its layers were made; layers that follow one another
are taken in that order, and each must fit the size that the one before gives.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from vlx.adapters.files.weights import fit_weights
from vlx.adapters.nets.resnet import averaged, channels_of, resnet_map
from vlx.errors import CheckpointError

Layers = Mapping[str, Mapping[str, Tensor]]
"""For each layer's name its tensors, in the order of the file."""

_STAGES = {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "0", "1", "4", "5", "6", "7"}


@dataclass(frozen=True, eq=False)
class Encoder:
    """A ResNet that gives one vector, and the linear layers that embed it."""

    cnn: nn.Sequential
    embedding: nn.Sequential
    size: int
    """Of the embedded image."""


@dataclass(frozen=True, eq=False)
class Decoder:
    """Word embedding, LSTM and output layers."""

    word_embedding: nn.Embedding
    lstm: nn.LSTM
    vocabulary: nn.Module


def encoder_of(state: Mapping[str, Tensor], source: str) -> Encoder:
    """Find the ResNet of an encoder, and the linear layers and batch normalisations that follow it.

    Raises CheckpointError if there is no ResNet, or if other layers do not follow from it.
    """
    stems = [name for name, value in state.items() if value.ndim == 4 and value.shape[1:] == (3, 7, 7)]
    prefix = re.sub(r"(0|conv1)\.weight$", "", stems[0]) if stems else ""
    if not stems or prefix == stems[0]:
        raise CheckpointError(f"{source} holds no ResNet: {_told(state)}")
    inside = {name: value for name, value in state.items() if _in_resnet(name, prefix)}
    resnet = resnet_map({name.removeprefix(prefix): value for name, value in inside.items()}, source)
    after = {name: value for name, value in state.items() if name not in inside}
    embedding, size = _chain(_layers(after), channels_of(resnet), source)
    return Encoder(averaged(resnet), nn.Sequential(*embedding), size)


def decoder_of(
    state: Mapping[str, Tensor], source: str, between: Callable[[], nn.Module] | None = None
) -> Decoder:
    """Find word embedding, LSTM and output layers of a decoder.

    ``between`` makes what stands between several output layers, such as ``nn.ReLU`` or
    ``nn.Identity``: no file tells it. Raises CheckpointError if a layer has no role or does not fit.
    """
    layers = dict(_layers(state))
    recurrent = [name for name, tensors in layers.items() if any("weight_ih" in key for key in tensors)]
    if len(recurrent) != 1:
        raise CheckpointError(
            f"{source} holds {len(recurrent)} recurrent layers, not one LSTM: {_told(state)}"
        )
    lstm = _lstm(layers.pop(recurrent[0]), source)
    tables = [name for name, tensors in layers.items() if _is_table(tensors, lstm.input_size)]
    if len(tables) != 1:
        raise CheckpointError(
            f"{source} holds {len(tables)} word embeddings of size {lstm.input_size}, as its LSTM reads, "
            f"not one: {_told(state)}"
        )
    words = layers.pop(tables[0])["weight"]
    head, size = _chain(layers, lstm.hidden_size, source)
    if size != len(words) or not all(isinstance(layer, nn.Linear) for layer in head):
        raise CheckpointError(
            f"{source} embeds {len(words)} words, but its output layers do not end in {len(words)} scores: "
            + _told(state)
        )
    with torch.device("meta"):
        embedding = nn.Embedding(size, lstm.input_size)
    fit_weights(embedding, {"weight": words}, source)
    return Decoder(embedding, lstm, _joined(head, between, source))


def _in_resnet(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name.removeprefix(prefix).split(".")[0] in _STAGES


def _layers(state: Mapping[str, Tensor]) -> Layers:
    found: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        layer, _, leaf = name.rpartition(".")
        found.setdefault(layer, {})[leaf] = value
    return found


def _is_table(tensors: Mapping[str, Tensor], size: int) -> bool:
    return set(tensors) == {"weight"} and tensors["weight"].ndim == 2 and tensors["weight"].shape[1] == size


def _lstm(tensors: Mapping[str, Tensor], source: str) -> nn.LSTM:
    """An LSTM of any number of layers; a single cell is an LSTM of one."""
    named = {re.sub(r"_([ih]h)$", r"_\1_l0", name): value for name, value in tensors.items()}
    recurrent, entering = named.get("weight_hh_l0"), named.get("weight_ih_l0")
    if recurrent is None or entering is None or recurrent.ndim != 2 or entering.ndim != 2:
        raise CheckpointError(f"{source} holds no LSTM: {_told(tensors)}")
    gates, hidden = recurrent.shape
    if gates != 4 * hidden:
        kind = "a GRU" if gates == 3 * hidden else "no LSTM"
        raise CheckpointError(
            f"{source} holds {kind} ({gates} gate rows for {hidden} units); only LSTMs are read"
        )
    depth = sum(bool(re.fullmatch(r"weight_ih_l\d+", name)) for name in named)
    with torch.device("meta"):
        lstm = nn.LSTM(entering.shape[1], hidden, depth, bias="bias_ih_l0" in named, batch_first=True)
    fit_weights(lstm, named, source)
    return lstm


def _chain(layers: Layers, size: int, source: str) -> tuple[list[nn.Module], int]:
    """The layers one after the other, from vectors of ``size``; and the size of what comes out."""
    found: list[nn.Module] = []
    for name, tensors in layers.items():
        weights = dict(tensors)
        if "running_mean" in weights:
            entering = leaving = weights["running_mean"].numel()
            make = partial(nn.BatchNorm1d, entering, affine="weight" in weights)
            weights.setdefault("num_batches_tracked", torch.tensor(0))
        elif "weight" in weights and weights["weight"].ndim == 2:
            leaving, entering = weights["weight"].shape
            make = partial(nn.Linear, entering, leaving, bias="bias" in weights)
        else:
            raise CheckpointError(f"{source} holds a layer {name!r} without a known role: {_told(tensors)}")
        if entering != size:
            raise CheckpointError(f"{source}: layer {name!r} takes {entering} numbers, but {size} come to it")
        with torch.device("meta"):
            layer = make()
        fit_weights(layer, weights, f"{source}, {name}")
        found.append(layer)
        size = leaving
    return found, size


def _joined(head: list[nn.Module], between: Callable[[], nn.Module] | None, source: str) -> nn.Module:
    if len(head) == 1:
        return head[0]
    if between is None:
        raise CheckpointError(
            f"{source} holds {len(head)} output layers and does not tell what stands between them: "
            "give between=nn.ReLU, or nn.Identity for nothing"
        )
    parts = [part for layer in head for part in (layer, between())]
    return nn.Sequential(*parts[:-1])


def _told(state: Mapping[str, Tensor]) -> str:
    """A few names and shapes, for an error."""
    shown = [f"{name} {'×'.join(map(str, value.shape))}" for name, value in list(state.items())[:4]]
    return ", ".join(shown) + (", …" if len(state) > 4 else "")
