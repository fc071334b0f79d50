"""What `vlx check` says of small models of the families of transformers."""

import pytest

from tests.adapters.huggingface import tiny, tiny_more
from tests.check.broken import PICTURE, TEXT
from vlx.adapters.huggingface import wrap
from vlx.check.model import check_model

MODELS = (
    tiny.blip, tiny.blip_vqa, tiny.git, tiny.vit_gpt2, tiny.swin_gpt2, tiny.blip2_opt, tiny.blip2_t5,
    tiny.llava, tiny.llava_next, tiny.paligemma, tiny.idefics3, tiny.smolvlm, tiny.internvl, tiny.qwen2_vl,
    tiny.qwen2_5_vl, tiny.qwen3_vl, tiny.florence2, tiny.vilt, tiny.clip, tiny.siglip, tiny.vit, tiny.swin,
    tiny.dinov2, tiny.hiera, tiny.hiera_gpt2, tiny.naflex, tiny.naflex_classifier, tiny.resnet,
    tiny_more.gemma3, tiny_more.llava_onevision, tiny_more.vipllava, tiny_more.aya_vision,
    tiny_more.qwen3_vl_moe, tiny_more.qwen3_5, tiny_more.glm4v, tiny_more.instructblip_opt,
    tiny_more.instructblip_t5,
)  # fmt: skip
SCRAMBLED = {"git", "siglip", "naflex", "naflex_classifier", "glm4v", "florence2"}
"""On random weights, attention carries so much that few patches move their own cell most."""


def outcomes(build):
    model, processor = build()
    adapter = wrap(model, *(processor if isinstance(processor, tuple) else (processor,)))
    caption = TEXT if hasattr(adapter, "generate") else None
    picture = PICTURE.resize((320, 240))
    return {check.name: check for check in check_model(adapter, picture, caption=caption)}


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_models_of_every_family_pass(build):
    found = outcomes(build)
    failed = {name: check.told for name, check in found.items() if check.outcome == "fail"}
    if build.__name__ in SCRAMBLED:
        failed.pop("patches", None)
    assert failed == {}
    assert found["image"].outcome == "pass"


def test_an_order_of_tokens_that_the_network_keeps_to_itself_is_caught(monkeypatch):
    monkeypatch.setattr("vlx.adapters.huggingface.vision.raster_order", lambda *_: None)
    assert outcomes(tiny.hiera)["patches"].outcome == "fail"
