"""The network inside what training wraps around it."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.jit import ScriptModule
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from vlx.errors import VlxError

_AROUND = (DataParallel, DistributedDataParallel, AveragedModel)
"""Wrappers that only pass on what they are given: the network is their ``module``."""
_SHARDED = "FullyShardedDataParallel"
_INSIDE = ("_orig_mod.", "module.")
"""What wrappers around a part of a network put into the names of its layers."""


def unwrapped(model: Any) -> Any:
    """The network inside DataParallel, DistributedDataParallel, AveragedModel, torch.compile or peft.

    It shares its weights with the wrapper; adapters of peft (LoRA) are parts of its layers. What is not
    wrapped comes back as it is. Raises VlxError, with the way out, where the network inside is not what would
    run: TorchScript, weights in shards, prompts that peft learnt, or a wrapper with a forward of its own.

    >>> net = torch.nn.Linear(2, 3)
    >>> unwrapped(torch.nn.DataParallel(net)) is net, unwrapped(net) is net
    (True, True)
    """
    if isinstance(model, ScriptModule):
        raise VlxError(
            f"{type(model).__name__} is TorchScript, whose layers take no hooks: give the nn.Module it was "
            "made of"
        )
    if type(model).__name__ == _SHARDED:
        raise VlxError(
            f"{_SHARDED} holds weights in shards: gather its state_dict and load that into a network on one "
            "device"
        )
    if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
        return unwrapped(inner)
    for kind in _AROUND:
        if isinstance(model, kind):
            return unwrapped(_module_of(model, kind))
    if any(kind.__module__.partition(".")[0] == "peft" for kind in type(model).__mro__):
        return unwrapped(_without_peft(model))
    return model


def plain_name(name: str) -> str:
    """A layer's name without what wrappers of parts put into it.

    >>> plain_name("layer3._orig_mod.0"), plain_name("features.module.29"), plain_name("my_module.conv")
    ('layer3.0', 'features.29', 'my_module.conv')
    """
    parts = [part for part in name.split(".") if f"{part}." not in _INSIDE]
    return ".".join(parts)


def _module_of(model: Any, kind: Any) -> nn.Module:
    if type(model).forward is not kind.forward:
        raise VlxError(
            f"{type(model).__name__} runs more than the network that it wraps: give its .module, or a "
            "network whose forward does the same"
        )
    return model.module


def _without_peft(model: Any) -> nn.Module:
    """What stands inside one of peft's models, with the layers that peft put into it."""
    given = vars(model).get("peft_config") or getattr(model, "peft_config", None)
    configs = list(given.values()) if isinstance(given, Mapping) else [given]
    if any(getattr(config, "is_prompt_learning", False) for config in configs):
        raise VlxError(
            f"{type(model).__name__} learnt a prompt that it puts before its inputs, and the network inside "
            "knows none: only adapters inside of layers, such as LoRA, are explained"
        )
    inside = dict(model.named_children())
    for name in ("base_model", "model"):
        if name in inside:
            return inside[name]
    raise VlxError(f"{type(model).__name__} of peft holds no base model: give the network itself")
