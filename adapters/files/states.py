"""Named tensors from whatever a PyTorch project saves: a state_dict, a module pickled whole, safetensors."""

from pathlib import Path

from torch import Tensor

from vlx.adapters.files.pickle.reader import read_torch, state_of
from vlx.adapters.files.weights import load_weights
from vlx.errors import CheckpointError


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a file; nothing in it is run.

    Raises CheckpointError for a file that is missing, damaged, hostile, or holds something else.
    """
    if Path(path).suffix == ".safetensors":
        return load_weights(path)
    return state_in(read_torch(path), str(path))


def state_in(value: object, source: str) -> dict[str, Tensor]:
    """The named tensors of what a file holds, or a part of it; ``source`` names it in errors."""
    try:
        return state_of(value)
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from None
