"""The memory of an explanation by arithmetic: by hand, beside what is really kept, and what it must obey."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from PIL import Image

from tests.adapters.huggingface import tiny, tiny_more
from vlx.adapters.huggingface import wrap
from vlx.adapters.huggingface.blueprint import Asked, shape_of
from vlx.adapters.huggingface.footprint import Block, fitting
from vlx.adapters.huggingface.plan import config_of, plan_of
from vlx.errors import CheckpointError, LayerError, VlxError
from vlx.methods.gradients import ROOM

LLAVA_7B: Any = dict(
    image_token_index=32000,
    text_config=dict(
        model_type="llama", hidden_size=4096, intermediate_size=11008, num_hidden_layers=32,
        num_attention_heads=32, vocab_size=32064,
    ),
    vision_config=dict(
        model_type="clip_vision_model", hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
        num_attention_heads=16, image_size=336, patch_size=14,
    ),
)  # fmt: skip
QWEN2_VL_7B: Any = dict(
    text_config=dict(
        hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28,
        num_key_value_heads=4, vocab_size=152064,
    ),
    vision_config=dict(
        depth=32, embed_dim=1280, hidden_size=3584, num_heads=16, mlp_ratio=4, patch_size=14
    ),
)  # fmt: skip
PHOTO = 640, 480
TEXT = "a red dog runs on the grass"


def llava_7b() -> Any:
    return hf.LlavaConfig(architectures=["LlavaForConditionalGeneration"], **LLAVA_7B)


def config_of_tiny(model: Any) -> Any:
    model.config.architectures = [type(model).__name__]
    return model.config


def test_a_block_by_hand():
    block = Block(tokens=2, hidden=4, heads=2, head=2, width=8)
    norms = 2 * (2 * 4 * 4 + 2 * 8)
    attention = 4 * (2 * 2 * 4 + 2 * 2 * 4) + 4 * 2 * 2
    assert block.kept(4, "sdpa") == norms + attention + 4 * 2 * 8
    assert block.kept(4, "eager") == norms + 4 * 3 * 2 * 4 + 4 * 2 * 2 * 2 + 4 * 2 * 8


def test_a_block_of_half_precision_keeps_its_norms_and_softmax_in_single_precision():
    block = Block(tokens=3, hidden=4, heads=2, head=2, width=6, shared=1, gated=True, rms=True, count=5)
    norms, mlp = 2 * 4 * 3 * 4, 2 * 3 * 3 * 6
    assert block.kept(2, "sdpa") == 5 * (norms + mlp + 2 * (2 * 3 * 4 + 2 * 3 * 2) + 4 * 2 * 3)
    assert block.kept(2, "eager") == 5 * (norms + mlp + 2 * 3 * 3 * 4 + (2 + 4) * 2 * 3 * 3)


def test_cross_attention_keeps_what_it_reads():
    block = Block(tokens=2, hidden=4, heads=2, head=2, width=8)
    reading = replace(block, reads=10)
    more = reading.kept(4, "sdpa") - block.kept(4, "sdpa")
    assert more == (2 * 4 * 4 + 2 * 8) + 4 * (2 * 2 * 4 + 2 * 10 * 4) + 4 * 2 * 2
    assert replace(reading, every=2, count=2).kept(4, "sdpa") == 2 * block.kept(4, "sdpa") + more


@pytest.mark.parametrize(
    ("build", "least"),
    [
        (tiny.llava, 0.9),
        (tiny.paligemma, 0.85),
        (tiny_more.vipllava, 0.9),
        (tiny.llava_next, 0.9),
        (tiny_more.llava_onevision, 0.9),
        (tiny.blip, 0.85),
        (tiny.vit_gpt2, 0.85),
        (tiny.blip2_opt, 0.85),
    ],
)
def test_what_is_kept_is_what_automatic_differentiation_saves(build: Callable[[], Any], least: float) -> None:
    model, processor = build()
    adapter: Any = wrap(model, *processor) if isinstance(processor, tuple) else wrap(model, processor)
    image = Image.new("RGB", PHOTO)
    weights = {one.untyped_storage().data_ptr() for one in (*model.parameters(), *model.buffers())}
    saved: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        adapter.read([image], [TEXT])
    item = adapter._item(image, TEXT, adapter.family.describe)
    prompt = item.inputs["input_ids"][0].tolist() if "input_ids" in item.inputs else []
    before = len(prompt) - prompt.count(tiny.ID("<image>")) - len(item.ids) if prompt else 0
    asked = Asked(words=7, prompt=before, tokens=len(item.ids), image=PHOTO)
    shape = shape_of(config_of_tiny(model), asked)
    kept = shape.parts(7, 7, 4, "sdpa")["activations"]
    assert least < kept / sum(storage.nbytes() for storage in saved.values()) < 2 - least


@pytest.mark.parametrize(
    "build",
    [
        tiny.llava, tiny.qwen2_vl, tiny.qwen2_5_vl, tiny.qwen3_vl, tiny.blip, tiny.blip_vqa, tiny.vit_gpt2,
        tiny.blip2_opt, tiny.blip2_t5, tiny.paligemma, tiny.internvl, tiny.smolvlm, tiny.vit, tiny.dinov2,
        tiny.clip, tiny.siglip, tiny_more.gemma3, tiny_more.aya_vision, tiny_more.qwen3_vl_moe,
        tiny_more.glm4v,
        tiny_more.instructblip_t5,
    ],
)  # fmt: skip
def test_parameters_are_those_of_the_model_that_is_built(build: Callable[[], Any]) -> None:
    model = build()[0]
    planned = plan_of(config_of_tiny(model), Asked(words=3), "float32")
    assert planned.parameters == sum(one.numel() for one in model.parameters())
    stored = (*model.parameters(), *model.buffers())
    assert planned.weights == sum(one.numel() * one.element_size() for one in stored)


def test_tied_weights_count_once():
    text = dict(model_type="llama", hidden_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=100)
    vision = {**LLAVA_7B["vision_config"], "num_hidden_layers": 1, "hidden_size": 16}
    found = [
        plan_of(
            hf.LlavaConfig(
                text_config={**text, "tie_word_embeddings": tied},
                vision_config=vision,
                tie_word_embeddings=tied,
            ),
            Asked(words=1),
        ).parameters
        for tied in (True, False)
    ]
    assert found[1] - found[0] == 8 * 100


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_more_words_text_and_digits_take_more(attention: Any) -> None:
    config = llava_7b()

    def total(words: int, tokens: int = 16, precision: str = "bfloat16") -> int:
        size = {"bfloat16": 2, "float32": 4}[precision]
        shape = shape_of(config, Asked(words=words, tokens=tokens))
        return sum(shape.parts(words, words, size, attention).values())

    by_words = [total(words) for words in range(1, 13)]
    assert by_words == sorted(set(by_words))
    assert total(4, 16) < total(4, 17) < total(4, 400)
    assert total(4, precision="bfloat16") < total(4, precision="float32")


def test_eager_attention_takes_more():
    config, asked = llava_7b(), Asked()
    eager, sdpa = (plan_of(config, asked, attention=which).total for which in ("eager", "sdpa"))
    assert eager > sdpa


def test_the_most_words_that_fit():
    shape, size = shape_of(llava_7b(), Asked()), 2
    for memory in range(2 << 30, 8 << 30, 1 << 28):
        found = fitting(shape, 0, 12, memory, size, "eager")
        if found:
            assert sum(shape.parts(12, found, size, "eager").values()) <= memory
        if found < 12:
            assert sum(shape.parts(12, found + 1, size, "eager").values()) > memory
    assert fitting(shape, 0, 12, 1 << 20, size, "eager") == 0


def test_models_of_seven_billion():
    planned = plan_of(llava_7b(), Asked(), memory=24 << 30)
    assert planned.parameters == 7_063_427_072  # as published
    assert (planned.shape.image_tokens, planned.at_once) == (576, 12)
    assert (
        2.2 < planned.parts["activations"] / 2**30 < 2.8
    )  # 32 layers of about 132 kB for each of 624 tokens
    single = plan_of(llava_7b(), Asked(), "float32", memory=24 << 30)
    assert single.weights > 24 << 30
    config = hf.Qwen2VLConfig(architectures=["Qwen2VLForConditionalGeneration"], **QWEN2_VL_7B)
    qwen = plan_of(config, Asked())
    assert round(qwen.parameters / 1e9, 2) == 8.29
    assert qwen.shape.image_tokens == 23 * 17


@pytest.mark.parametrize("size", [(640, 480), (300, 500), (2000, 3000), (40, 50)])
def test_image_tokens_of_a_photo_at_its_own_size(size: tuple[int, int]) -> None:
    config = hf.Qwen2VLConfig(**QWEN2_VL_7B)
    made = hf.Qwen2VLImageProcessor()(images=Image.new("RGB", size), return_tensors="pt")
    tokens = int(made["image_grid_thw"].prod()) // 4
    assert shape_of(config, Asked(image=size)).image_tokens == tokens


@pytest.mark.parametrize("size", [(640, 480), (300, 500), (1000, 1000), (100, 900)])
def test_tiles_of_a_photo(size: tuple[int, int]) -> None:
    vision: Any = dict(image_size=(448, 448), patch_size=(14, 14), hidden_size=32)
    config = hf.InternVLConfig(vision_config=vision, text_config=dict(model_type="qwen2"))
    images = hf.GotOcr2ImageProcessor(size={"height": 448, "width": 448}, crop_to_patches=True)
    made = images(images=Image.new("RGB", size), return_tensors="pt")
    assert shape_of(config, Asked(image=size)).image_tokens == 256 * len(made["pixel_values"])


@pytest.mark.parametrize("size", [(640, 480), (300, 500), (32, 32), (90, 40)])
@pytest.mark.parametrize("build", [tiny.llava_next, tiny_more.llava_onevision])
def test_tiles_without_their_padding(build: Callable[[], Any], size: tuple[int, int]) -> None:
    model, processor = build()
    adapter: Any = wrap(model, processor)
    ids = adapter._item(Image.new("RGB", size), TEXT, adapter.family.describe).inputs["input_ids"]
    said = shape_of(model.config, Asked(image=size)).image_tokens
    assert said == int((ids == tiny.ID("<image>")).sum())


def test_no_more_words_go_together_than_vlx_takes():
    vision: Any = dict(image_size=(448, 448), patch_size=(14, 14), hidden_size=1024)
    config = hf.InternVLConfig(vision_config=vision, text_config=dict(model_type="qwen2"))
    planned = plan_of(config, Asked(), "bfloat16", memory=1 << 40)
    features = 13 * 1024 * 1024 * 2
    assert (planned.at_once, planned.usual) == (4, ROOM // (32 * features))
    small = plan_of(config, Asked(), "bfloat16", memory=planned.total - 1)
    assert small.at_once < small.usual == 4


def test_a_layer_deeper_in_the_vision_encoder():
    config = llava_7b()
    last = plan_of(config, Asked(), layer="model.vision_tower.encoder.layers.23")
    deep = plan_of(config, Asked(), layer="model.vision_tower.encoder.layers.11.mlp")
    block = deep.shape.above[0]
    assert block.count == 12
    assert deep.parts["activations"] - last.parts["activations"] == block.kept(2, "sdpa")
    for wrong in ("model.multi_modal_projector", "model.language_model.layers.3", "nothing"):
        with pytest.raises(LayerError, match="no block of the vision encoder"):
            plan_of(config, Asked(), layer=wrong)


def test_what_cannot_be_planned(tmp_path: Path) -> None:
    with pytest.raises(VlxError, match=r"no plan for a model of type resnet: .* known are .*llava"):
        plan_of(hf.ResNetConfig(), Asked())
    with pytest.raises(VlxError, match="linear attention"):
        plan_of(hf.Qwen3_5Config(), Asked())
    quantised = llava_7b()
    quantised.quantization_config = {"load_in_4bit": True}
    with pytest.raises(VlxError, match="quantised"):
        plan_of(quantised, Asked())
    with pytest.raises(CheckpointError, match="has no config that can be read"):
        config_of(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "unheard-of"}))
    with pytest.raises(CheckpointError, match="has no config that can be read"):
        config_of(str(tmp_path))
