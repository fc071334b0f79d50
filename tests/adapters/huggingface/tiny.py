"""Every family of transformers models at a tiny size, on random weights, with processors made in memory."""

from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

SIDE = 32  # pixels of the network input, where it is fixed
WORDS = [
    "a",
    "the",
    "dog",
    "cat",
    "red",
    "blue",
    "ball",
    "on",
    "grass",
    "runs",
    "two",
    "is",
    "what",
    "colour",
    "there",
    "yes",
    "no",
]
_PARTS = ["##s", "##ing", "."]
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[BOS]", "[EOS]", "[MASK]"]
_IMAGE = [
    "<image>", "<video>", "<vs>", "<ve>", "<fake_token_around_image>", "<global-img>",
    "<end_of_utterance>", "<img>", "</img>", "<ctx>",
    *(f"<row_{row}_col_{col}>" for row in range(1, 5) for col in range(1, 5)),
]  # fmt: skip
VOCABULARY = {word: at for at, word in enumerate([*_SPECIAL, *_IMAGE, *WORDS, *_PARTS])}
ID = VOCABULARY.__getitem__
SIZE = len(VOCABULARY)


def tokenizer(*, bert: bool = False, **extra: str) -> Any:
    """Whole words and two sub-words; with ``bert`` a text stands between [CLS] and [SEP]."""
    core = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]", continuing_subword_prefix="##"))
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit()])
    core.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    if bert:
        core.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ID("[CLS]")), ("[SEP]", ID("[SEP]"))]
        )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        bos_token="[BOS]", eos_token="[EOS]", mask_token="[MASK]", extra_special_tokens=extra,
    )  # fmt: skip


def spread(model: Any, seed: int = 0) -> Any:
    """Weights large enough that images and words matter; some configs start at 1e-10."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                scale = 1.0 / parameter[0].numel() ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale * 1.5)
            elif "class_embedding" in name or "cls" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    for module in model.modules():
        config = getattr(module, "generation_config", None)
        if config is not None:
            config.suppress_tokens = [*range(len(_SPECIAL) + len(_IMAGE))]
    return model.eval()


_VISION = dict(
    hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE,
    patch_size=8,
)  # fmt: skip
_TEXT = dict(
    vocab_size=SIZE, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=2, max_position_embeddings=512, head_dim=12, bos_token_id=ID("[BOS]"),
    eos_token_id=ID("[EOS]"),
    pad_token_id=ID("[PAD]"),
)  # fmt: skip
_SQUARE = {"height": SIDE, "width": SIDE}


def _blip_config() -> Any:
    text = dict(
        vocab_size=SIZE, hidden_size=24, encoder_hidden_size=24, intermediate_size=32, projection_dim=16,
        num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=64, bos_token_id=ID("[BOS]"),
        eos_token_id=ID("[EOS]"), pad_token_id=ID("[PAD]"), sep_token_id=ID("[SEP]"),
    )  # fmt: skip
    return hf.BlipConfig(
        vision_config={**_VISION}, text_config=text, projection_dim=16, image_text_hidden_size=16
    )


def _blip_processor() -> Any:
    return hf.BlipProcessor(hf.BlipImageProcessor(size=_SQUARE), tokenizer(bert=True))


def blip() -> tuple[Any, Any]:
    """A captioner with cross-attention."""
    return spread(hf.BlipForConditionalGeneration(_blip_config())), _blip_processor()


def blip_vqa() -> tuple[Any, Any]:
    """A VQA model that writes its answer."""
    return spread(hf.BlipForQuestionAnswering(_blip_config())), _blip_processor()


def git() -> tuple[Any, Any]:
    """A captioner whose image tokens stand in front of the words."""
    config = hf.GitConfig(
        vision_config={**_VISION}, vocab_size=SIZE, hidden_size=24, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64, bos_token_id=ID("[CLS]"), eos_token_id=ID("[SEP]"),
        pad_token_id=ID("[PAD]"),
    )  # fmt: skip
    images = hf.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=_SQUARE)
    return spread(hf.GitForCausalLM(config)), hf.GitProcessor(images, tokenizer(bert=True))


def vit_gpt2() -> tuple[Any, Any]:
    """An encoder and a decoder of one's choice."""
    decoder = hf.GPT2Config(
        vocab_size=SIZE, n_embd=24, n_layer=2, n_head=2, n_positions=64, add_cross_attention=True,
        bos_token_id=ID("[BOS]"), eos_token_id=ID("[EOS]"),
    )  # fmt: skip
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(hf.ViTConfig(**_VISION), decoder)
    config.decoder_start_token_id, config.pad_token_id = ID("[BOS]"), ID("[PAD]")
    model = spread(hf.VisionEncoderDecoderModel(config=config))
    return model, (hf.ViTImageProcessor(size=_SQUARE), tokenizer())


