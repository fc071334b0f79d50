"""The losses of SEC: hand-worked cases, the paper's sums as loops, gradients by differences."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vlx.errors import VlxError
from vlx.segmentation.losses import (
    FLOOR,
    constrain_loss,
    expand_loss,
    probabilities,
    rank_pooled,
    seed_loss,
)

SIZE = (2, 4, 3, 5)  # images, classes, rows, columns


def drawn(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, seeds of which some images have none, and the classes shown."""
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(SIZE, generator=random, dtype=torch.float64) * 3
    seeds = torch.rand(SIZE, generator=random) < 0.1 * (seed % 3)
    shown = torch.rand(SIZE[:2], generator=random) < 0.5
    return scores, seeds, shown


@given(st.integers(0, 500))
def test_the_seed_loss_is_the_double_sum_of_the_paper(seed: int):
    scores, seeds, _ = drawn(seed)
    found = probabilities(scores)
    total = 0.0
    for n in range(SIZE[0]):
        count, mine = 0, 0.0
        for c in range(SIZE[1]):
            for u in range(SIZE[2]):
                for v in range(SIZE[3]):
                    if seeds[n, c, u, v]:
                        count, mine = count + 1, mine - math.log(float(found[n, c, u, v]))
        total += mine / count if count else 0.0
    assert float(seed_loss(found, seeds)) == pytest.approx(total / SIZE[0])


@given(st.integers(0, 500))
def test_the_expand_loss_is_the_sum_of_the_paper(seed: int):
    scores, _, shown = drawn(seed)
    found = probabilities(scores)

    def pooled(plane: Tensor, decay: float) -> float:
        ranked = sorted(plane.flatten().tolist(), reverse=True)
        weights = [decay**j for j in range(len(ranked))]
        return sum(w * p for w, p in zip(weights, ranked, strict=True)) / sum(weights)

    total = 0.0
    for n in range(SIZE[0]):
        there = [c for c in range(1, SIZE[1]) if shown[n, c]]
        absent = [c for c in range(1, SIZE[1]) if not shown[n, c]]
        total -= sum(math.log(pooled(found[n, c], 0.996)) for c in there) / max(len(there), 1)
        total -= sum(math.log(1 - float(found[n, c].max())) for c in absent) / max(len(absent), 1)
        total -= math.log(pooled(found[n, 0], 0.999))
    assert float(expand_loss(found, shown)) == pytest.approx(total / SIZE[0])


@given(st.integers(0, 500))
def test_the_constrain_loss_is_the_mean_divergence(seed: int):
    scores, _, _ = drawn(seed)
    found, other = probabilities(scores), scores.flip(1).softmax(1)
    total = 0.0
    for n in range(SIZE[0]):
        for u in range(SIZE[2]):
            for v in range(SIZE[3]):
                q = [max(float(other[n, c, u, v]), FLOOR) for c in range(SIZE[1])]
                q = [one / sum(q) for one in q]
                p = found[n, :, u, v].tolist()
                total += sum(a * math.log(a / b) for a, b in zip(q, p, strict=True))
    places = SIZE[0] * SIZE[2] * SIZE[3]
    assert float(constrain_loss(found, other)) == pytest.approx(total / places)


@pytest.mark.parametrize("name", ["seed", "expand", "constrain"])
def test_gradients_are_those_of_differences(name: str):
    scores, _, shown = drawn(4)
    seeds = torch.rand(SIZE, generator=torch.Generator().manual_seed(1)) < 0.3
    losses = {
        "seed": lambda s: seed_loss(probabilities(s), seeds),
        "expand": lambda s: expand_loss(probabilities(s), shown),
        "constrain": lambda s: constrain_loss(probabilities(s), scores.flip(1).softmax(1)),
    }
    assert torch.autograd.gradcheck(losses[name], scores.clone().requires_grad_())


def test_what_the_crf_gives_is_a_constant():
    scores = torch.randn(SIZE, dtype=torch.float64)
    target = torch.randn(SIZE, dtype=torch.float64).requires_grad_()
    loss = constrain_loss(probabilities(scores.requires_grad_()), target.softmax(1))
    loss.backward()
    assert target.grad is None
    assert scores.grad is not None


def test_agreement_costs_nothing_and_losses_fall_where_they_should():
    found = probabilities(torch.randn(SIZE, dtype=torch.float64))
    assert float(constrain_loss(found, found)) == pytest.approx(0, abs=1e-12)
    sure = torch.zeros(1, 2, 1, 2, dtype=torch.float64)
    sure[:, 1] = 30
    seeds = torch.tensor([[[[False, False]], [[True, True]]]])
    assert float(seed_loss(probabilities(sure), seeds)) < float(seed_loss(probabilities(-sure), seeds))


def test_degenerate_images():
    found = probabilities(torch.zeros(1, 3, 2, 2))
    assert float(seed_loss(found, torch.zeros(1, 3, 2, 2, dtype=torch.bool))) == 0
    none = expand_loss(found, torch.zeros(1, 3, dtype=torch.bool))  # no class: absent ones and background
    assert float(none) == pytest.approx(-math.log(2 / 3) - math.log(1 / 3), rel=1e-3)
    every = expand_loss(found, torch.ones(1, 3, dtype=torch.bool))
    assert float(every) == pytest.approx(2 * math.log(3), rel=1e-3)


def test_one_class_far_above_all_others_stays_finite():
    scores = torch.zeros(1, 3, 2, 2)
    scores[:, 1] = 500
    found = probabilities(scores)
    assert float(found.min()) == pytest.approx(FLOOR, rel=1e-2)
    assert torch.isfinite(expand_loss(found, torch.tensor([[True, False, True]])))


@given(st.floats(0.0, 1.0), st.integers(0, 100))
def test_rank_pooling_lies_between_mean_and_maximum(decay: float, seed: int):
    values = torch.from_numpy(np.random.default_rng(seed).random((1, 1, 3, 4)))
    pooled = float(rank_pooled(values, decay))
    assert float(values.mean()) - 1e-12 <= pooled <= float(values.max()) + 1e-12


def test_a_decay_beyond_one_is_refused():
    with pytest.raises(VlxError, match="expected 0 "):
        rank_pooled(torch.zeros(1, 1, 1, 2), 1.5)
