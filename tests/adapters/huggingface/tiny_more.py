"""Further families of transformers models at a tiny size, made as those of ``tiny`` are."""

from typing import Any

import transformers as hf

from tests.adapters.huggingface.tiny import (
    _QFORMER,
    _SECTIONS,
    _SQUARE,
    _TEXT,
    _VISION,
    ID,
    SIDE,
    SIZE,
    _qwen,
    llava,
    spread,
    tokenizer,
)

_GRIDS = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
_SIGNS = {
    "image_token_id": ID("<image>"), "video_token_id": ID("<video>"), "vision_start_token_id": ID("<vs>"),
    "vision_end_token_id": ID("<ve>"),
}  # fmt: skip


def _siglip() -> Any:
    return hf.SiglipVisionConfig(**{**_VISION, "vision_use_head": False})


def gemma3() -> tuple[Any, Any]:
    """The tokens of an image see each other, those of the text what is before them."""
    config = hf.Gemma3Config(
        text_config=hf.Gemma3TextConfig(**{**_TEXT, "sliding_window": 16}), vision_config=_siglip(),
        mm_tokens_per_image=4, boi_token_index=ID("<vs>"), eoi_token_index=ID("<ve>"),
        image_token_index=ID("<image>"),
    )  # fmt: skip
    images = hf.Gemma3ImageProcessor(size=_SQUARE)
    images.image_seq_length = 4
    words = tokenizer(boi_token="<vs>", eoi_token="<ve>", image_token="<image>")
    model = spread(hf.Gemma3ForConditionalGeneration(config))
    return model, hf.Gemma3Processor(images, words, image_seq_length=4)


def llava_onevision() -> tuple[Any, Any]:
    """Tiles after a thumbnail, put together again before they are padded to a square."""
    config = hf.LlavaOnevisionConfig(
        vision_config=_siglip(), text_config=hf.Qwen2Config(**_TEXT), image_token_index=ID("<image>"),
        video_token_index=ID("<video>"), image_grid_pinpoints=_GRIDS, vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )  # fmt: skip
    images = hf.LlavaOnevisionImageProcessor(size=_SQUARE, image_grid_pinpoints=_GRIDS)
    words = tokenizer(image_token="<image>", video_token="<video>")
    joint = hf.LlavaOnevisionProcessor(
        images, words, hf.LlavaOnevisionVideoProcessor(), num_image_tokens=16,
        vision_feature_select_strategy="full",
    )  # fmt: skip
    return spread(hf.LlavaOnevisionForConditionalGeneration(config)), joint


def vipllava() -> tuple[Any, Any]:
    """The features of several layers side by side."""
    config = hf.VipLlavaConfig(
        vision_config=hf.CLIPVisionConfig(**{**_VISION, "num_hidden_layers": 3}),
        text_config=hf.LlamaConfig(**_TEXT), image_token_index=ID("<image>"), vision_feature_layers=[-2, -1],
    )  # fmt: skip
    return spread(hf.VipLlavaForConditionalGeneration(config)), llava()[1]


def aya_vision(*, split: bool = False) -> tuple[Any, Any]:
    """Patches joined two by two before the projector; with ``split`` tiles, the thumbnail last."""
    config = hf.AyaVisionConfig(
        vision_config=_siglip(), text_config=hf.CohereConfig(**_TEXT), image_token_index=ID("<image>"),
        downsample_factor=2, adapter_layer_norm_eps=1e-6,
    )  # fmt: skip
    signs = dict(
        start_of_img_token="<img>", end_of_img_token="</img>", img_patch_token="<image>",
        img_line_break_token="<vs>", tile_token="<ve>", tile_global_token="<global-img>",
    )  # fmt: skip
    images = hf.GotOcr2ImageProcessor(size=_SQUARE, crop_to_patches=split, max_patches=6)
    joint = hf.AyaVisionProcessor(
        images, tokenizer(image_token="<image>", **signs), patch_size=8, img_size=SIDE, image_token="<image>",
        downsample_factor=2, **signs,
    )  # fmt: skip
    return spread(hf.AyaVisionForConditionalGeneration(config)), joint


