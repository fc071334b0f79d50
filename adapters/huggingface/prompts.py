"""Prompts: the chat template, BOS, the tokens of a given answer behind a prompt, and their types.

A model that goes on from a prompt learnt from texts that hold both. So the tokens of a given answer are
those of the whole text less those of the prompt alone: whether a blank belongs to the first of them is
the template's and the tokenizer's to say. Where the template does not go on from its own generation
prompt, as with an opened block of thoughts, an answer stands where the template writes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from vlx.adapters.huggingface.refusals import first_line
from vlx.adapters.huggingface.texts import checked, decoded, tokens_of
from vlx.errors import TextError, VlxError


@dataclass(frozen=True)
class Parts:
    """What prepares images and texts for a model; ``joint`` does both at once, where there is one."""

    images: Any
    tokenizer: Any
    joint: Any = None


Inputs = dict[str, Tensor]
"""What a model is called with, for one image; texts and their masks are (1, token)."""


@dataclass(frozen=True)
class Wording:
    """A prompt as the text that a model reads."""

    prompt: str
    """Up to where the model goes on by itself: a template ends it with its generation prompt."""
    head: str
    """What stands before a given answer: the prompt, and what a template inserts after it."""
    tail: str = ""
    """What stands behind a given answer, such as the sign that ends a turn."""


@dataclass(frozen=True)
class Prompting:
    """How a family of models is prompted."""

    wording: Callable[[Parts, str, str | None], Wording]
    """(parts, prompt, given answer or None) to the text that is read."""
    inputs: Callable[[Any, Parts, Image.Image, str], Inputs]
    """(model, parts, image, text) to what the model is called with."""
    by_itself: bool = False
    """Whether an answer is tokenised by itself, as the processor of PaliGemma does."""


@dataclass(frozen=True)
class Continuation:
    """A given answer behind its prompt."""

    context: str
    """The text before the answer, as a processor is to read it."""
    ids: tuple[int, ...]
    """The tokens of the answer."""
    end: int | None = None
    """The token that stands behind the answer, where the template writes one."""
    dropped: int = 0
    """How many tokens at the end of the context become others where an answer follows,"""
    instead: tuple[int, ...] = ()
    """the tokens that stand in their place,"""
    swallowed: str = ""
    """and what the answer's first token spells of the context."""


def plain(_parts: Parts, prompt: str, _said: str | None = None) -> Wording:
    """The prompt as it stands; an answer follows after a blank."""
    return Wording(prompt, prompt + " " if prompt and not prompt[-1].isspace() else prompt)


def signed(parts: Parts, prompt: str, _said: str | None = None) -> Wording:
    """The prompt behind the sign for an image."""
    return plain(parts, f"{_image_sign(parts)}{prompt}")


def chat(parts: Parts, prompt: str, said: str | None = None) -> Wording:
    """The prompt as the turn of a user, by the chat template of the processor or of the tokenizer.

    Without any template it is `signed`. Raises VlxError where the template cannot write such a turn, or
    the turn of an assistant after it, and TextError where it writes the answer otherwise than given.
    """
    template = next((one for one in (parts.joint, parts.tokenizer) if _template_of(one)), None)
    if template is None:
        return signed(parts, prompt)
    user, begun = _asked(template, _image_sign(parts), prompt)
    return Wording(begun, begun) if said is None else _answered(template, user, begun, said)


_MARK = "qzxvlxanswervlxqzx"  # stands for the answer while its place is looked for


def _failures() -> tuple[type[Exception], ...]:
    """What a template that cannot write a turn raises."""
    from jinja2 import TemplateError

    return (TemplateError, AttributeError, LookupError, TypeError, ValueError)


def _template_of(one: Any) -> Any:
    return getattr(one, "chat_template", None)


def _image_sign(parts: Parts) -> str:
    sign = getattr(parts.joint, "image_token", "<image>")
    return sign if isinstance(sign, str) else str(sign.content)


def _asked(template: Any, sign: str, prompt: str) -> tuple[Mapping[str, Any], str]:
    """The user's turn in the form that the template takes, and the text up to the model's own turn."""
    reason = ""
    whole = f"{sign}\n{prompt}"
    for content in ([{"type": "image"}, *_parts_of(prompt)], whole, _parts_of(whole)):
        user = {"role": "user", "content": content}
        try:
            begun = _rendered(template, [user], add_generation_prompt=True)
        except _failures() as error:
            reason = reason or f" ({first_line(error)})"
            continue
        if sign in begun:
            return user, begun
    raise VlxError(f"the chat template of this model writes no turn with an image and a text{reason}")