def swin_gpt2() -> tuple[Any, Any]:
    """A hierarchical encoder: no class token, 32 pixels a token, an image that is not square."""
    swin = hf.SwinConfig(
        image_size=(64, 96),
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=2,
    )
    decoder = hf.GPT2Config(
        vocab_size=SIZE, n_embd=64, n_layer=1, n_head=2, n_positions=64, add_cross_attention=True,
        bos_token_id=ID("[BOS]"), eos_token_id=ID("[EOS]"),
    )  # fmt: skip
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(swin, decoder)
    config.decoder_start_token_id, config.pad_token_id = ID("[BOS]"), ID("[PAD]")
    model = spread(hf.VisionEncoderDecoderModel(config=config))
    return model, (hf.ViTImageProcessor(size={"height": 64, "width": 96}), tokenizer())


_QFORMER = dict(
    vocab_size=SIZE, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    encoder_hidden_size=24,
)  # fmt: skip


def blip2_opt() -> tuple[Any, Any]:
    """Queries between the vision encoder and a language model."""
    opt = hf.OPTConfig(
        vocab_size=SIZE, hidden_size=24, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, word_embed_proj_dim=24, bos_token_id=ID("[BOS]"),
        eos_token_id=ID("[EOS]"),
        pad_token_id=ID("[PAD]"),
    )  # fmt: skip
    return _blip2(opt, tokenizer())


def blip2_t5() -> tuple[Any, Any]:
    """Queries between the vision encoder and an encoder with a decoder."""
    t5 = hf.T5Config(
        vocab_size=SIZE, d_model=24, d_kv=12, d_ff=32, num_layers=2, num_heads=2,
        decoder_start_token_id=ID("[PAD]"),
        eos_token_id=ID("[EOS]"), pad_token_id=ID("[PAD]"),
    )  # fmt: skip
    return _blip2(t5, tokenizer())


def _blip2(text: Any, words: Any) -> tuple[Any, Any]:
    config = hf.Blip2Config(
        vision_config={**_VISION}, qformer_config=_QFORMER, text_config=text, num_query_tokens=4,
        image_token_index=ID("<image>"),
    )  # fmt: skip
    model = spread(hf.Blip2ForConditionalGeneration(config))
    return model, hf.Blip2Processor(hf.BlipImageProcessor(size=_SQUARE), words, num_query_tokens=4)


def llava() -> tuple[Any, Any]:
    """CLIP features through a projector into a language model; the centre of the image alone is seen."""
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**{**_VISION, "num_hidden_layers": 3}),
        text_config=hf.LlamaConfig(**_TEXT), image_token_index=ID("<image>"),
    )  # fmt: skip
    images = hf.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=_SQUARE)
    joint = hf.LlavaProcessor(
        images, tokenizer(image_token="<image>"), patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )  # fmt: skip
    return spread(hf.LlavaForConditionalGeneration(config)), joint


def llava_next() -> tuple[Any, Any]:
    """Tiles after a thumbnail."""
    grids = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**{**_VISION, "num_hidden_layers": 3}),
        text_config=hf.LlamaConfig(**_TEXT), image_token_index=ID("<image>"), image_grid_pinpoints=grids,
    )  # fmt: skip
    images = hf.LlavaNextImageProcessor(
        size={"shortest_edge": SIDE}, crop_size=_SQUARE, image_grid_pinpoints=grids
    )
    joint = hf.LlavaNextProcessor(
        images, tokenizer(image_token="<image>"), patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )  # fmt: skip
    return spread(hf.LlavaNextForConditionalGeneration(config)), joint


