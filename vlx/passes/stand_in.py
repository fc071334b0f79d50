"""Another forward for a network, for a while."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from torch import nn

from vlx.passes.modules import Modules
from vlx.passes.turns import in_turn

_standing: list[nn.Module] = []


def any_stood_in(modules: Modules) -> bool:
    """Whether a part of a model runs another forward just now, so that a run tells nothing of the model."""
    return bool(_standing) and any(module is other for module in modules.listed for other in _standing)


@in_turn
@contextmanager
def stand_in(network: nn.Module, forward: Callable[..., Any]) -> Generator[None, None, None]:
    """Let a network run another forward in the block; after it the network has its own again."""
    own = vars(network).get("forward")
    network.forward = forward
    _standing.append(network)
    try:
        yield
    finally:
        _standing.remove(network)
        del network.forward
        if own is not None:
            network.forward = own
