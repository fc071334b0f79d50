"""Another forward for a network, for a while."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from torch import nn

from vlx.passes.turns import in_turn


@in_turn
@contextmanager
def stand_in(network: nn.Module, forward: Callable[..., Any]) -> Generator[None, None, None]:
    """Let a network run another forward in the block; after it the network has its own again."""
    own = vars(network).get("forward")
    network.forward = forward
    try:
        yield
    finally:
        del network.forward
        if own is not None:
            network.forward = own