_MERGED = dict(
    hidden_size=24, num_heads=2, intermediate_size=32, out_hidden_size=24, patch_size=8,
    num_position_embeddings=16,
)  # fmt: skip


def qwen3_vl_moe() -> tuple[Any, Any]:
    """Experts, and features of earlier blocks added in the language model."""
    experts = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
    config = hf.Qwen3VLMoeConfig(
        vision_config={**_MERGED, "depth": 3, "deepstack_visual_indexes": [0]},
        text_config={**_TEXT, "rope_parameters": _SECTIONS, **experts}, **_SIGNS,
    )  # fmt: skip
    return spread(hf.Qwen3VLMoeForConditionalGeneration(config)), _qwen(hf.Qwen3VLProcessor)


def qwen3_5() -> tuple[Any, Any]:
    """The same vision encoder under another language model."""
    layers = {"layer_types": ["full_attention", "full_attention"]}
    config = hf.Qwen3_5Config(
        vision_config={**_MERGED, "depth": 2},
        text_config={**_TEXT, "rope_parameters": _SECTIONS, **layers}, **_SIGNS,
    )  # fmt: skip
    return spread(hf.Qwen3_5ForConditionalGeneration(config)), _qwen(hf.Qwen3VLProcessor)


def glm4v() -> tuple[Any, Any]:
    """Native resolution, patches merged two by two."""
    vision = dict(
        depth=2, hidden_size=24, num_heads=2, intermediate_size=32, out_hidden_size=24, patch_size=8,
        image_size=64,
    )  # fmt: skip
    config = hf.Glm4vConfig(
        vision_config=vision,
        text_config={**_TEXT, "rope_parameters": {**_SECTIONS, "partial_rotary_factor": 1.0}},
        image_token_id=ID("<image>"), video_token_id=ID("<video>"), image_start_token_id=ID("<vs>"),
        image_end_token_id=ID("<ve>"),
    )  # fmt: skip
    images = hf.Glm4vImageProcessor(
        patch_size=8, merge_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    )
    words = tokenizer(image_token="<image>", video_token="<video>")
    joint = hf.Glm4vProcessor(images, words, hf.Glm4vVideoProcessor())
    return spread(hf.Glm4vForConditionalGeneration(config)), joint


def instructblip_opt() -> tuple[Any, Any]:
    """Queries that read the prompt too."""
    return _instructblip(
        hf.OPTConfig(
            vocab_size=SIZE, hidden_size=24, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=64, word_embed_proj_dim=24, bos_token_id=ID("[BOS]"),
            eos_token_id=ID("[EOS]"), pad_token_id=ID("[PAD]"),
        )
    )  # fmt: skip


def instructblip_t5() -> tuple[Any, Any]:
    """The same before an encoder with a decoder."""
    return _instructblip(
        hf.T5Config(
            vocab_size=SIZE, d_model=24, d_kv=12, d_ff=32, num_layers=2, num_heads=2,
            decoder_start_token_id=ID("[PAD]"), eos_token_id=ID("[EOS]"), pad_token_id=ID("[PAD]"),
        )
    )  # fmt: skip


def _instructblip(text: Any) -> tuple[Any, Any]:
    config = hf.InstructBlipConfig(
        vision_config={**_VISION}, qformer_config=_QFORMER, text_config=text, num_query_tokens=4,
        image_token_index=ID("<image>"),
    )  # fmt: skip
    joint = hf.InstructBlipProcessor(
        hf.BlipImageProcessor(size=_SQUARE), tokenizer(), tokenizer(bert=True), num_query_tokens=4
    )
    return spread(hf.InstructBlipForConditionalGeneration(config)), joint


MORE = (
    gemma3, llava_onevision, vipllava, aya_vision, qwen3_vl_moe, qwen3_5, glm4v, instructblip_opt,
    instructblip_t5,
)  # fmt: skip
