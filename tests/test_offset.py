"""One offset of all places: its gradient is the sum of theirs, whatever the model does with the features."""

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

import vlx
from tests.explained import photo
from tests.test_capture import Broken, state_of
from vlx.capture import Site, capture
from vlx.errors import LayerError
from vlx.frame import Frame
from vlx.passes import token_grid

ROWS, COLS, CHANNELS, ANSWERS = 2, 3, 4, 3
TOKENS = 1 + ROWS * COLS  # a class token first
USES = ("attention", "all", "class token", "changed in place", "changed in place, then read")


class Model(nn.Module):
    """Cross-attention to tokens, and what is not linear in them; ``uses`` says which."""

    def __init__(self, uses: str) -> None:
        super().__init__()
        self.uses = uses
        self.encoder = nn.Linear(CHANNELS, CHANNELS)
        self.keys, self.values = nn.Linear(CHANNELS, 5), Conv1D(5, CHANNELS)
        self.query = nn.Parameter(torch.randn(ANSWERS, 5))
        self.last = nn.Linear(CHANNELS, ANSWERS)
        self.broken = nn.Identity()

    def forward(self, tokens):
        seen = self.encoder(tokens)
        shares = torch.softmax(self.query @ self.keys(seen).mT, -1)
        y = (shares @ self.values(seen)).sum(-1)
        if self.uses == "all":
            y = (
                y
                + torch.tanh(seen).mean(1)[:, :ANSWERS]
                + self.last(seen[:, 0])
                + self.keys(seen).pow(2).mean((1, 2))[:, None]
            )
        if self.uses == "class token":
            y = self.last(seen[:, 0])
        if self.uses == "changed in place":
            y = y + seen.mul_(2).square().mean(1)[:, :ANSWERS]
        if self.uses == "changed in place, then read":
            y = y + self.last(seen.relu_()).mean(1)
        return self.broken(y)


def site():
    return Site("encoder", in_front=lambda tokens: tokens - ROWS * COLS)


def made(uses="all", batch=2):
    torch.manual_seed(0)
    return Model(uses).double().eval(), torch.randn(batch, TOKENS, CHANNELS, dtype=torch.float64)


@pytest.mark.parametrize("uses", USES)
def test_the_gradient_of_the_offset_is_the_sum_over_the_places(uses):
    model, tokens = made(uses)
    with torch.no_grad():
        plain = model(tokens)
    with capture(model, site()) as seen:
        y = model(tokens)
    torch.testing.assert_close(y, plain, rtol=0, atol=0)
    assert not seen.offset.any()
    for item, answer in ((0, 0), (1, 2)):
        at_places, at_offset = torch.autograd.grad(
            y[item, answer], [seen.features, seen.offset], retain_graph=True
        )
        for channel in range(CHANNELS):
            total = 0.0
            for token in range(1, TOKENS):  # the class token is no place
                total += float(at_places[item, token, channel])
            assert float(at_offset[item, channel]) == pytest.approx(total, rel=1e-12, abs=1e-15)
        assert not at_offset[1 - item].any()


def test_attention_needs_no_gradient_at_every_place():
    """The features that linear layers read are not on the way to the offset."""
    model, tokens = made("attention")
    with capture(model, site()) as seen:
        y = model(tokens)
    reached = []
    for node in _nodes(y.grad_fn):
        if node.name() == "CloneBackward0":
            node.register_hook(lambda _, given: reached.append(given[0].shape))
    torch.autograd.grad(y[0, 0], seen.offset, retain_graph=True)
    assert reached == []
    torch.autograd.grad(y[0, 0], seen.features)
    assert reached == [seen.features.shape]


def _nodes(node, found=None):
    found = {} if found is None else found
    if node is not None and node not in found:
        found[node] = None
        for inner, _ in node.next_functions:
            _nodes(inner, found)
    return list(found)


def passed(uses):
    model, tokens = made(uses, batch=1)
    with capture(model, site()) as seen:
        scores = model(tokens)[:, None]
    reading = vlx.Reading("answer", (), vlx.Choices(("a", "b", "c"), "answer"))
    image = photo()
    frame = Frame.resized((image.height, image.width), (16 * ROWS, 16 * COLS))
    return vlx.Pass(
        features=seen.features, scores=scores, readings=(reading,), frames=(frame,), images=(image,),
        grid=token_grid(ROWS, COLS, 1), offset=seen.offset, kind="logit",
    )  # fmt: skip


def test_a_class_token_alone_is_told():
    with pytest.raises(LayerError, match="class token alone"):
        vlx.explain(passed("class token"), [vlx.answer("a")])


@pytest.mark.parametrize("broken", [False, True])
def test_a_model_is_as_it_was(broken):
    model, tokens = made()
    model.broken = Broken() if broken else model.broken
    before = state_of(model)
    try:
        with capture(model, site()):
            model(tokens)
    except ZeroDivisionError:
        assert broken
    assert state_of(model) == before
