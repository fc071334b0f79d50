"""What is particular to each family of transformers models: where its features sit, how it is prompted.

A family is known by the ``model_type`` of its config. Modules are found by their own name wherever
they hang, since their paths differ between versions of transformers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vlx.errors import LayerError
from vlx.passes.site import Site


@dataclass(frozen=True)
class Parts:
    """What prepares images and texts for a model; ``joint`` does both at once, where there is one."""

    images: Any
    tokenizer: Any
    joint: Any = None


Inputs = dict[str, Tensor]
"""What a model is called with, for one image; texts and their masks are (1, token)."""
Prepare = Callable[[Any, Parts, Image.Image, str], Inputs]
"""(model, parts, image, prompt) to the inputs up to where the model goes on to speak."""


@dataclass(frozen=True)
class Family:
    """How a family of models that write text is read."""

    site: Callable[[nn.Module], Site]
    """Where its features sit: the last place that still is a grid of the image."""
    prepare: Prepare
    decoder: bool = False
    """Whether a decoder of its own reads what is said; else that goes on the prompt's sequence."""
    spoken: Callable[[Any, Inputs], Inputs] = lambda _model, inputs: inputs
    """What its ``generate`` is called with instead of the prepared inputs."""
    describe: str = ""
    """The prompt that asks for a caption."""
    ask: str = "{}"
    """The prompt that asks a question."""


