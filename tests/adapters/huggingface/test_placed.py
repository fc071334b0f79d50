"""Models whose weights are spread over devices, kept on disk until they are used, or quantised."""

import numpy as np
import pytest
import torch
import transformers as hf

import vlx
from tests.adapters.huggingface import tiny
from tests.adapters.huggingface.test_speakers import noise
from vlx.adapters.huggingface import load_huggingface, wrap
from vlx.errors import CheckpointError, LayerError, VlxError
from vlx.eval.items.models import in_precision

SAID = "a red dog"
TARGETS = [vlx.word(0), vlx.word("dog"), vlx.caption()]


def built(build):
    model, processor = build()
    return model, processor if isinstance(processor, tuple) else (processor,)


def saved(folder, build, **how):
    model, parts = built(build)
    model.save_pretrained(folder)
    for part in parts:
        part.save_pretrained(folder)
    return type(model).from_pretrained(folder, **how) if how else model


def maps(model, parts, **how):
    (found,) = vlx.explain(wrap(model, *parts).read([noise()], [SAID]), TARGETS, **how)
    return found.raw


def state(model):
    return {name: (weight.device, weight.requires_grad) for name, weight in model.named_parameters()}


@pytest.mark.parametrize("build", [tiny.blip, tiny.vit_gpt2, tiny.llava, tiny.qwen2_5_vl])
@pytest.mark.parametrize("kept", ["in memory", "on disk", "in part on disk"])
def test_weights_that_come_when_they_are_used(build, kept, tmp_path):
    """The same maps, and every weight is back where it was, as it was."""
    accelerate = pytest.importorskip("accelerate")
    model, parts = built(build)
    expected, wrote = maps(model, parts), wrap(model, *parts).generate([noise()])
    if kept == "in memory":
        model = accelerate.cpu_offload(model, execution_device="cpu")
    elif kept == "on disk":
        model = accelerate.disk_offload(model, tmp_path, execution_device="cpu")
    else:
        places = {name: "disk" if at else "cpu" for at, (name, _) in enumerate(model.named_children())}
        model = accelerate.dispatch_model(
            model, places, main_device="cpu", offload_dir=tmp_path, force_hooks=True
        )
    before = state(model)
    assert any(device.type == "meta" and learns for device, learns in before.values())
    np.testing.assert_array_equal(maps(model, parts), expected)
    assert state(model) == before
    assert wrap(model, *parts).generate([noise()]) == wrote


def of_four_bits(folder, build):
    """A model of 4-bit layers that pack their weights when they can, on whatever processor this is."""
    pytest.importorskip("bitsandbytes")
    four = hf.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    model = saved(folder, build, quantization_config=four, device_map={"": "cpu"}).eval()
    layers = [module for module in model.modules() if type(module).__name__ == "Linear4bit"]
    assert layers
    for layer in layers:
        assert hasattr(layer, "support_avx512bf16_for_cpu")
        layer.support_avx512bf16_for_cpu = True
    return model, layers


@pytest.mark.parametrize("build", [tiny.blip, tiny.llava])
def test_weights_of_four_bits_give_the_maps_of_their_values(build, tmp_path):
    """Also where the processor would have them packed for products without gradients."""
    model, layers = of_four_bits(tmp_path, build)
    found, looped = (maps(model, built(build)[1], chunk=chunk) for chunk in (None, 1))
    np.testing.assert_allclose(found, looped, rtol=1e-4, atol=1e-6 * found.max())
    assert all(layer.support_avx512bf16_for_cpu for layer in layers)
    plain = maps(model.dequantize(), built(build)[1])
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=1e-5 * found.max())


def test_weights_of_four_bits_that_were_packed_are_refused(tmp_path):
    """No gradients pass them, though some go around: a map would be wrong and nobody would see it."""
    model, layers = of_four_bits(tmp_path, tiny.blip)
    layers[0].weight.quant_state.packing_format_for_cpu = True
    with pytest.raises(LayerError, match=r"4-bit weights of \S+ were packed .* load the model anew"):
        maps(model, built(tiny.blip)[1])


def test_a_model_of_four_bits_writes_before_it_is_explained(tmp_path):
    model, _ = of_four_bits(tmp_path, tiny.blip)
    adapter = wrap(model, *built(tiny.blip)[1])
    said = adapter.generate([noise()])[0]
    explanation = vlx.explain_caption(adapter, noise(), said)
    assert (explanation.raw != 0).any()


def test_weights_of_eight_bits_stay_near(tmp_path):
    """These round their inputs too, and gradients pass by the rounding."""
    pytest.importorskip("bitsandbytes")
    eight = hf.BitsAndBytesConfig(load_in_8bit=True)
    model = saved(tmp_path, tiny.blip, quantization_config=eight, device_map={"": "cpu"}).eval()
    found, full = maps(model, built(tiny.blip)[1]), maps(*built(tiny.blip))
    assert np.corrcoef(found.ravel(), full.ravel())[0, 1] > 0.99


def test_a_quantised_folder_loads_where_it_is_asked_to(tmp_path):
    pytest.importorskip("bitsandbytes")
    four = hf.BitsAndBytesConfig(load_in_4bit=True)
    saved(tmp_path, tiny.blip, quantization_config=four, device_map={"": "cpu"}).save_pretrained(tmp_path)
    adapter = load_huggingface(str(tmp_path))
    assert torch.uint8 in {weight.dtype for weight in adapter.model.parameters()}
    assert vlx.explain_caption(adapter, noise(), SAID).raw.shape == (4, 4, 4)
    with pytest.raises(VlxError, match="quantised"):
        in_precision(adapter, "float32")


def test_a_model_is_spread_when_asked(run, tmp_path):
    pytest.importorskip("accelerate")
    saved(tmp_path / "model", tiny.blip)
    noise().save(tmp_path / "photo.png")
    status, out, err = run(
        "caption", tmp_path / "photo.png", "--model", f"hf:{tmp_path / 'model'}", "--caption", SAID,
        "--device", "auto",
    )  # fmt: skip
    assert status == 0, err
    assert "red" in out
    status, _, err = run("caption", tmp_path / "photo.png", "--device", "auto")
    assert status == 1
    assert "not scenes/captioner" in err


def test_what_spreads_models_is_missing(tmp_path, monkeypatch):
    saved(tmp_path, tiny.blip)
    monkeypatch.setattr("transformers.integrations.accelerate.is_accelerate_available", lambda: False)
    monkeypatch.setattr("transformers.modeling_utils.is_accelerate_available", lambda: False)
    with pytest.raises(CheckpointError, match="accelerate"):
        load_huggingface(str(tmp_path), device="auto")
