"""Whether words of a model can be explained within some memory, said before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from vlx.adapters.huggingface.blueprint import Asked, shape_of
from vlx.adapters.huggingface.families import vision_encoder
from vlx.adapters.huggingface.footprint import SIZES, Attention, Shape, fitting
from vlx.errors import CheckpointError, LayerError, VlxError, near_names
from vlx.methods.gradients import together

RESERVE = 1 << 29
"""Bytes that a GPU's own context and its libraries' kernels take; not part of what is measured on a CPU."""


@dataclass(frozen=True)
class Plan:
    """What an explanation takes in one precision.

    >>> import transformers
    >>> from vlx.adapters.huggingface.blueprint import Asked
    >>> plan = plan_of(transformers.ViTConfig(architectures=["ViTForImageClassification"]), Asked(words=2))
    >>> plan.parameters, plan.at_once
    (85800194, 2)
    """

    parameters: int
    """Numbers in the weights; those that are tied count once."""
    weights: int
    """Bytes of them, and of buffers."""
    shape: Shape
    asked: Asked
    precision: str
    attention: Attention
    at_once: int
    """Words that go back together: as many as vlx takes and as fit; 1 where not even one does."""
    usual: int
    """Words that vlx takes together by default: where it is more than fit, give it ``chunk``."""

    @cached_property
    def parts(self) -> Mapping[str, int]:
        """Bytes by what they are for."""
        size = SIZES[self.precision]
        return {
            "weights": self.weights,
            **self.shape.parts(self.asked.words, self.at_once, size, self.attention),
        }

    @property
    def total(self) -> int:
        """Bytes of all parts at the peak."""
        return sum(self.parts.values())

    @property
    def above_weights(self) -> int:
        """Bytes at the peak, the weights aside."""
        return self.total - self.weights


def plan_of(
    config: Any,
    asked: Asked,
    precision: str = "bfloat16",
    attention: Attention = "sdpa",
    memory: int | None = None,
    layer: str | None = None,
) -> Plan:
    """Plan an explanation by the config of a model; without ``memory`` as many words go
    back together as vlx takes.

    The model is built without values, to count its parameters and to know its layers. ``layer`` is one of the
    vision encoder, by default the one that vlx explains. Raises VlxError for a model that cannot be planned,
    and LayerError for a layer that is none of these.
    """
    shape = shape_of(config, asked)
    model = built_without_values(config)
    parameters = sum(one.numel() for one in model.parameters())  # tied ones come once
    if layer is not None:
        shape = shape.at_depth(_blocks_above(model, layer))
    buffers = sum(one.numel() * one.element_size() for one in model.buffers())
    weights = parameters * SIZES[precision] + buffers
    usual = at_once = min(asked.words, together(shape.largest * SIZES[precision]))
    if memory is not None:
        at_once = fitting(shape, weights, asked.words, memory, SIZES[precision], attention)
    at_once = max(1, min(at_once, usual))
    return Plan(parameters, weights, shape, asked, precision, attention, at_once, usual)


def built_without_values(config: Any) -> nn.Module:
    """A model of a config, with weights that have a shape and no values.

    Raises VlxError where its class is not known, and for quantised weights.
    """
    if getattr(config, "quantization_config", None) is not None:
        raise VlxError("no plan for quantised weights: name the model that they were made of")
    kind = _class_of(config)
    with torch.device("meta"):
        return kind(config=config) if config.model_type == "vision-encoder-decoder" else kind(config)


def _blocks_above(model: nn.Module, layer: str) -> int:
    """How many blocks of the vision encoder lie above a layer, which is a block or inside of one."""
    names = [name for name, _ in model.named_modules()]
    blocks = [name for name in names if name.rpartition(".")[2].isdecimal()]
    inside = next((name for name in blocks if f"{layer}.".startswith(f"{name}.")), None)
    tower = vision_encoder(model) if hasattr(model, "generate") else "vision_model"
    plain = not any(name == tower or name.endswith(f".{tower}") for name in names)
    if layer not in names or inside is None or not (plain or f"{tower}." in f"{layer}."):
        raise LayerError(
            f"{layer} is no block of the vision encoder, nor inside of one{near_names(layer, blocks)}"
        )
    stack, _, number = inside.rpartition(".")
    return sum(name.rpartition(".")[0] == stack for name in blocks) - int(number) - 1


def _class_of(config: Any) -> Any:
    import transformers as hf

    named = (config.architectures or ["?"])[0]
    found = getattr(hf, named, None)
    if found is not None:
        return found
    if named != "?":
        raise VlxError(f"a {named} is not in transformers {hf.__version__}: use another model")
    for auto in (hf.AutoModelForImageTextToText, hf.AutoModelForImageClassification, hf.AutoModel):
        known = auto._model_mapping  # pyright: ignore[reportPrivateUsage] - no public name
        if type(config) in known:
            return known[type(config)]
    raise VlxError(f"the config of this {config.model_type} names no architecture")


def config_of(where: str) -> Any:
    """The config of a model in a folder or, with a network, on the hub; no weights are fetched.

    Raises CheckpointError where there is none.
    """
    import transformers as hf

    try:
        return hf.AutoConfig.from_pretrained(where)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{where} has no config that can be read: {first}") from None
