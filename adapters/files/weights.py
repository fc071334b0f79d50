"""Weight files, read as data: safetensors, or a torch file with tensors only."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vlx.adapters.files.pickle.reader import Standin, read_torch
from vlx.adapters.files.source import check_there, damaged
from vlx.errors import CheckpointError

Network = TypeVar("Network", bound=nn.Module)


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a ``.safetensors`` file or of a ``.pth`` / ``.pt`` state_dict.

    Nothing in a torch file is run (see `vlx.adapters.files.pickle.reader`). Raises CheckpointError for a file
    that is missing, truncated, hostile, a Git LFS pointer, a web page, or holds no named tensors.
    """
    file = check_there(path)
    return _safetensors(file) if file.suffix == ".safetensors" else _torch_file(file)


def fit_weights(network: nn.Module, state: Mapping[str, Tensor], source: str) -> nn.Module:
    """Load named tensors into a network, all of them and nothing else.

    A network that was built on the meta device takes the tensors themselves and copies nothing. Raises
    CheckpointError naming the first weights that are missing, unknown or of another shape.
    """
    own = network.state_dict()
    empty = any(tensor.is_meta for tensor in own.values())
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    shaped = [
        f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    wrong = (("missing", missing), ("unknown", unknown), ("of another shape", shaped))
    told = [f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in wrong if names]
    if told:
        told += _other_classes(own, state) if shaped and not missing and not unknown else []
        raise CheckpointError(f"{source} does not fit this {type(network).__name__}: " + "; ".join(told))
    # In the network's own mapping, which tells the versions of its layers that some of them ask for.
    own.update({name: state[name].to(own[name].dtype) for name in own})
    network.load_state_dict(own, assign=empty)
    return network


def _other_classes(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """What to say where all but the number of rows of one layer, which gives the classes or words, fits."""
    other = [name for name in own if state[name].shape != own[name].shape]
    layers = {name.rpartition(".")[0] for name in other}
    rows = {(len(state[name]), len(own[name])) for name in other if state[name].ndim and own[name].ndim}
    same = all(state[name].shape[1:] == own[name].shape[1:] for name in other)
    if len(layers) != 1 or len(rows) != 1 or not same:
        return []
    ((given, wanted),) = rows
    return [f"it is of {given} classes, the network of {wanted}"]


def fit_around_cnn(network: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load a network's tensors but for those of its ``cnn``, which has its own already."""
    own = {name: value for name, value in network.state_dict().items() if name.startswith("cnn.")}
    fit_weights(network, {**own, **weights}, source)


def ready(network: Network, device: str) -> Network:
    """The network on its device, in evaluation mode and frozen, with weights of convolutions channels last.

    Convolutions then give their outputs channels last in memory too, which is faster; what follows them
    must not rest on the order of axes in memory, as ``view`` does.
    """
    cast("Any", network).to(device, memory_format=torch.channels_last)  # torch's types leave the second out
    return network.eval().requires_grad_(False)


def save_weights(path: Path, network: nn.Module) -> None:
    """Write a network's tensors as half-precision safetensors."""
    save_tensors(path, network.state_dict())


def save_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write named tensors as half-precision safetensors."""
    save_file({name: tensor.detach().half().contiguous().cpu() for name, tensor in state.items()}, path)


def _safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(file, file.stat().st_size, "safetensors file", str(error)) from None


def _torch_file(file: Path) -> dict[str, Tensor]:
    found = read_torch(file)
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    parts = found.values() if isinstance(found, Mapping) else [found]
    for part in parts:
        if isinstance(part, Standin):
            raise CheckpointError(
                f"{file} holds more than tensors and was not loaded: an object of class "
                f"{part.class_name[:80]!a}; save model.state_dict()"
            )
    if not isinstance(found, Mapping) or not found:
        raise CheckpointError(f"{file} holds a {type(found).__name__}, not named tensors")
    tensors = {key: part for key, part in found.items() if isinstance(key, str) and isinstance(part, Tensor)}
    if len(tensors) != len(found):
        raise CheckpointError(f"{file} holds other things than named tensors: save model.state_dict()")
    return tensors
