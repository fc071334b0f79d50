"""Models that compute parts again in the backward pass: the maps are right, and nothing of them has moved."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import vlx
from vlx.adapters.parts.classifier import Classifier
from vlx.images import Preprocess, Squash


def plain(run: Any, *inputs: Tensor) -> Tensor:
    return run(*inputs)


def saving(run: Any, *inputs: Tensor) -> Tensor:
    return checkpoint(run, *inputs, use_reentrant=False)


def reentrant(run: Any, *inputs: Tensor) -> Tensor:
    return checkpoint(run, *inputs, use_reentrant=True)


class _Again(torch.autograd.Function):
    """Computes its part again in the backward pass, as reversible networks do, without torch's checkpoint."""

    @staticmethod
    def forward(ctx: Any, run: Any, given: Tensor) -> Tensor:
        ctx.run = run
        ctx.save_for_backward(given)
        with torch.no_grad():
            return run(given)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        (given,) = ctx.saved_tensors
        with torch.enable_grad():
            given = given.detach().requires_grad_()
            (found,) = torch.autograd.grad(ctx.run(given), given, grads)
        return None, found


def reversible(run: Any, given: Tensor) -> Tensor:
    return _Again.apply(run, given)


class Network(nn.Module):
    """Two blocks, an RNN over their columns, and a head; the second block and the RNN may run again."""

    def __init__(self, how: Any) -> None:
        super().__init__()
        self.how = how
        self.below = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.block = nn.Sequential(
            nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 8, 1)
        )
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Sequential(nn.AvgPool2d((1, 8)), nn.Flatten(), nn.Linear(64, 4))

    def _columns(self, maps: Tensor) -> Tensor:
        rows = self.rnn(maps.permute(0, 2, 3, 1).flatten(0, 1))[0]
        return rows.unflatten(0, (len(maps), -1)).permute(0, 3, 1, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.how(self.below, pixels) if self.training else self.below(pixels)
        return self.head(self.how(self._columns, self.how(self.block, features)))


def classifier(how: Any, layer: str) -> Classifier:
    torch.manual_seed(0)
    return Classifier(Network(how), list("abcd"), Preprocess(Squash((8, 8))), layer=layer)


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8))


def state(network: nn.Module) -> tuple[Any, ...]:
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    return kept, [m.training for m in network.modules()], [p.requires_grad for p in network.parameters()]


CASES = [
    *((how, layer, method) for how in (saving, reentrant) for layer in ("below.1", "block.0")
      for method in (vlx.grad_cam, vlx.guided_grad_cam)),
    (reversible, "below", vlx.grad_cam),  # what is within such a part is not recorded
    (reversible, "below", vlx.hires_cam),
]  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("how", "layer", "method"),
    CASES,
    ids=lambda given: str(getattr(given, "name", getattr(given, "__name__", given))),
)
def test_maps_and_model_are_those_of_a_network_that_computes_once(how, training, layer, method):
    model = classifier(how, layer)
    model.network.train(training)
    before, random = state(model.network), torch.get_rng_state()
    found = vlx.explain_label(model, picture(), [0, 1], method=method)
    after = state(model.network)
    assert all(torch.equal(value, after[0][name]) for name, value in before[0].items())
    assert after[1:] == before[1:]
    assert torch.equal(torch.get_rng_state(), random)
    expected = vlx.explain_label(classifier(plain, layer), picture(), [0, 1], method=method)
    assert np.abs(expected.raw).max() > 0
    np.testing.assert_allclose(found.raw, expected.raw, rtol=1e-4, atol=1e-6 * np.abs(expected.raw).max())


@pytest.mark.parametrize("how", [saving, reentrant])
def test_the_callers_own_backward_after_the_block(how):
    network = classifier(how, "below").network.train()
    before = state(network)[0]
    with vlx.capture(network, "below") as seen:
        score = network(torch.ones(1, 3, 8, 8))[0, 0]
    (found,) = torch.autograd.grad(score, seen.features)
    assert float(found.abs().max()) > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpoints_are_as_they_were_after_the_block(use_reentrant):
    runs: list[int] = []

    def part(x: Tensor) -> Tensor:
        runs.append(1)
        return x.sin()

    def backward() -> int:
        runs.clear()
        x = torch.ones(2, requires_grad=True)
        checkpoint(part, x, use_reentrant=use_reentrant).sum().backward()
        return len(runs)

    assert backward() == 2
    with vlx.prepared(nn.ReLU()):
        with vlx.prepared(nn.ReLU()):
            assert backward() == 1
        assert backward() == 1
    assert backward() == 2
