"""On a device: the maps of the CPU, flags as they were, the same digits twice, and few waits.

They run where they are sent (see `tests.placed`): to a GPU by ``make check-gpu``, and with
``VLX_TEST_DEVICE=cpu``, which proves the tests, here.
"""

import os
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import vlx
from tests.adapters import small
from tests.adapters.huggingface import tiny
from tests.adapters.huggingface.test_speakers import noise
from tests.adapters.tiny_resnet import tiny_resnet
from tests.passes.test_capture import state_of
from tests.placed import DEVICE, DTYPE
from vlx.adapters.huggingface import wrap
from vlx.adapters.parts.classifier import Classifier
from vlx.eval.items.options import Options
from vlx.images.preprocess import imagenet
from vlx.scenes.models import load_captioner, load_vqa

pytestmark = pytest.mark.skipif("VLX_TEST_DEVICE" not in os.environ, reason="see make check-gpu")
CUDA = DEVICE.type == "cuda"
on_a_gpu = pytest.mark.skipif(not CUDA, reason="no GPU asked for: see make check-gpu")
own_precision = pytest.mark.skipif(DTYPE is not None, reason="compares in double precision")

PHOTOS = small.photos((32, 32), (48, 60))
SAID = ["a dog on the grass", "red bike"]
ASKED = ["what is red ?", "is the dog on the grass ?"]
WORDS = [vlx.word(0), vlx.word(1), vlx.caption()]
ANSWERS = [vlx.answer("yes"), vlx.answer("red")]
CLASSES = [vlx.label(0), vlx.label(3)]
FEW = (vlx.rise_with(count=40), vlx.score_cam, vlx.ablation_cam, vlx.smooth_gradient)
WINDOWS = (
    vlx.occlusion_with(size=10, stride=7), vlx.reveal_with(size=10, stride=11),
    vlx.reveal_and_hide_with(size=10, stride=11), vlx.bands_with(count=3),
)  # fmt: skip
SLOW = (vlx.rise, vlx.occlusion, vlx.reveal, vlx.reveal_and_hide, vlx.bands)
METHODS = [*(method for method in vlx.METHODS if method not in (*SLOW, *FEW)), *FEW, *WINDOWS]


def classifier() -> Classifier:
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))
    net = nn.Sequential(*tiny_resnet(), *head).double().eval()
    return Classifier(net, [f"class {at}" for at in range(5)], imagenet(64))


READ: dict[str, Callable[[], tuple[Any, Callable[[Any], vlx.Pass], list[vlx.Target]]]] = {
    "captioner": lambda: (small.captioner(), lambda model: model.read(PHOTOS, SAID), WORDS),
    "vqa": lambda: (small.vqa(), lambda model: model.read(PHOTOS, ASKED), ANSWERS),
    "classifier": lambda: (classifier(), lambda model: model.read(PHOTOS), CLASSES),
}


@own_precision
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("what", READ)
def test_maps_are_those_of_the_cpu(what, method):
    model, read, targets = READ[what]()
    if what == "classifier" and method.rule_above:
        pytest.skip("no ReLU above the last block")
    expected = vlx.explain(read(model), targets, method)
    model.network.to(DEVICE)
    run = read(model)
    assert run.features.device.type == DEVICE.type
    found = vlx.explain(run, targets, method)
    for one, other in zip(found, expected, strict=True):
        scale = np.abs(other.raw).max()
        np.testing.assert_allclose(one.raw, other.raw, rtol=0, atol=1e-5 * max(scale, 1e-30))
        scores = ([target.score for target in of.targets] for of in (one, other))
        np.testing.assert_allclose(*scores, rtol=1e-7)


@own_precision
@pytest.mark.parametrize("stride", [5, 16])
def test_windows_change_parts_alone_on_the_device_too(stride, monkeypatch):
    """VGG-like chains: what a window changes, computed alone, gives what the whole gives."""
    model = small.captioner()
    model.network.to(DEVICE)
    method = vlx.occlusion_with(size=9, stride=stride)
    (quick, *_) = vlx.explain(model.read(PHOTOS, SAID), WORDS, method)
    run = model.read(PHOTOS, SAID)
    assert run.below is not None
    (whole, *_) = vlx.explain(replace(run, below=replace(run.below, cnn=None)), WORDS, method)
    np.testing.assert_allclose(quick.raw, whole.raw, rtol=0, atol=1e-6 * np.abs(whole.raw).max())


