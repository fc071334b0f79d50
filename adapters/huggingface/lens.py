"""The hidden states of image tokens in the text of a language model, from the forward that scores it."""

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlx.adapters.huggingface.frames import Layout
from vlx.adapters.huggingface.prompts import Inputs
from vlx.errors import LayerError
from vlx.passes.lens import Lens
from vlx.passes.places import token_layout


@contextmanager
def given_to(vocabulary: nn.Linear) -> Generator[list[Tensor], None, None]:
    """All that the vocabulary layer is given in the block, before the scored rows are picked."""
    found: list[Tensor] = []

    def keep(_layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.append(inputs[0].detach())

    handle = vocabulary.register_forward_pre_hook(keep, prepend=True)
    try:
        yield found
    finally:
        handle.remove()


def lens_of(
    model: Any,
    vocabulary: nn.Linear,
    given: Sequence[Float[Tensor, "batch token channel"]],
    inputs: Inputs,
    steps: Int[Tensor, "batch step"],
    signs: Collection[int],
    layout: Layout,
    plane: Sequence[int],
) -> Lens | None:
    """What the image tokens of a batch say; None where their number is no grid of the image.

    ``given`` is what the vocabulary layer was given in the run, ``steps`` are the tokens whose hidden states
    score each step, ``signs`` no words, and ``plane`` are the rows and columns of the features, which image
    tokens of the same number have too.
    """
    ids, image = inputs["input_ids"], image_token(model)
    if image is None or len(given) != 1 or given[0].shape[:2] != ids.shape:
        return None
    (hidden,) = given
    of_image = ids == image
    counts = of_image.sum(1)
    if int(counts.min()) != int(counts.max()) or not int(counts[0]):
        return None
    rows, cols = plane
    if rows * cols != int(counts[0]):
        try:
            rows, cols, others = token_layout(int(counts[0]), layout.frame.input_size)
        except LayerError:
            return None
        if others:
            return None
    at = torch.arange(ids.shape[1], device=ids.device)
    ends = (at * of_image).amax(1, keepdim=True)
    silent = of_image | (at <= ends) | torch.isin(ids, torch.tensor(list(signs), device=ids.device))
    if "attention_mask" in inputs:
        silent |= inputs["attention_mask"] == 0
    tokens = hidden[of_image].unflatten(0, (len(ids), rows, cols))
    return Lens(tokens, hidden, ids.masked_fill(silent, -1), steps, vocabulary.weight.detach())


def image_token(model: Any) -> int | None:
    """The token that stands for a place of an image in a text."""
    names = ("image_token_id", "image_token_index")
    return next((found for name in names if (found := getattr(model.config, name, None)) is not None), None)
