"""Ask an adapter to read or to write, and see that what it gives is what is taken from it.

An adapter is any object, so that nothing but its answers tells whether it was written as
``adapters/README.md`` says; each error here is one line about the adapter.
"""

import inspect
from collections.abc import Sequence
from typing import Any, cast

from PIL import Image

from vlx.errors import VlxError
from vlx.passes.forward import Pass

_READS = {"caption": "captions", "answer": "questions", "label": "images alone, for their classes"}


def read_of(model: Any, call: str, *given: Sequence[Any]) -> Pass:
    """What a model reads. Raises VlxError where it is no adapter, or one for another call."""
    read = getattr(model, "read", None)
    if not callable(read):
        raise VlxError(
            f"{type(model).__name__} has no method read: {call} explains adapters, such as vlx.load gives; "
            "adapters/README.md shows how to write one"
        )
    if not _binds(read, *given):
        raise VlxError(
            f"{call} does not fit {type(model).__name__}, whose read is read{inspect.signature(read)}: use "
            "explain_caption, explain_answer or explain_label"
        )
    passed = read(*given)
    if not isinstance(passed, Pass):
        raise VlxError(f"read of {type(model).__name__} gave a {type(passed).__name__}, not a vlx.Pass")
    kind = passed.readings[0].kind
    if (kind == "caption") != (call == "explain_caption" or len(given) == 3):
        raise VlxError(f"{call} does not fit {type(model).__name__}, which reads {_READS[kind]}")
    return passed


def texts_of(
    model: Any, write: str, images: Sequence[Image.Image], *prompts: Sequence[str], beam: int | None = None
) -> list[str]:
    """What a model writes about each image, by its method ``write``, with its own ``beam`` or this one.

    Raises VlxError where it has no such method, or one that gives something else than a text an image.
    """
    name, call = type(model).__name__, getattr(model, write, None)
    if not callable(call):
        raise VlxError(f"{name} has no method {write}: give the text that is to be explained")
    width = {} if beam is None else {"beam": beam}
    if not _binds(call, images, *prompts, **width):
        lacks = "no beam" if width and _binds(call, images, *prompts) else "not images and prompts"
        raise VlxError(f"{write} of {name} is {write}{inspect.signature(call)}: it takes {lacks}")
    said: Any = call(images, *prompts, **width)
    texts = isinstance(said, list | tuple) and all(isinstance(one, str) for one in cast("list[Any]", said))
    if not texts or len(said) != len(images):
        what = f"{len(said)} texts" if texts else f"a {type(said).__name__}"
        raise VlxError(
            f"{write} of {name} gave {what} for {len(images)} images: give a list, a text for each"
        )
    return list(said)


def arguments_of_read(model: Any) -> int:
    """How many arguments without a default a model's ``read`` takes; 0 where it has none."""
    read = getattr(model, "read", None)
    if not callable(read):
        return 0
    known = inspect.signature(read).parameters.values()
    positional = [one for one in known if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return sum(one.default is one.empty for one in positional) or 2 * any(
        one.kind is one.VAR_POSITIONAL for one in known
    )


def _binds(call: Any, *given: Any, **named: Any) -> bool:
    try:
        inspect.signature(call).bind(*given, **named)
    except TypeError:
        return False
    except ValueError:  # it tells no signature
        return True
    return True
