"""From the config of a transformers model to the shapes that its memory depends on: nothing is loaded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vlx.adapters.huggingface.footprint import Block, Shape
from vlx.adapters.huggingface.photos import (
    See,
    anyres,
    first,
    fixed,
    longest,
    native,
    patches_in_a_row,
    tiled,
)
from vlx.errors import VlxError


@dataclass(frozen=True)
class Asked:
    """What is to be explained: words of a text, or classes."""

    words: int = 12
    prompt: int = 32
    """Tokens of the prompt with what a chat template writes around it, those of the image aside."""
    tokens: int = 0
    """Tokens that the words have together; with 0 four for every three words."""
    image: tuple[int, int] = (640, 480)
    """Width and height of the photo in pixels."""

    @property
    def said(self) -> int:
        """Tokens of the text that is explained."""
        return self.tokens or -(-4 * self.words // 3)


def shape_of(config: Any, asked: Asked) -> Shape:
    """The shapes of a model, by its config. Raises VlxError for a family that is not known."""
    kind: str = config.model_type
    build = _SHAPES.get(kind) or (_classifier if _is_plain_classifier(config) else None)
    encoder = first(config, "vision_config", "encoder", default=config)
    if build is None or isinstance(first(encoder, "num_attention_heads", "num_heads", default=1), list):
        why = _UNPLANNED.get(kind, "its layers are not known here")
        raise VlxError(f"no plan for a model of type {kind}: {why}; known are {', '.join(sorted(_SHAPES))}, "
                       "and classifiers of the ViT kind")  # fmt: skip
    return build(config, asked)


_UNPLANNED = {
    "qwen3_5": "what its layers of linear attention keep is not known here",
    "vilt": "image and question go through one encoder, which is small",
}


_INSIDE = {"quick_gelu": 2, "gelu_new": 4, "gelu_fast": 6}
"""How many tensors activations that are written out keep."""
_EAGER = frozenset(("blip_text_model", "git", "blip_2_qformer", "instructblip_qformer"))
_FOUR_NORMS = frozenset(("gemma2", "gemma3_text", "glm4v_text"))
_HEAD_NORMS = frozenset(("qwen3", "qwen3_vl_text", "qwen3_vl_moe_text", "gemma3_text"))


def block_of(config: Any, tokens: int, *, side: str = "", **more: Any) -> Block:
    """A layer of the transformer that a config describes; ``side`` of one with an encoder and a decoder."""
    kind = config.model_type
    hidden = first(config, "hidden_size", "embed_dim", "d_model")
    heads = first(config, f"{side}_attention_heads", "num_attention_heads", "num_heads")
    rms = hasattr(config, "rms_norm_eps") or kind in ("t5", "cohere")
    gated = (rms and kind != "t5") or bool(getattr(config, "is_gated_act", False))
    width = first(config, f"{side}_ffn_dim", "intermediate_size", "d_ff", "ffn_dim", "n_inner")
    if getattr(config, "moe_intermediate_size", None):
        width = config.moe_intermediate_size * first(config, "num_experts_per_tok", default=1)
    names = ("dense_act_fn", "hidden_activation", "hidden_act", "activation_function")
    found = Block(
        tokens=tokens,
        hidden=hidden,
        heads=heads,
        head=first(config, "head_dim", "d_kv", default=hidden // heads),
        width=width or int(hidden * first(config, "mlp_ratio", default=4)),
        count=first(config, f"{side}_layers", "num_hidden_layers", "depth", "num_layers", default=1),
        shared=first(config, "num_key_value_heads", default=0),
        gated=gated,
        inside=_INSIDE.get(str(first(config, *names, default="gelu")), 1),
        rms=rms,
        norms=4 if kind in _FOUR_NORMS else 2,
        head_norms=kind in _HEAD_NORMS,
        eager=kind in _EAGER,
    )
    more = {"norms": found.norms + bool(more.get("reads")), **more}
    return replace(found, **more)


def _in_text(see: See, repeated: bool = False) -> Callable[[Any, Asked], Shape]:
    """A language model that reads image tokens among its own."""

    def shape(config: Any, asked: Asked) -> Shape:
        text, vision = config.get_text_config(decoder=True), config.vision_config
        seen = see(config, asked.image)
        read = seen.tokens + asked.prompt + asked.said
        layers = block_of(text, read, repeated=repeated)
        below = block_of(vision, seen.below // seen.pieces, count=1)
        return Shape(
            below=below,
            pieces=seen.pieces,
            hidden_states=1 + first(vision, "num_hidden_layers", default=0),
            features=seen.features,
            above=(layers,),
            others=2 * seen.tokens * layers.hidden + 3 * read * layers.hidden,
            rows=asked.said + 1,
            choices=text.vocab_size,
            image_tokens=seen.tokens,
            means=seen.pieces == 1,
        )

    return shape


def _beside(config: Any, asked: Asked) -> Shape:
    """A decoder that reads the image by cross-attention."""
    vision = first(config, "vision_config", "encoder")
    text = first(config, "text_config", "decoder")
    side = patches_in_a_row(vision)
    seen = side * side + 1
    hidden = vision.hidden_size
    question = config.model_type == "blip" and "ForQuestionAnswering" in str(config.architectures)
    before = asked.prompt if config.model_type == "blip" else 1
    read = asked.said + (1 if question else before)
    above = (block_of(text, read, reads=seen),)
    if question:
        above = (block_of(text, before, reads=seen), replace(above[0], reads=before))
    return Shape(
        below=block_of(vision, seen, count=1),
        hidden_states=1,
        features=seen * hidden,
        above=above,
        others=3 * read * above[-1].hidden,
        rows=asked.said + 1,
        choices=text.vocab_size,
        image_tokens=seen,
    )


def _queries(config: Any, asked: Asked) -> Shape:
    """Queries that read the image by cross-attention, and a language model that reads them."""
    vision, text = config.vision_config, config.get_text_config(decoder=True)
    seen, count = patches_in_a_row(vision) ** 2 + 1, config.num_query_tokens
    frequency = config.qformer_config.cross_attention_frequency
    own = count + (asked.prompt if config.model_type == "instructblip" else 0)
    queries = block_of(config.qformer_config, own, reads=seen, every=frequency, norms=2)
    before = count + asked.prompt
    if config.use_decoder_only_language_model:
        speaking: tuple[Block, ...] = (block_of(text, before + asked.said),)
    else:
        decoder = block_of(text, asked.said + 1, reads=before, count=text.num_decoder_layers)
        speaking = (block_of(text, before), decoder)
    return Shape(
        below=block_of(vision, seen, count=1),
        hidden_states=1,
        features=seen * vision.hidden_size,
        above=(queries, *speaking),
        others=3 * (before + asked.said) * speaking[-1].hidden,
        rows=asked.said + 1,
        choices=text.vocab_size,
        image_tokens=count,
    )


def _is_plain_classifier(config: Any) -> bool:
    """Whether a classifier is one transformer over patches of one size."""
    named = str((config.architectures or [""])[0]).endswith("ForImageClassification")
    return named and all(hasattr(config, name) for name in _OF_VIT)


_OF_VIT = ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size", "image_size")


def _top(vision: Any, choices: int) -> Shape:
    """A vision transformer that is explained at its last block; the text of CLIP records nothing."""
    seen = patches_in_a_row(vision) ** 2 + 1 + getattr(vision, "num_register_tokens", 0)
    last = block_of(vision, seen, count=1)
    return Shape(
        below=last,
        hidden_states=1,
        features=seen * vision.hidden_size,
        above=(replace(last, norms=1),),
        others=seen * vision.hidden_size,
        rows=1,
        choices=choices,
        image_tokens=seen,
        log=False,
        means=False,
    )


def _classifier(config: Any, _asked: Asked) -> Shape:
    return _top(config, config.num_labels)


def _fits(config: Any, asked: Asked) -> Shape:
    return _top(config.vision_config, max(1, asked.words))


_FEW, _MANY = 56 * 56, 28 * 28 * 1280
_SHAPES: dict[str, Callable[[Any, Asked], Shape]] = {
    "llava": _in_text(fixed),
    "vipllava": _in_text(fixed),
    "llava_next": _in_text(anyres),
    "llava_onevision": _in_text(anyres),
    "paligemma": _in_text(fixed, repeated=True),
    "gemma3": _in_text(fixed, repeated=True),
    "aya_vision": _in_text(tiled(12)),
    "internvl": _in_text(tiled(12)),
    "idefics3": _in_text(longest),
    "smolvlm": _in_text(longest),
    "qwen2_vl": _in_text(native(_FEW, _MANY)),
    "qwen2_5_vl": _in_text(native(_FEW, _MANY)),
    "qwen3_vl": _in_text(native(_FEW, _MANY)),
    "qwen3_vl_moe": _in_text(native(_FEW, _MANY)),
    "glm4v": _in_text(native(112 * 112, 28 * 28 * 15000)),
    "blip": _beside,
    "vision-encoder-decoder": _beside,
    "blip-2": _queries,
    "instructblip": _queries,
    "clip": _fits,
    "siglip": _fits,
}
"""By the ``model_type`` of a config."""
