"""Costs: runs counted against what a method is known to do; nothing is left behind."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import vlx
from tests.eval import small
from vlx.errors import VlxError
from vlx.eval.runs.costs import Cost, Counts, Read, cost_of, peak_beyond
from vlx.methods.occlusion.windows import occlusion
from vlx.methods.values import METHODS, Method

TEXT = "a dog and a cat"
CHANNELS = 8  # of the small captioner's layer


@pytest.fixture(scope="module")
def read() -> Read:
    model = small.captioner()
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 60, 3), np.uint8))
    return lambda: model.read([photo], [TEXT])


def counted(read: Read, method: Method, words: int = 4) -> tuple[int, int, int]:
    """Whole forwards, runs below and runs of the head."""
    found = cost_of(read, [vlx.word(at) for at in range(words)], method, runs=1)
    assert found.targets == words
    return found.forwards, found.below, found.heads


def test_runs_are_those_a_method_is_known_to_take(read: Read) -> None:
    assert counted(read, vlx.grad_cam) == (1, 0, 0)
    assert counted(read, vlx.hires_cam) == (1, 0, 0)
    assert counted(read, vlx.gradient) == (1, 1, 0)
    assert counted(read, vlx.integrated_with(nodes=5)) == (1, 0, 6)  # and the start
    assert counted(read, vlx.ablation_cam) == (1, 0, CHANNELS)
    assert counted(read, vlx.score_cam) == (1 + 1 + CHANNELS, 0, 0)  # and the blank image
    assert counted(read, vlx.rise_with(count=40)) == (1 + 40, 0, 0)
    assert counted(read, vlx.smooth_gradient) == (1, 25, 25)


def test_windows_are_counted_as_whole_forwards(read: Read) -> None:
    seen: list[int] = []

    def score(images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        return np.zeros(len(images))

    occlusion(np.zeros((3, small.SIDE, small.SIDE), np.float32), score, size=20, stride=18)
    assert counted(read, vlx.occlusion_with(size=20, stride=18)) == (1 + sum(seen), 0, 0)


def test_one_way_back_serves_all_words_at_the_features_and_one_each_at_the_pixels(read: Read) -> None:
    def back(method: Method, words: int) -> int:
        return cost_of(read, [vlx.word(at) for at in range(words)], method, runs=1).backwards

    assert back(vlx.grad_cam, 1) == back(vlx.grad_cam, 4) > 0
    assert back(vlx.gradient, 4) - back(vlx.gradient, 1) == 3
    assert back(vlx.rise_with(count=5), 4) == 0


def test_every_method_has_a_cost(read: Read) -> None:
    quick = [one for one in METHODS if one not in (vlx.rise, vlx.occlusion)]
    for method in quick:
        found = cost_of(read, [vlx.word(1)], method, runs=2)
        assert found.runs == 2
        assert found.seconds > 0
        assert found.ratio > 0
        assert found.memory is None or found.memory >= 0
        assert found.forwards >= 1


def test_a_method_that_takes_long_is_not_run_once_more(read: Read) -> None:
    calls: list[int] = []

    def noted(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return (activations * gradients).sum(-3)

    method = Method("mine", noted)
    assert cost_of(read, [vlx.word(1)], method, runs=3).runs == 3
    assert len(calls) == 5  # counted, for its memory, timed
    calls.clear()
    assert cost_of(read, [vlx.word(1)], method, runs=3, enough=0.0).runs == 1
    assert len(calls) == 2


def test_a_pass_without_doors_is_measured_by_its_reading() -> None:
    model = small.captioner()
    photo = Image.fromarray(np.zeros((56, 56, 3), np.uint8))

    def closed() -> vlx.Pass:
        return replace(model.read([photo], [TEXT]), below=None, above=None)

    found = cost_of(closed, [vlx.word(0)], vlx.grad_cam, runs=1)
    assert (found.forwards, found.heads) == (1, 0)
    with pytest.raises(VlxError, match="no way to run again"):
        cost_of(closed, [vlx.word(0)], vlx.ablation_cam)


def test_nothing_is_counted_after_the_block_and_the_model_is_as_it_was(read: Read) -> None:
    model = small.captioner()
    photo = Image.fromarray(np.zeros((56, 56, 3), np.uint8))
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    counts = Counts()
    with counts:
        vlx.explain(counts.watched(model.read([photo], [TEXT])), vlx.word(0))
    with pytest.raises(VlxError), counts:
        vlx.explain(counts.watched(model.read([photo], [TEXT])), vlx.word(99))
    told = counts.backwards
    vlx.explain(model.read([photo], [TEXT]), vlx.word(0))
    assert counts.backwards == told > 0
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert all(weight.grad is None for weight in model.network.parameters())
    assert not any(module._forward_hooks for module in model.network.modules())


def test_a_watched_pass_gives_the_same_maps(read: Read) -> None:
    for method in (vlx.integrated_gradients, vlx.score_cam, vlx.gradient):
        (plain,) = vlx.explain(read(), vlx.word(1), method)
        (watched,) = vlx.explain(Counts().watched(read()), vlx.word(1), method)
        assert np.array_equal(plain.raw, watched.raw)


def test_memory_is_what_is_held_beyond_what_was_there() -> None:
    kept = bytearray(1 << 20)
    found = peak_beyond(lambda: bytearray(1 << 27))
    if found is None:
        pytest.skip("this system does not tell the peak of a process")
    assert 1 << 26 < found < 1 << 28
    del kept


def test_a_cost_is_as_json_keeps_it() -> None:
    facts = {"targets": 1, "forwards": 2, "below": 0, "heads": 3, "backwards": 1, "seconds": 0.5}
    assert Cost(**facts, ratio=2.0, runs=5, memory=None).ratio == 2.0
