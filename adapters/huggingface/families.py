"""What is particular to each family of transformers models: where its features sit, how it is prompted.

A family is known by the ``model_type`` of its config. Modules are found by their own name wherever
they hang, since their paths differ between versions of transformers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from PIL import Image
from torch import nn

from vlx.adapters.huggingface.prompts import Inputs, Parts, Prompting, chat, plain, signed, writes_bos
from vlx.adapters.huggingface.refusals import preparing
from vlx.errors import LayerError, VlxError
from vlx.passes.site import Site


@dataclass(frozen=True)
class Family:
    """How a family of models that write text is read."""

    site: Callable[[nn.Module], Site]
    """Where its features sit: the last place that still is a grid of the image."""
    prompting: Prompting
    decoder: bool = False
    """Whether a decoder of its own reads what is said; else that goes on the prompt's sequence."""
    takes_prompt: bool = True
    spoken: Callable[[Any, Inputs], Inputs] = lambda _model, inputs: inputs
    """What its ``generate`` is called with instead of the prepared inputs."""
    describe: str = ""
    """The prompt that asks for a caption."""
    ask: str = "{}"
    """The prompt that asks a question."""
    types: Mapping[str, int] = field(default_factory=dict[str, int])
    """What stands at the tokens of an answer in inputs that name the type of each, where it is not 0."""
    places_in_text: bool = False
    """Whether the tokens that stand for an image in the text are its places, row by row."""


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
        return replace(SPEAKING[kind], decoder=True)
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
    """What a model is called with of an image alone; raises ImageError where its processor fails."""
    with preparing(*image.size):
        made = parts.images(images=image, return_tensors="pt")
    if "pixel_values" not in made:
        raise VlxError(
            f"{type(parts.images).__name__} makes no pixels but {', '.join(made)}: write an adapter"
        )
    return {name: made[name] for name in _OF_IMAGES if name in made}


_OF_IMAGES = ("pixel_values", "pixel_attention_mask", "spatial_shapes")


def _image_alone(_model: Any, parts: Parts, image: Image.Image, _text: str) -> Inputs:
    return image_inputs(parts, image)


def _blip_inputs(model: Any, parts: Parts, image: Image.Image, text: str) -> Inputs:
    ids = parts.tokenizer(text, return_tensors="pt")["input_ids"]
    ids[:, 0] = model.config.text_config.bos_token_id
    return {**image_inputs(parts, image), "input_ids": ids}


def _blip_spoken(model: Any, inputs: Inputs) -> Inputs:
    # Its generate() takes the last token for the separator, and writes into what it is given.
    ids = inputs["input_ids"]
    end = ids.new_full((len(ids), 1), model.config.text_config.sep_token_id)
    return {"pixel_values": inputs["pixel_values"], "input_ids": torch.cat([ids, end], 1)}


def _question_inputs(_model: Any, parts: Parts, image: Image.Image, text: str) -> Inputs:
    words = parts.tokenizer(text, return_tensors="pt")
    return {
        **image_inputs(parts, image),
        "input_ids": words["input_ids"],
        "attention_mask": words["attention_mask"],
    }


def _git_inputs(_model: Any, parts: Parts, image: Image.Image, text: str) -> Inputs:
    return {
        **image_inputs(parts, image),
        "input_ids": parts.tokenizer(text, return_tensors="pt")["input_ids"],
    }


def _joint_inputs(_model: Any, parts: Parts, image: Image.Image, text: str) -> Inputs:
    return joint_inputs(parts, image, text, add_special_tokens=not writes_bos(parts.tokenizer, text))


def _prefix_inputs(_model: Any, parts: Parts, image: Image.Image, text: str) -> Inputs:
    return joint_inputs(parts, image, text, add_special_tokens=False)  # its processor writes BOS itself


def joint_inputs(parts: Parts, image: Image.Image, text: str, **how: bool) -> Inputs:
    """What a model is called with of an image and a text together.

    Raises VlxError without a processor that prepares both, and ImageError where it fails on the image.
    """
    if parts.joint is None:
        raise VlxError("this model needs the processor of images and texts together: wrap(model, processor)")
    with preparing(*image.size):
        made = parts.joint(images=image, text=text, return_tensors="pt", **how)
    return {name: value for name, value in made.items() if name != "labels"}  # what it should learn


_alone = Prompting(plain, _image_alone)
_blip = Prompting(plain, _blip_inputs)
_question = Prompting(plain, _question_inputs)
_git = Prompting(plain, _git_inputs)
_joint = Prompting(plain, _joint_inputs)
_chat = Prompting(chat, _joint_inputs)
_prefix = Prompting(signed, _prefix_inputs, by_itself=True)

_DESCRIBE = "Describe this image in one sentence."
SPEAKING = {
    "blip": Family(_normed_tower, _blip, spoken=_blip_spoken),
    "git": Family(_into_visual_projection, _git),
    "vision-encoder-decoder": Family(_encoder, _alone, decoder=True, takes_prompt=False),
    "blip-2": Family(_normed_tower, _joint, ask="Question: {} Answer:"),
    "instructblip": Family(_normed_tower, _joint, describe=_DESCRIBE),
    "florence2": Family(_into_projector, _joint, decoder=True, describe="<CAPTION>"),
    "llava": Family(_into_projector, _chat, describe=_DESCRIBE, places_in_text=True),
    "llava_next": Family(_into_projector, _chat, describe=_DESCRIBE),
    "paligemma": Family(
        _into_projector,
        _prefix,
        describe="caption en",
        ask="answer en {}",
        types={"token_type_ids": 1},
        places_in_text=True,
    ),
    "gemma3": Family(_into_projector, _chat, describe=_DESCRIBE, places_in_text=True),
    "llava_onevision": Family(_into_projector, _chat, describe=_DESCRIBE),
    "vipllava": Family(_into_projector, _chat, describe=_DESCRIBE, places_in_text=True),
    "aya_vision": Family(_into_projector, _chat, describe=_DESCRIBE),
    "idefics3": Family(_into_connector, _chat, describe=_DESCRIBE),
    "smolvlm": Family(_into_connector, _chat, describe=_DESCRIBE),
    "internvl": Family(_tower, _chat, describe=_DESCRIBE),
    "qwen2_vl": Family(_merged, _chat, describe=_DESCRIBE, places_in_text=True),
    "qwen2_5_vl": Family(_merged, _chat, describe=_DESCRIBE, places_in_text=True),
    "qwen3_vl": Family(_merged, _chat, describe=_DESCRIBE, places_in_text=True),
    "qwen3_vl_moe": Family(_merged, _chat, describe=_DESCRIBE, places_in_text=True),
    "qwen3_5": Family(_merged, _chat, describe=_DESCRIBE, places_in_text=True),
    "glm4v": Family(_merged, _chat, describe=_DESCRIBE, places_in_text=True),
}
"""Families whose models write text, by the ``model_type`` of their config."""