def flags() -> list[Any]:
    backends = torch.backends
    return [
        torch.is_grad_enabled(), torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled(),
        backends.cudnn.enabled, backends.cudnn.benchmark, backends.cudnn.deterministic,
        backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, backends.mkldnn.enabled,
        backends.cuda.flash_sdp_enabled(), backends.cuda.math_sdp_enabled(),
        backends.cuda.mem_efficient_sdp_enabled(), torch.is_autocast_enabled(DEVICE.type),
        torch.random.get_rng_state().tolist(), torch.cuda.get_rng_state().tolist() if CUDA else None,
    ]  # fmt: skip


@pytest.mark.parametrize("what", READ)
def test_flags_and_random_state_are_as_they_were(what):
    model, read, targets = READ[what]()
    model.network.to(DEVICE, DTYPE)
    read(model)
    before, state = flags(), state_of(model.network)
    for method in (vlx.grad_cam, vlx.guided_backprop, vlx.integrated_grad_cam, *FEW):
        vlx.explain(read(model), targets, method)
    assert flags() == before
    with pytest.raises(vlx.VlxError):
        vlx.explain(read(model), [vlx.word(99), vlx.answer("no such"), vlx.label(99)][:1], vlx.grad_cam)
    assert flags() == before
    assert state_of(model.network) == state


@pytest.mark.parametrize("build", tiny.SPEAKERS, ids=lambda build: build.__name__)
def test_models_of_transformers_write_and_are_explained(build):
    model, processor = build()
    model.to(DEVICE, DTYPE)
    speaker = wrap(model, *processor) if isinstance(processor, tuple) else wrap(model, processor)
    speaker.steps = 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", vlx.errors.Doubt)
        read = partial(speaker.read, [noise()], ["the red ball"])
        run = read(["what is there"]) if build is tiny.blip_vqa else read()
        found = vlx.explain(run, [vlx.word(1), vlx.caption()], evidence=True)[0]
    assert np.isfinite(found.raw).all()
    assert np.abs(found.raw).max() > 0


@pytest.mark.parametrize(("load", "task"), [(load_captioner, "pointing"), (load_vqa, "occlusion")])
def test_evaluations_give_the_same_digits_twice(load, task):
    """And nearly those of the CPU."""
    options = Options(limit=6, captions=1, stride=64)

    def measured(device: torch.device) -> list[tuple[str, float, int]]:
        model = load()
        model.network.to(device)
        before = flags()
        found = vlx.eval.evaluate(model, "scenes", ["grad_cam", "hires_cam"], task=task, options=options)
        assert flags() == before
        return [(name, one.mean or 0.0, one.n) for name, one in found.alone.items()]

    first, again = measured(DEVICE), measured(DEVICE)
    np.testing.assert_array_equal([value for _, *value in first], [value for _, *value in again])
    there = measured(torch.device("cpu"))
    assert [name for name, *_ in there] == [name for name, *_ in first]
    near = [abs(one - other) <= 0.02 for (_, one, _), (_, other, _) in zip(first, there, strict=True)]
    assert np.mean(near) > 0.7


@on_a_gpu
def test_waits_for_the_gpu_do_not_grow_with_words():
    """Each wait is a copy that the host needs; twelve words of eight images need no more than one."""
    model = small.captioner()
    model.network.to(DEVICE, torch.float32)
    images, text = small.photos((32, 32)) * 8, " ".join(["a dog on the red grass"] * 2)

    def waits(targets: list[vlx.Target], count: int) -> int:
        torch.cuda.synchronize()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                vlx.explain(model.read(images[:count], [text] * count), targets)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(one.message) for one in told)

    waits([vlx.word(0)], 8)
    few, many = waits([vlx.word(0)], 1), waits([vlx.word(at) for at in range(12)], 8)
    print(f"waits: {few} for one word of one image, {many} for 12 words of 8")
    assert many <= few + 8  # one an image is handed to the host


@on_a_gpu
def test_half_of_a_model_elsewhere():
    """A model of transformers whose vision encoder is on the GPU and whose language model is on the CPU."""
    accelerate = pytest.importorskip("accelerate")
    model, processor = tiny.llava()
    expected = vlx.explain(wrap(deepcopy(model), processor).read([noise()], ["a red dog"]), WORDS)[0].raw
    children = {name: ("cuda:0" if "vision" in name else "cpu") for name, _ in model.model.named_children()}
    places: dict[str, Any] = {f"model.{name}": place for name, place in children.items()}
    places["lm_head"] = "cpu"
    placed = accelerate.dispatch_model(model, places, main_device="cuda:0", force_hooks=True)
    found = vlx.explain(wrap(placed, processor).read([noise()], ["a red dog"]), WORDS)[0].raw
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * np.abs(expected).max())


def test_the_command_line_runs_on_it(run, held_out, tmp_path):
    photo = next(held_out.rglob("*.png"))
    status, _, err = run("caption", photo, "--device", DEVICE.type, "--out", tmp_path / "out")
    assert status == 0, err
