"""Ask an adapter to read or to write, and see that what it gives is what is taken from it.

An adapter is any object, so that nothing but its answers tells whether it was written as
``adapters/README.md`` says; each error here is one line about the adapter.
"""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from PIL import Image

from vlx.errors import LayerError, VlxError
from vlx.passes.forward import Pass
from vlx.passes.site import Layer

_DOORS = ("read", "compare")
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


def at_layers(model: Any, layers: Sequence[Layer]) -> Any:
    """The same model at several layers at once, for methods that fuse their maps.

    What it reads is a Pass at the layer of the finest grid, which holds those at the others; methods of one
    layer explain the finest. The model runs once for each layer. Raises VlxError for a model without ``at``,
    and LayerError for layers that it does not have.

    >>> both = vlx.at_layers(captioner, ["last/2", "last"])
    >>> vlx.explain_caption(both, photo, "a dog", method=vlx.layer_cam_fusion).raw.shape
    (3, 28, 28)
    """
    at = getattr(model, "at", None)
    if not callable(at):
        raise VlxError(
            f"{type(model).__name__} has no method at(layer): several layers need it; see adapters/README.md"
        )
    found: list[Any] = [at(layer) for layer in layers]
    names = [getattr(one, "layer", one) for one in found]
    if len({*names}) < 2 or len({*names}) < len(names):
        told = ", ".join(map(str, names)) or "none"
        raise LayerError(f"give several different layers, such as last/2 and last: these are {told}")
    both = copy.copy(found[0])
    for door in _DOORS:
        if callable(getattr(both, door, None)):
            read = partial(_read_at, tuple(found), door)
            vars(read)["__signature__"] = inspect.signature(getattr(both, door))
            object.__setattr__(both, door, read)
    object.__setattr__(both, "layer", " + ".join(map(str, names)))
    return both


def _read_at(models: tuple[Any, ...], door: str, *given: Any, **named: Any) -> Any:
    """What a model reads at each of its layers, as one Pass."""
    passes: list[Pass] = [getattr(model, door)(*given, **named) for model in models]
    return joined(passes)


def joined(passes: Sequence[Pass]) -> Pass:
    """One Pass of those of the same images and texts at several layers, that of the finest grid first.

    >>> models = (captioner, captioner.at("last/2"))
    >>> last, finer = (model.read([vlx.open_image(photo)], ["a dog"]) for model in models)
    >>> joined([last, finer]).layer == finer.layer
    True
    """
    sizes = [one.grid(one.features.detach())[0, 0].numel() for one in passes]
    order = sorted(range(len(passes)), key=lambda at: -sizes[at])
    first, *others = (passes[at] for at in order)
    return replace(first, others=tuple(others)) if others else first