def paligemma() -> tuple[Any, Any]:
    """SigLIP features; image and prompt see each other, the answer is causal."""
    text = hf.GemmaConfig(**_TEXT)
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**{**_VISION, "vision_use_head": False}), text_config=text,
        image_token_index=ID("<image>"), projection_dim=24, hidden_size=24,
    )  # fmt: skip
    images = hf.SiglipImageProcessor(size=_SQUARE)
    images.image_seq_length = 16
    joint = hf.PaliGemmaProcessor(images, tokenizer(image_token="<image>"))
    return spread(hf.PaliGemmaForConditionalGeneration(config)), joint


def idefics3(*, split: bool = False) -> tuple[Any, Any]:
    """Patches shuffled into fewer tokens by a connector; with ``split`` tiles, the thumbnail last."""
    config = hf.Idefics3Config(**_shuffled())
    images = hf.Idefics3ImageProcessor(**_tiles(split))
    joint = hf.Idefics3Processor(images, _signs(), image_seq_len=4)
    return spread(hf.Idefics3ForConditionalGeneration(config)), joint


def smolvlm(*, split: bool = False) -> tuple[Any, Any]:
    """Idefics3 by another name, with a processor of its own."""
    config = hf.SmolVLMConfig(**_shuffled())
    images = hf.SmolVLMImageProcessor(**_tiles(split))
    videos = hf.SmolVLMVideoProcessor(size={"longest_edge": SIDE})
    joint = hf.SmolVLMProcessor(images, _signs(), videos, image_seq_len=4)
    return spread(hf.SmolVLMForConditionalGeneration(config)), joint


def _shuffled() -> dict[str, Any]:
    return dict(
        vision_config={**_VISION}, text_config=hf.LlamaConfig(**_TEXT), scale_factor=2,
        image_token_id=ID("<image>"), pad_token_id=ID("[PAD]"),
    )  # fmt: skip


def _tiles(split: bool) -> dict[str, Any]:
    return dict(
        size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=split
    )


def _signs() -> Any:
    return tokenizer(
        image_token="<image>", fake_image_token="<fake_token_around_image>",
        global_image_token="<global-img>", end_of_utterance_token="<end_of_utterance>",
    )  # fmt: skip


def internvl(*, split: bool = False) -> tuple[Any, Any]:
    """Patches joined two by two before the projector."""
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(**{**_VISION, "image_size": [SIDE, SIDE], "patch_size": [8,
        8]}),
        text_config=hf.Qwen2Config(**_TEXT), image_token_id=ID("<ctx>"), image_seq_length=4,
        downsample_ratio=0.5,
    )  # fmt: skip
    words = tokenizer(
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<ctx>",
        video_token="<video>",
    )
    images = hf.GotOcr2ImageProcessor(size=_SQUARE, crop_to_patches=split, max_patches=6)
    return spread(hf.InternVLForConditionalGeneration(config)), hf.InternVLProcessor(
        images, words, hf.InternVLVideoProcessor(), image_seq_length=4
    )


