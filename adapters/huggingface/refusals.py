"""What transformers would answer with errors of its own, or not at all, said in one line beforehand."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch

from vlx.errors import ImageError, TextError, VlxError

_THIN = 20  # times as long as wide: beyond it processors begin to fail
_OFFSET = ("camembert", "roberta", "xlm-roberta")  # count positions from behind the padding token's index


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name."""
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__


@contextmanager
def preparing(width: int, height: int) -> Generator[None, None, None]:
    """Turn whatever a processor raises on an image of this size into an ImageError."""
    try:
        yield
    except VlxError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        short, long = sorted((width, height))
        thin = ": give one that is larger or less thin" if long > _THIN * short or short < 16 else ""
        raise ImageError(
            f"the processor fails on an image of {width} x {height} pixels ({first_line(error)}){thin}"
        ) from None


@contextmanager
def reading(model: Any) -> Generator[None, None, None]:
    """Turn what a model raises on inputs that do not fit it into a VlxError, its cause attached.

    A processor made for another model prepares images and texts that this one has no positions for.
    """
    try:
        yield
    except (VlxError, torch.OutOfMemoryError):
        raise
    except (IndexError, RuntimeError, ValueError) as error:
        raise VlxError(
            f"this {type(model).__name__} cannot read what its processor prepared ({first_line(error)}): "
            "give it the processor that it was published with"
        ) from error


def refuse_signs(tokenizer: Any, joint: Any, text: str) -> None:
    """Raise TextError for a text with a sign in it that means something to the model, such as ``<image>``."""
    given = dict(tokenizer.special_tokens_map)
    given |= {name: value for name, value in vars(joint or tokenizer).items() if name.endswith("_token")}
    for sign in {str(value) for value in given.values() if not isinstance(value, list)}:
        if len(sign) > 2 and sign in text:  # some tokenizers pad with "!"
            raise TextError(f"{_short(text)} holds {sign!r}, a sign of the model's own: leave it out")


def room_of(config: Any) -> int | None:
    """How many tokens a model of this config reads at most; None where it sets no limit."""
    known = getattr(config, "max_position_embeddings", None)
    if not isinstance(known, int) or known < 1:
        return None
    return known - (config.pad_token_id or 0) - 1 if config.model_type in _OFFSET else known


def need_room(room: int | None, length: int, text: str) -> None:
    """Raise TextError where a text of some tokens is longer than a model reads."""
    if room is not None and length > room:
        raise TextError(
            f"{_short(text)} is {length} tokens long with all that goes with it, and this model reads "
            f"{room}: shorten it"
        )


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
