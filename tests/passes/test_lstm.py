"""The way back through an LSTM for many targets at once, against automatic differentiation of its loop."""

from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.overrides import TorchFunctionMode

import vlx
from tests import tiny
from vlx.passes.lstm import fast_forward
from vlx.passes.prepare import prepared


def lstm_of(layers: int = 1, *, first: bool = True, bias: bool = True, **how: Any) -> nn.LSTM:
    torch.manual_seed(0)
    made = nn.LSTM(5, 4, layers, batch_first=first, bias=bias, **how).double()
    return made.requires_grad_(False).eval()


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


def by_hand(lstm: nn.LSTM, rows: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hochreiter and Schmidhuber's cell with a forget gate, written literally, one layer after the other."""
    hidden, cells = [], []
    rows = rows if not lstm.batch_first else rows.transpose(0, 1)
    for layer in range(lstm.num_layers):
        into, again, *biases = lstm.all_weights[layer]
        past, cell, outputs = h[layer], c[layer], []
        for given in rows:
            gates = given @ into.T + past @ again.T + sum(biases)
            enter, forget, candidate, leave = gates.chunk(4, 1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
            past = leave.sigmoid() * cell.tanh()
            outputs.append(past)
        rows = torch.stack(outputs)
        hidden.append(past)
        cells.append(cell)
    rows = rows if not lstm.batch_first else rows.transpose(0, 1)
    return rows, torch.stack(hidden), torch.stack(cells)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("used", ["outputs", "all", "hidden", "cells", "last output"])
def test_gradients_are_those_of_the_literal_loop(used, layers, first, bias):
    lstm = lstm_of(layers, first=first, bias=bias)
    rows, h, c = drawn(3, 6, 5), drawn(layers, 3, 4), drawn(layers, 3, 4)
    given = rows if first else rows.transpose(0, 1)
    found = fast_forward(lstm, lstm.forward)(given, (h, c))
    assert "_Layer" in type(found[1][0].grad_fn.next_functions[0][0]).__name__
    mine, expected = (found[0], *found[1]), by_hand(lstm, given, h, c)
    for one, other in zip(mine, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    picked = {"outputs": (0,), "all": (0, 1, 2), "hidden": (1,), "cells": (2,), "last output": (0,)}[used]
    seeds = [torch.randn(7, *mine[at].shape, dtype=torch.float64) for at in picked]
    if used == "last output":  # of each target another step, and none of one
        for target, seed in enumerate(seeds[0] if first else seeds[0].transpose(1, 2)):
            seed[:, torch.arange(6) != target] = 0

    def gradients(of: tuple[Tensor, ...], *seed: Tensor) -> tuple[Tensor, ...]:
        return grad([of[at] for at in picked], (rows, h, c), seed, retain_graph=True)

    each = [torch.vmap(partial(gradients, of))(*seeds) for of in (mine, expected)]
    alone = [gradients(mine, *(seed[target] for seed in seeds)) for target in range(7)]
    for number, (one, other) in enumerate(zip(*each, strict=True)):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
        torch.testing.assert_close(torch.stack([row[number] for row in alone]), other, rtol=0, atol=1e-10)


def test_some_inputs_alone_have_gradients():
    lstm, rows = lstm_of(), torch.randn(2, 3, 5, dtype=torch.float64)
    h, c = drawn(1, 2, 4), torch.zeros(1, 2, 4, dtype=torch.float64)
    out, _ = fast_forward(lstm, lstm.forward)(rows, (h, c))
    seeds = torch.randn(4, *out.shape, dtype=torch.float64)
    (found,) = torch.vmap(lambda seed: grad(out, h, seed))(seeds)
    (expected,) = grad(by_hand(lstm, rows, h, c)[0], h, seeds, is_grads_batched=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    out, _ = fast_forward(lstm, lstm.forward)(wanted := drawn(2, 3, 5))
    zeros = torch.zeros(1, 2, 4, dtype=torch.float64)
    (expected,) = grad(by_hand(lstm, wanted, zeros, zeros)[0].sum(), wanted)
    torch.testing.assert_close(grad(out.sum(), wanted)[0], expected, rtol=0, atol=1e-10)


def test_gradients_can_be_differentiated():
    lstm, rows = lstm_of(), drawn(2, 3, 5)
    zeros = torch.zeros(1, 2, 4, dtype=torch.float64)
    twice = []
    for out in (fast_forward(lstm, lstm.forward)(rows)[0], by_hand(lstm, rows, zeros, zeros)[0]):
        (once,) = grad(out.square().sum(), rows, create_graph=True)
        twice.append(grad(once.square().sum(), rows)[0])
    torch.testing.assert_close(*twice, rtol=0, atol=1e-10)


class _Nothing(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "case",
    ["two directions", "projections", "dropout", "weights", "nothing recorded", "packed", "half", "autocast",
     "watched", "no batch", "none"],
)  # fmt: skip
def test_it_steps_aside(case):
    how = {
        "two directions": {"bidirectional": True},
        "projections": {"proj_size": 3},
        "dropout": {"dropout": 0.5},
    }
    lstm, rows, asked = lstm_of(2, **how.get(case, {})), drawn(2, 3, 5), []
    with ExitStack() as stack:
        if case == "dropout":
            lstm.train()
        if case == "weights":
            lstm.weight_hh_l0.requires_grad_()
        if case == "nothing recorded":
            stack.enter_context(torch.no_grad())
        given: Any = rows
        if case == "packed":
            given = nn.utils.rnn.pack_padded_sequence(rows, torch.tensor([3, 2]), batch_first=True)
        if case == "no batch":
            given = rows[0]
        if case == "half":
            lstm, given = lstm.bfloat16(), rows.bfloat16()
        if case == "autocast":
            stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        if case == "watched":
            stack.enter_context(_Nothing())
        fast_forward(lstm, lambda *given: asked.append(given))(given) if case != "none" else None
    assert len(asked) == (case != "none")


def test_a_captioner_is_explained_by_it_and_is_as_it_was(monkeypatch):
    model, pixels = tiny.captioner(), tiny.pixels_of(3)
    captions, targets = [[1, 2, 4], [1, 6, 7], [1, 3, 2]], [vlx.word(at) for at in range(3)]

    def maps():
        run = tiny.caption_pass(model, pixels, captions)
        return torch.stack([torch.tensor(one.raw) for one in vlx.explain(run, targets, vlx.hires_cam)]), run

    fast, run = maps()
    assert "forward" not in vars(model.lstm)
    names, waiting = set(), [run.shortcuts.cut.above.grad_fn]
    while waiting:
        node = waiting.pop()
        names.add(node.name())
        waiting += [one for one, _ in node.next_functions if one is not None]
    assert "_LayerBackward" in names
    monkeypatch.setattr("vlx.passes.prepare.fast_forward", lambda _lstm, plain: plain)
    torch.testing.assert_close(fast, maps()[0], rtol=1e-6, atol=1e-10)


def test_an_lstm_with_a_forward_of_its_own_keeps_it():
    lstm = lstm_of()
    lstm.forward = lambda rows: rows
    with prepared(lstm):
        assert lstm(rows := drawn(1, 2, 5)) is rows
    assert "forward" in vars(lstm)