def _answered(template: Any, user: Mapping[str, Any], begun: str, said: str) -> Wording:
    """The text around a given answer, which the template writes as it does any other."""
    for shape in (_parts_of, str):
        try:
            marked, whole = (
                _rendered(template, [user, {"role": "assistant", "content": shape(text)}])
                for text in (_MARK, said)
            )
        except _failures():
            continue
        if marked.count(_MARK) == 1:
            head, tail = marked.split(_MARK)
            if whole != head + said + tail:
                raise TextError(f"the chat template of this model changes {said!r}: give a plainer text")
            return Wording(begun, head, tail)
    raise VlxError(
        "the chat template of this model writes no answer behind a prompt: explain what the model says itself"
    )


def _parts_of(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _rendered(template: Any, turns: Sequence[Mapping[str, Any]], **how: bool) -> str:
    text: str = template.apply_chat_template(list(turns), tokenize=False, **how)
    if "{'type': '" in text:  # a template for texts alone wrote the parts of a turn as Python does
        raise ValueError("it takes texts alone")
    return text


def encoded(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text that goes on: BOS once, and nothing that the tokenizer puts behind."""
    adds = not writes_bos(tokenizer, text)
    ids: list[int] = tokenizer(text, add_special_tokens=adds)["input_ids"]
    return ids[: len(ids) - len(added(tokenizer)[1])] if adds else ids


def writes_bos(tokenizer: Any, text: str) -> bool:
    """Whether a text begins with BOS itself, so that the tokenizer must not put one there."""
    return bool(tokenizer.bos_token) and text.lstrip().startswith(tokenizer.bos_token)


def added(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and behind a text."""
    bare, whole = (tokenizer("a", add_special_tokens=adds)["input_ids"] for adds in (False, True))
    front = next((at for at in range(len(whole)) if whole[at : at + len(bare)] == bare), len(whole))
    return whole[:front], whole[front + len(bare) :]


def continuation(parts: Parts, wording: Wording, said: str, *, by_itself: bool = False) -> Continuation:
    """The tokens of a given answer behind a prompt.

    Raises TextError for an answer without words, and for a word that the tokenizer does not know.
    """
    tokenizer = parts.tokenizer
    if by_itself:
        return Continuation(wording.prompt, tuple(tokens_of(tokenizer, said)))
    spoken = encoded(tokenizer, wording.head + said)
    goes_on = wording.head.startswith(wording.prompt) and not wording.head[len(wording.prompt) :].strip()
    begun = encoded(tokenizer, wording.prompt)
    if goes_on and spoken[: len(begun)] == begun:
        context, known = wording.prompt, begun
    else:  # a blank before the answer is the answer's, if its first token takes it
        context = wording.head.rstrip(" ")
        known = encoded(tokenizer, context)
    shared = first = _shared(known, spoken)
    lost, told = decoded(tokenizer, known[shared:]), ""
    while lost and first < len(spoken):  # tokens that spell the prompt's end alone
        if len(piece := decoded(tokenizer, spoken[shared : first + 1])) > len(lost):
            break
        first, told = first + 1, piece
    whole = encoded(tokenizer, wording.head + said + wording.tail)
    follows = whole[: len(spoken)] == spoken and len(whole) > len(spoken)
    return Continuation(
        context=context,
        ids=tuple(checked(tokenizer, said, spoken[first:])),
        end=whole[len(spoken)] if follows else None,
        dropped=len(known) - shared,
        instead=tuple(spoken[shared:first]),
        swallowed=lost[len(told) :],
    )


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (mine, yours) in pairs if mine != yours), min(len(one), len(other)))


def shortened(inputs: Inputs, count: int) -> Inputs:
    """Inputs whose text lacks its last tokens."""
    shape = inputs["input_ids"].shape
    return {
        name: value[:, : shape[1] - count] if value.shape == shape else value
        for name, value in inputs.items()
    }


_AFTER = {"attention_mask": 1, "token_type_ids": 0, "mm_token_type_ids": 0}
"""What stands at the tokens of an answer: seen, and of the type of a text that sees nothing after it."""


def continued(inputs: Inputs, said: Sequence[int], types: Mapping[str, int]) -> Inputs:
    """The prompt with what is said after it; ``types`` of a family differ from the usual ones."""
    ids = inputs["input_ids"]
    more = ids.new_tensor([list(said)])
    held = {
        "attention_mask": torch.ones_like(ids),
        **{name: torch.zeros_like(ids) for name in types},
        **inputs,
    }
    joined = {**held, "input_ids": torch.cat([ids, more], 1)}
    for name, value in {**_AFTER, **types}.items():
        if name in held:
            joined[name] = torch.cat([held[name], torch.full_like(more, value)], 1)
    return joined
