"""What is said of an image, ready to be read, and where it stands in the text."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from vlx.adapters.huggingface.prompts import Inputs


@dataclass(frozen=True, eq=False)
class Item:
    """One image with what is said of it, ready to be read."""

    inputs: Inputs
    ids: tuple[int, ...]
    first: int
    """The position in the text whose row predicts the first token."""
    end: int | None
    """The token that ends what is said, where it is known."""
    before: str = ""
    """The end of the prompt that the first token spells too."""


def rows_of(items: Sequence[Item]) -> Int[Tensor, "item step"]:
    """Row ``first + t`` of each item's text predicts its token t, and the row after the last its end."""
    most = max(len(item.ids) for item in items)
    return torch.tensor([[item.first + min(t, len(item.ids)) for t in range(most + 1)] for item in items])