def vocabulary_layer(model: Any) -> nn.Linear:
    """The linear layer that gives a logit for each token."""
    for module in model.modules():
        if hasattr(module, "get_output_embeddings"):
            found = module.get_output_embeddings()
            if isinstance(found, nn.Linear):
                return found
    raise LayerError(
        f"this {type(model).__name__} has no layer that gives logits of tokens: write an adapter"
    )


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a text, the usual one first."""
    text = getattr(model.config, "text_config", None)
    given = [
        getattr(text, "sep_token_id", None) if model.config.model_type == "blip" else None,
        getattr(getattr(model, "generation_config", None), "eos_token_id", None),
        getattr(text, "eos_token_id", None),
        tokenizer.eos_token_id,
        tokenizer.sep_token_id,
    ]
    flat = [one for some in given for one in (some if isinstance(some, list) else [some])]
    return list(dict.fromkeys(int(one) for one in flat if one is not None))


def start_token(model: Any) -> int:
    """The token with which a decoder of its own begins."""
    places = (model, getattr(model, "generation_config", None), model.config)
    for place in (*places, model.config.get_text_config(decoder=True)):
        for name in ("decoder_start_token_id", "bos_token_id"):
            if (found := getattr(place, name, None)) is not None:
                return int(found)
    raise LayerError(f"this {type(model).__name__} does not say with which token its decoder starts")


def module_named(model: nn.Module, leaf: str) -> str:
    """The dotted name of the outermost module that is called ``leaf``."""
    found: list[str] = [name for name, _ in model.named_modules() if name.rpartition(".")[2] == leaf]
    if not found:
        raise LayerError(f"this {type(model).__name__} has no {leaf}: name a layer with layer=")
    return min(found, key=_depth)


def _depth(name: str) -> int:
    return name.count(".")


def vision_encoder(model: nn.Module) -> str:
    """The dotted name of the part whose outputs have a place on the image."""
    for leaf in ("vision_tower", "visual", "image_encoder", "vision_model", "encoder"):
        if any(name.rpartition(".")[2] == leaf for name, _ in model.named_modules()):
            return module_named(model, leaf)
    raise LayerError(f"this {type(model).__name__} has no vision encoder that is known: write an adapter")


def family_of(model: Any) -> Family | None:
    """The family of a model that writes text, or None where it is not known."""
    kind: str = model.config.model_type
    if kind == "blip" and type(model).__name__ == "BlipForQuestionAnswering":
        return Family(_normed_tower, _question, decoder=True)
    if kind in ("blip-2", "instructblip") and not model.config.use_decoder_only_language_model:
        return Family(_normed_tower, _joint, decoder=True, ask="Question: {} Answer:")
    return SPEAKING.get(kind)


def _normed_tower(model: nn.Module) -> Site:
    # The norm runs a second time, on the class token alone.
    return Site(module_named(model, "vision_model") + ".post_layernorm", call=0)


def _into_projector(model: nn.Module) -> Site:
    return Site(module_named(model, "multi_modal_projector"), side="input")


def _into_connector(model: nn.Module) -> Site:
    return Site(module_named(model, "connector"), side="input")


def _tower(model: nn.Module) -> Site:
    return Site(module_named(model, "vision_tower"), field="last_hidden_state")


def _encoder(model: nn.Module) -> Site:
    return Site("encoder", field="last_hidden_state")


def _into_visual_projection(model: nn.Module) -> Site:
    return Site(module_named(model, "visual_projection"), side="input")


def _merged(model: nn.Module) -> Site:
    # Blocks and merger may hold patches in the order of attention windows; this is in raster order.
    return Site(module_named(model, "visual"), field="pooler_output")


def image_inputs(parts: Parts, image: Image.Image) -> Inputs:
    """What a model is called with of an image alone."""
    return {"pixel_values": parts.images(images=image, return_tensors="pt")["pixel_values"]}


def _alone(_model: Any, parts: Parts, image: Image.Image, _prompt: str) -> Inputs:
    return image_inputs(parts, image)


def _blip(model: Any, parts: Parts, image: Image.Image, prompt: str) -> Inputs:
    ids = parts.tokenizer(prompt, return_tensors="pt")["input_ids"]
    ids[:, 0] = model.config.text_config.bos_token_id
    return {**image_inputs(parts, image), "input_ids": ids[:, :-1]}  # without the separator


def _blip_spoken(model: Any, inputs: Inputs) -> Inputs:
    # Its generate() takes the last token for the separator, and writes into what it is given.
    ids = inputs["input_ids"]
    end = ids.new_full((len(ids), 1), model.config.text_config.sep_token_id)
    return {"pixel_values": inputs["pixel_values"], "input_ids": torch.cat([ids, end], 1)}


def _question(_model: Any, parts: Parts, image: Image.Image, prompt: str) -> Inputs:
    text = parts.tokenizer(prompt, return_tensors="pt")
    return {
        **image_inputs(parts, image),
        "input_ids": text["input_ids"],
        "attention_mask": text["attention_mask"],
    }


def _git(_model: Any, parts: Parts, image: Image.Image, prompt: str) -> Inputs:
    ids = parts.tokenizer(prompt, return_tensors="pt")["input_ids"]
    return {**image_inputs(parts, image), "input_ids": ids[:, :-1]}  # [CLS] and the words


def _joint(_model: Any, parts: Parts, image: Image.Image, prompt: str) -> Inputs:
    return _without_labels(parts.joint(images=image, text=prompt, return_tensors="pt"))


def _without_labels(made: Any) -> Inputs:
    """Some processors also write what the model should learn from a prompt."""
    return {name: value for name, value in made.items() if name != "labels"}


def _chat(_model: Any, parts: Parts, image: Image.Image, prompt: str) -> Inputs:
    if getattr(parts.joint, "chat_template", None):
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        turn = [{"role": "user", "content": content}]
        text = parts.joint.apply_chat_template(turn, add_generation_prompt=True)
    else:
        sign = getattr(parts.joint, "image_token", "<image>")
        text = f"{sign}{prompt}" if isinstance(sign, str) else f"{sign.content}{prompt}"
    return _without_labels(parts.joint(images=image, text=text, return_tensors="pt"))


_DESCRIBE = "Describe this image in one sentence."
SPEAKING = {
    "blip": Family(_normed_tower, _blip, spoken=_blip_spoken),
    "git": Family(_into_visual_projection, _git),
    "vision-encoder-decoder": Family(_encoder, _alone, decoder=True),
    "blip-2": Family(_normed_tower, _joint, ask="Question: {} Answer:"),
    "florence2": Family(_into_projector, _joint, decoder=True, describe="<CAPTION>"),
    "llava": Family(_into_projector, _chat, describe=_DESCRIBE),
    "llava_next": Family(_into_projector, _chat, describe=_DESCRIBE),
    "paligemma": Family(_into_projector, _chat, describe="caption en", ask="answer en {}"),
    "idefics3": Family(_into_connector, _chat, describe=_DESCRIBE),
    "smolvlm": Family(_into_connector, _chat, describe=_DESCRIBE),
    "internvl": Family(_tower, _chat, describe=_DESCRIBE),
    "qwen2_vl": Family(_merged, _chat, describe=_DESCRIBE),
    "qwen2_5_vl": Family(_merged, _chat, describe=_DESCRIBE),
    "qwen3_vl": Family(_merged, _chat, describe=_DESCRIBE),
}
"""Families whose models write text, by the ``model_type`` of their config."""
