"""``vlx plan``: whether words of a model can be explained within some memory, said before it is loaded."""

import json
import re
from enum import Enum
from typing import Annotated, Any

import typer

from vlx.cli.explaining import columns
from vlx.errors import VlxError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Precisions(str, Enum):
    """The precision of weights and what is computed, or each of them beside the others."""

    all = "all"
    bfloat16 = "bfloat16"
    float16 = "float16"
    float32 = "float32"


class Attentions(str, Enum):
    """How attention is computed."""

    sdpa = "sdpa"
    eager = "eager"


def plan(
    model: Annotated[
        str, typer.Argument(metavar="hf:NAME", help="A model of transformers: hf:NAME or hf:FOLDER.")
    ],
    memory: Annotated[str, typer.Option(help="What there is, as 24GiB, 24GB or '800 MiB'.")] = "24GiB",
    words: Annotated[int, typer.Option(min=1, help="Words, or classes, that are explained.")] = 12,
    precision: Annotated[Precisions, typer.Option(help="Of weights and what is computed.")] = Precisions.all,
    attention: Annotated[
        Attentions, typer.Option(help="eager keeps all of attention, sdpa and flash attention do not.")
    ] = Attentions.sdpa,
    layer: Annotated[
        str | None, typer.Option(help="A layer of the vision encoder, by name; else the default one.")
    ] = None,
    prompt: Annotated[int, typer.Option(min=0, help="Tokens of the prompt with its template.")] = 32,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of the text; by default 4 for 3 words.")
    ] = None,
    image: Annotated[str, typer.Option(help="Width and height of the photo.")] = "640x480",
    as_json: Annotated[bool, typer.Option("--json", help="Print bytes as JSON.")] = False,
) -> None:
    """Say whether words of a caption or an answer can be explained in some memory, by the config alone.

    No weights are fetched or read. For example LLaVA 1.5 of 7 billion parameters, 12 words and 24 GiB:
    in bfloat16 all words go back together in 16.3 GiB, of which 13.2 are weights, and with eager attention
    in 19.5; in float32 the weights alone are 26.3. Qwen2-VL of 7 billion takes 17.9 in bfloat16.
    """
    from vlx.adapters.huggingface.plan import RESERVE, Asked, config_of, plan_of

    where = model.removeprefix("hf:")
    if where == model or not where:
        raise VlxError(f"no plan for {model}: name a model of transformers, as hf:NAME or hf:FOLDER")
    room, asked = bytes_of(memory), Asked(words, prompt, tokens or 0, size_of(image))
    if room <= RESERVE:
        raise VlxError(f"{memory!r} is less than the {_gib(RESERVE)} GiB of a GPU's own context: give more")
    config = config_of(where)
    chosen = [one for one in Precisions if one is not Precisions.all and precision in (one, Precisions.all)]
    found = {
        one.value: plan_of(config, asked, one.value, attention.value, room - RESERVE, layer) for one in chosen
    }
    if as_json:
        print(json.dumps({name: _facts(one, room - RESERVE) for name, one in found.items()}, indent=2))
    else:
        print(_told(model, found, room, room - RESERVE))


def bytes_of(memory: str) -> int:
    """The bytes of a size such as ``24GiB``, ``24 GB`` or ``800 MiB``.

    >>> bytes_of("1.5 GiB"), bytes_of("24GB")
    (1610612736, 24000000000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", memory, re.IGNORECASE)
    if found is None or (found[3] and not found[2]) or not float(found[1]):
        raise VlxError(f"{memory!r} is no memory size: give one such as 24GiB, 24GB or 800MiB")
    units = _BINARY if found[3] else _UNITS
    return round(float(found[1]) * units[found[2].lower()])


def size_of(image: str) -> tuple[int, int]:
    """Width and height of ``640x480``."""
    found = re.fullmatch(r"\s*(\d+)\s*[x×]\s*(\d+)\s*", image)
    if found is None or not int(found[1]) * int(found[2]):
        raise VlxError(f"{image!r} is no size of a photo: give width and height, as 640x480")
    return int(found[1]), int(found[2])


def _facts(one: Any, room: int) -> dict[str, Any]:
    return {
        "fits": one.total <= room,
        "at_once": one.at_once if one.total <= room else 0,
        "parameters": one.parameters,
        "image_tokens": one.shape.image_tokens,
        "parts": dict(one.parts),
        "total": one.total,
    }


def _told(model: str, found: dict[str, Any], memory: int, room: int) -> str:
    some = next(iter(found.values()))
    asked = some.asked
    lines = [
        f"{model}: {some.parameters / 1e9:.2f} billion parameters, {some.shape.image_tokens} image tokens, "
        f"{asked.words} words, {some.attention} attention",
        "",
    ]
    for name, one in found.items():
        lines += [f"{name}: {_verdict(one, room)}", _parts(one), ""]
    lines.append(
        f"of {_gib(memory)} GiB {_gib(memory - room)} are left to the GPU's own context; where memory runs "
        "out vlx goes on with one word at a time; chunk=N of vlx.explain lets no more than N go together"
    )
    return "\n".join(lines)


def _verdict(one: Any, room: int) -> str:
    if one.total > room:
        what = "the weights alone are more" if one.weights > room else "not even one word at a time"
        return f"does not fit: {_gib(one.total)} GiB of {_gib(room)}, {what}"
    how = "all words" if one.at_once == one.asked.words else f"{one.at_once} of {one.asked.words} words"
    chunk = f", with chunk={one.at_once}" if one.at_once < one.usual else ""
    return f"fits: {how} at once in {_gib(one.total)} GiB of {_gib(room)}{chunk}"


def _parts(one: Any) -> str:
    return columns([(name, f"{_gib(value):>7} GiB") for name, value in one.parts.items()], indent="  ")


def _gib(value: int) -> str:
    return f"{value / (1 << 30):.2f}"
