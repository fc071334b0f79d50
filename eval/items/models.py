"""Models under evaluation: what a model does, its precision, and its copies with shuffled weights."""

import copy
import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from vlx.errors import VlxError

ModelType = Literal["captioner", "vqa", "classifier"]
"""What a model does."""

PRECISIONS = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, eq=False)
class Models:
    """A model, and copies of it that know nothing."""

    trained: Any
    shuffled: Any
    """The entries of every weight in random order: same values, nothing learned."""
    top_shuffled: Any = None
    """Only the last layer shuffled; where it is asked for."""

    @property
    def type(self) -> ModelType:
        """What the model does."""
        return type_of(self.trained)


def type_of(model: Any) -> ModelType:
    """What a model does, told by what it offers. Raises VlxError where it is none of the three."""
    offers: tuple[tuple[str, ModelType], ...] = (
        ("generate", "captioner"),
        ("answers", "vqa"),
        ("labels", "classifier"),
    )
    for name, model_type in offers:
        if hasattr(model, name):
            return model_type
    raise VlxError(
        f"{type(model).__name__} has neither generate (a captioner) nor answers (a VQA model) nor labels"
    )


def with_controls(model: Any, seed: int = 0) -> Models:
    """A model with its copies under shuffled weights; the model itself stays as it is."""
    return Models(model, shuffled(model, seed), shuffled(model, seed, top=True))


def shuffled(model: Any, seed: int = 0, *, top: bool = False) -> Any:
    """A copy of a model, the entries of each of its tensors in random order (Adebayo et al. 2018).

    With ``top`` only the last layer that has weights. The random order is drawn on the CPU, so it
    is the same on every device.
    """
    changed = copy.deepcopy(model)
    layers = [layer for network in networks(changed) for layer in network.modules() if _own(layer)]
    if not layers:
        raise VlxError("the model holds no weights in any of its attributes: there is nothing to shuffle")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in layers[-1:] if top else layers:
            for parameter in _own(layer):
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return changed


def networks(model: Any) -> list[nn.Module]:
    """The networks that a model holds in its attributes, or the model itself where it is one."""
    if isinstance(model, nn.Module):
        return [model]
    found = [value for value in vars(model).values() if isinstance(value, nn.Module)]
    inner = {id(part) for network in found for part in network.modules() if part is not network}
    return [network for network in found if id(network) not in inner]


def in_precision(model: Any, precision: str) -> Any:
    """The model with its weights in this precision. Raises VlxError naming the known ones."""
    if precision not in PRECISIONS:
        raise VlxError(f"no precision {precision!r}; known: {', '.join(PRECISIONS)}")
    for network in networks(model):
        if any(not weight.is_floating_point() or weight.is_meta for weight in network.parameters()):
            raise VlxError(
                f"weights of {type(network).__name__} are quantised or kept off its device: load it whole, "
                f"for {precision} and for the controls, which shuffle weights"
            )
        network.to(PRECISIONS[precision])
    return model


def weights_digest(model: Any) -> str:
    """A fingerprint of every weight and buffer of a model."""
    total = hashlib.sha256()
    for network in networks(model):
        for name, value in network.state_dict().items():
            if isinstance(value, torch.Tensor):
                total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
                total.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _own(layer: nn.Module) -> list[nn.Parameter]:
    return list(layer.parameters(recurse=False))
