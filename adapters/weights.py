"""Weight files, read as data: safetensors, or a torch file with tensors only."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vlx.errors import CheckpointError

_LFS = b"version https://git-lfs"


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a ``.safetensors`` file or of a ``.pth`` / ``.pt`` state_dict.

    Torch files are read with ``weights_only``: nothing in them is run. Raises CheckpointError for
    a file that is missing, truncated, hostile, a Git LFS pointer, or holds no named tensors.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"no weight file {file}")
    with file.open("rb") as opened:
        head = opened.read(len(_LFS))
    if head == _LFS:
        raise CheckpointError(f"{file} is a Git LFS pointer, not the weights: run git lfs pull")
    if file.suffix == ".safetensors":
        return _safetensors(file)
    return _torch_file(file)


def fit_weights(network: nn.Module, state: Mapping[str, Tensor], source: str) -> nn.Module:
    """Load named tensors into a network, all of them and nothing else.

    Raises CheckpointError naming the first weights that are missing, unknown or of another shape.
    """
    own = network.state_dict()
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
        raise CheckpointError(f"{source} does not fit this {type(network).__name__}: " + "; ".join(told))
    # In the network's own mapping, which tells the versions of its layers that some of them ask for.
    own.update({name: state[name].to(own[name].dtype) for name in own})
    network.load_state_dict(own)
    return network


def save_weights(path: Path, network: nn.Module) -> None:
    """Write a network's tensors as half-precision safetensors."""
    state = {name: tensor.detach().half().contiguous().cpu() for name, tensor in network.state_dict().items()}
    save_file(state, path)


def _safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file} is truncated or no safetensors file: {error}") from None


def _need_plain_zip(file: Path) -> None:
    """Refuse compressed entries, which torch never writes and which can unfold to any size."""
    try:
        with zipfile.ZipFile(file) as archive:
            packed = [entry.filename for entry in archive.infolist() if entry.compress_type]
    except zipfile.BadZipFile:
        return  # of torch's older format, or damaged, which the reader tells
    if packed:
        raise CheckpointError(f"{file} holds compressed entries ({packed[0]!a}): torch.save writes none")


def _torch_file(file: Path) -> dict[str, Tensor]:
    _need_plain_zip(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd pickle protocols; what cannot be read is told below
            found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{file} holds more than tensors and was not loaded: {reason}") from None
    except Exception as error:  # a damaged pickle makes the reader fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{file} is truncated or no torch file: {reason}") from None
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = cast(Mapping[str, Any], found)["state_dict"]
    if not isinstance(found, Mapping) or not found:
        raise CheckpointError(f"{file} holds a {type(found).__name__}, not named tensors")
    tensors = cast(Mapping[Any, Any], found)
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in tensors.items()):
        raise CheckpointError(f"{file} holds other things than named tensors: save model.state_dict()")
    return {str(key): cast(Tensor, value) for key, value in tensors.items()}