_SECTIONS = {"rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 10000.0}


def qwen2_vl() -> tuple[Any, Any]:
    """Native resolution, patches merged two by two."""
    vision = dict(depth=2, embed_dim=24, hidden_size=24, num_heads=2, mlp_ratio=2, patch_size=8)
    config = hf.Qwen2VLConfig(
        vision_config=vision, text_config={**_TEXT, "rope_parameters": _SECTIONS},
        image_token_id=ID("<image>"),
        video_token_id=ID("<video>"), vision_start_token_id=ID("<vs>"), vision_end_token_id=ID("<ve>"),
    )  # fmt: skip
    return spread(hf.Qwen2VLForConditionalGeneration(config)), _qwen(hf.Qwen2VLProcessor)


def qwen2_5_vl() -> tuple[Any, Any]:
    """Native resolution, attention in windows."""
    vision = dict(
        depth=2, hidden_size=24, num_heads=2, intermediate_size=32, out_hidden_size=24, patch_size=8,
        window_size=32, fullatt_block_indexes=[1],
    )  # fmt: skip
    config = hf.Qwen2_5_VLConfig(
        vision_config=vision, text_config={**_TEXT, "rope_parameters": _SECTIONS},
        image_token_id=ID("<image>"),
        video_token_id=ID("<video>"), vision_start_token_id=ID("<vs>"), vision_end_token_id=ID("<ve>"),
    )  # fmt: skip
    return spread(hf.Qwen2_5_VLForConditionalGeneration(config)), _qwen(hf.Qwen2_5_VLProcessor)


def qwen3_vl() -> tuple[Any, Any]:
    """Native resolution, features of earlier blocks added in the language model."""
    vision = dict(
        depth=3, hidden_size=24, num_heads=2, intermediate_size=32, out_hidden_size=24, patch_size=8,
        deepstack_visual_indexes=[0], num_position_embeddings=16,
    )  # fmt: skip
    config = hf.Qwen3VLConfig(
        vision_config=vision, text_config={**_TEXT, "rope_parameters": _SECTIONS},
        image_token_id=ID("<image>"),
        video_token_id=ID("<video>"), vision_start_token_id=ID("<vs>"), vision_end_token_id=ID("<ve>"),
    )  # fmt: skip
    return spread(hf.Qwen3VLForConditionalGeneration(config)), _qwen(hf.Qwen3VLProcessor)


def _qwen(kind: Any) -> Any:
    images = hf.Qwen2VLImageProcessor(
        patch_size=8, merge_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    )
    words = tokenizer(
        image_token="<image>", video_token="<video>", vision_start_token="<vs>", vision_end_token="<ve>",
        vision_bos_token="<vs>", vision_eos_token="<ve>",
    )  # fmt: skip
    videos = hf.Qwen3VLVideoProcessor() if kind is hf.Qwen3VLProcessor else hf.Qwen2VLVideoProcessor()
    return kind(images, words, videos)


def florence2() -> tuple[Any, Any]:
    """A feature map with rows and columns into an encoder with a decoder."""
    vision = dict(
        embed_dim=[8, 8, 16, 24], depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], num_groups=[1, 1, 2, 2],
        window_size=2,
        projection_dim=24, max_position_embeddings=8,
    )  # fmt: skip
    text = hf.BartConfig(
        vocab_size=SIZE, d_model=24, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=128,
        bos_token_id=ID("[BOS]"), eos_token_id=ID("[EOS]"), pad_token_id=ID("[PAD]"),
        decoder_start_token_id=ID("[EOS]"),
        forced_bos_token_id=ID("[BOS]"), forced_eos_token_id=None,
    )  # fmt: skip
    config = hf.Florence2Config(vision_config=vision, text_config=text, image_token_id=ID("<image>"))
    images = hf.CLIPImageProcessor(size={"height": 128, "width": 128}, do_center_crop=False)
    images.image_seq_length = 17
    joint = hf.Florence2Processor(images, tokenizer(image_token="<image>"))
    return spread(hf.Florence2ForConditionalGeneration(config)), joint


def vilt() -> tuple[Any, Any]:
    """Words and patches in one transformer, three answers."""
    config = hf.ViltConfig(
        vocab_size=SIZE, hidden_size=24, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        image_size=SIDE, patch_size=8, max_position_embeddings=32, num_labels=3, max_image_length=-1,
        id2label={0: "yes", 1: "no", 2: "red"}, label2id={"yes": 0, "no": 1, "red": 2},
    )  # fmt: skip
    images = hf.ViltImageProcessor(size={"shortest_edge": SIDE}, size_divisor=8)
    return spread(hf.ViltForQuestionAnswering(config)), hf.ViltProcessor(images, tokenizer(bert=True))


def clip() -> tuple[Any, Any]:
    """Image and text embeddings; the class token stands for the image."""
    text = dict(
        vocab_size=SIZE, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16, bos_token_id=ID("[CLS]"), eos_token_id=ID("[SEP]"),
        pad_token_id=ID("[PAD]"),
    )  # fmt: skip
    config = hf.CLIPConfig(text_config=text, vision_config={**_VISION}, projection_dim=16)
    images = hf.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=_SQUARE)
    return spread(hf.CLIPModel(config)), hf.CLIPProcessor(images, tokenizer(bert=True))


def siglip() -> tuple[Any, Any]:
    """Image and text embeddings; the image's is pooled by attention over all patches."""
    text = dict(
        vocab_size=SIZE, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16, projection_size=24,
    )  # fmt: skip
    config = hf.SiglipConfig(text_config=text, vision_config={**_VISION})
    words = tokenizer(bert=True)
    words.model_max_length = 16
    return spread(hf.SiglipModel(config)), hf.SiglipProcessor(hf.SiglipImageProcessor(size=_SQUARE), words)


_LABELS = {
    "num_labels": 3,
    "id2label": {0: "dog", 1: "cat", 2: "ball"},
    "label2id": {"dog": 0, "cat": 1, "ball": 2},
}


def vit() -> tuple[Any, Any]:
    """A classifier on the class token."""
    return spread(hf.ViTForImageClassification(hf.ViTConfig(**_VISION, **_LABELS))), hf.ViTImageProcessor(
        size=_SQUARE
    )


def swin() -> tuple[Any, Any]:
    """A hierarchical classifier on the mean of its tokens."""
    config = hf.SwinConfig(
        image_size=64,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[1, 1, 2],
        window_size=2,
        **_LABELS,
    )
    images = hf.ViTImageProcessor(size={"height": 64, "width": 64})
    return spread(hf.SwinForImageClassification(config)), images


def dinov2() -> tuple[Any, Any]:
    """A classifier with register tokens behind the class token."""
    config = hf.Dinov2WithRegistersConfig(**{**_VISION, "mlp_ratio": 2}, num_register_tokens=4, **_LABELS)
    return spread(hf.Dinov2WithRegistersForImageClassification(config)), hf.ViTImageProcessor(size=_SQUARE)


def hiera() -> tuple[Any, Any]:
    """A hierarchical classifier that holds its patches in the order of mask units."""
    config = hf.HieraConfig(
        image_size=[64, 96], embed_dim=8, depths=[1, 1, 2, 1], num_heads=[1, 1, 2, 2],
        masked_unit_size=[8, 8], **_LABELS,
    )  # fmt: skip
    images = hf.ViTImageProcessor(size={"height": 64, "width": 96})
    return spread(hf.HieraForImageClassification(config)), images


def hiera_gpt2() -> tuple[Any, Any]:
    """Such an encoder for a captioner."""
    config = hf.HieraConfig(
        image_size=[64, 96], embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], num_query_pool=2,
    )  # fmt: skip
    return _captioner(config), (hf.ViTImageProcessor(size={"height": 64, "width": 96}), tokenizer())


def _captioner(encoder: Any) -> Any:
    decoder = hf.GPT2Config(
        vocab_size=SIZE, n_embd=encoder.hidden_size, n_layer=1, n_head=2, n_positions=64,
        add_cross_attention=True, bos_token_id=ID("[BOS]"), eos_token_id=ID("[EOS]"),
    )  # fmt: skip
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id = ID("[BOS]"), ID("[PAD]")
    return spread(hf.VisionEncoderDecoderModel(config=config))


def naflex() -> tuple[Any, Any]:
    """Image and text embeddings; images keep their proportions, in patches that the processor cuts."""
    text = dict(
        vocab_size=SIZE, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, projection_size=24,
    )  # fmt: skip
    vision = dict(
        hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_patches=16,
        patch_size=8,
    )  # fmt: skip
    images = hf.Siglip2ImageProcessor(patch_size=8, max_num_patches=16)
    model = spread(hf.Siglip2Model(hf.Siglip2Config(text_config=text, vision_config=vision)))
    return model, hf.Siglip2Processor(images, tokenizer(bert=True))


def naflex_classifier() -> tuple[Any, Any]:
    """A classifier on such patches."""
    model, processor = naflex()
    config = hf.Siglip2Config(
        text_config=model.config.text_config.to_dict(), vision_config=model.config.vision_config.to_dict(),
        **_LABELS,
    )  # fmt: skip
    return spread(hf.Siglip2ForImageClassification(config)), processor.image_processor


def resnet() -> tuple[Any, Any]:
    """A CNN."""
    config = hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **_LABELS
    )
    images = hf.ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=1.0)
    return spread(hf.ResNetForImageClassification(config)), images


SPEAKERS = (
    blip, blip_vqa, git, vit_gpt2, swin_gpt2, blip2_opt, blip2_t5, llava, llava_next, paligemma, idefics3,
    smolvlm, internvl, qwen2_vl, qwen2_5_vl, qwen3_vl, florence2,
)  # fmt: skip
CLASSIFIERS = (vit, swin, dinov2, resnet)
