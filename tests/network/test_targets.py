"""What can be asked of a plain network, what it may return, and what is said where it does not fit."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from transformers.modeling_outputs import ImageClassifierOutput

import vlx
from tests.network.plain import Plain
from vlx.errors import VlxError
from vlx.passes.outputs import class_logits, scores_in

X = torch.randn(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
Named = namedtuple("Named", "aux logits")
Pair = namedtuple("Pair", "high low")


@dataclass
class Scored:
    scores: torch.Tensor
    hidden: torch.Tensor


def maps(targets=(3, 1), make=lambda logits: logits, x=X, classes=5, layer="cnn.2", **asked):
    return vlx.explain_model(Plain(classes, make=make), x, targets, layer, **asked)


@pytest.mark.parametrize(
    "targets",
    [
        [3, 1],
        np.array([3, 1]),
        torch.tensor([3, 1]),
        [np.int64(3), torch.tensor(1)],
        [vlx.label(3), vlx.label(1)],
        [ClassifierOutputTarget(3), ClassifierOutputTarget(1)],
        [lambda scores: scores[3], 1],
        lambda scores: torch.stack([scores[0, 3], scores[1, 1]]),
        lambda scores: scores[0, 3] + scores[1, 1],
    ],
)
def test_one_target_an_item(targets):
    assert float(maps().max()) > 0
    torch.testing.assert_close(maps(targets), maps(), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    "targets",
    [
        3,
        np.int64(3),
        np.array(3),
        torch.tensor(3),
        vlx.label(3),
        ClassifierOutputTarget(3),
        lambda s: s[:, 3:4],
    ],
)
def test_one_target_for_all(targets):
    torch.testing.assert_close(maps(targets), maps([3, 3]), rtol=1e-5, atol=1e-8)


def test_by_default_the_likeliest_class():
    likeliest = Plain().eval()(X).argmax(1)
    assert torch.equal(maps(None), maps(likeliest))


def test_targets_are_what_they_say():
    """Differences are linear; a function that is not has the chain rule's factor."""
    signed = vlx.grad_cam_with(rectify=False)
    one, other = (maps(index, method=signed) for index in (3, 1))
    torch.testing.assert_close(
        maps(vlx.label(3) - vlx.label(1), method=signed), one - other, rtol=1e-4, atol=1e-7
    )
    logits = Plain().eval()(X)[:, 3]
    found = maps(lambda scores: scores[:, 3].exp(), method=signed)
    torch.testing.assert_close(found, one * logits.exp()[:, None, None].detach(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([3], "1 target for a batch of 2: give one for each item, or a single one, not in a list"),
        ([1, 2, 3], "3 targets for a batch of 2"),
        ([], "0 targets for a batch of 2"),
        (7, "no class 7: there are 5, counted from 0"),
        (-1, "no class -1"),
        (3.0, r"3\.0 is no target: give the index of a class"),
        (True, "True is no target"),
        ("dog", "'dog' is no target"),
        (torch.tensor([0.5, 0.5]), r"0\.5 is no target"),
        (torch.eye(5)[:2], r"targets of shape \(2, 5\): .*argmax\(1\)"),
        (lambda scores: scores, r"targets gave \(2, 5\) for a batch of 2: one value an item"),
        (lambda scores: scores[0, 3].item(), r"targets gave float, which has no gradient"),
        (lambda scores: scores.argmax(1).float(), "has no gradient: compute it of the scores"),
        ([lambda scores: scores] * 2, r"a target gave \(5,\) for one item"),
        (vlx.word("dog"), r"word\(\) does not fit a label"),
        ("cnn.0", r"a layer came third, .* as layer="),
        ({"a": 1}, "is no target"),
    ],
)
def test_what_is_no_target_is_told_in_one_line(targets, message):
    with pytest.raises(VlxError, match=message) as raised:
        maps(targets)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda s: (s, None),
        lambda s: [s, s],
        lambda s: ((s, s), s),
        lambda s: Named(s[:, :1], s),
        lambda s: Pair(s, s[:, :1]),
        lambda s: {"loss": s.sum(), "logits": s},
        lambda s: {"anything": s},
        lambda s: {"out": s, "aux": s},
        lambda s: {"preds": {"logits": s}},
        lambda s: ImageClassifierOutput(logits=s),
        lambda s: Scored(s, s),
        lambda s: s[:, :, None, None],
    ],
)
def test_what_networks_return(make):
    assert torch.equal(maps(make=make), maps())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: {"a": s, "b": s}, "gives 'a', 'b', and which of them are the scores does not show"),
        (lambda s: [{"boxes": s, "scores": s}], r"list of dicts \('boxes', 'scores'\), as detectors do"),
        (lambda s: None, "gives NoneType, no tensor of scores"),
        (lambda s: [], "gives list, no tensor of scores"),
        (lambda s: s.argmax(1), r"gives torch\.int64 of shape \(2,\), no scores"),
        (
            lambda s: s[:, :, None, None].expand(-1, -1, 4, 4),
            r"\(2, 5, 4, 4\), several for each item and class",
        ),
        (lambda s: s.sum(0, keepdim=True), r"\(1, 5\) for a batch of 2"),
    ],
)
def test_what_gives_no_scores_of_classes_is_told_in_one_line(make, message):
    with pytest.raises(VlxError, match=message) as raised:
        maps(3, make=make)
    assert "\n" not in str(raised.value)


def test_functions_reach_what_has_no_classes():
    def pixels(s):
        return {"out": s[:, :, None, None].expand(-1, -1, 4, 4)}

    expected = maps(3)
    found = maps(lambda scores: scores[:, 3].flatten(1).mean(1), make=pixels)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
    both = maps(lambda given: given["b"][:, 3], make=lambda s: {"a": 2 * s, "b": s})
    torch.testing.assert_close(both, expected, rtol=1e-4, atol=1e-7)


def test_a_single_logit():
    expected = maps(0, classes=1)
    for make in (lambda s: s[:, 0], lambda s: s.squeeze()):
        assert torch.equal(maps(0, make=make, classes=1), expected)
        assert torch.equal(maps(None, make=make, classes=1), expected)
    torch.testing.assert_close(
        maps(None, lambda s: s.squeeze(), X[:1], 1), expected[:1], rtol=1e-5, atol=1e-8
    )
    torch.testing.assert_close(maps(3, lambda s: s.squeeze(), X[:1]), maps(3)[:1], rtol=1e-5, atol=1e-8)
    with pytest.raises(VlxError, match="no class 1: there are 1"):
        maps(1, classes=1)


def test_one_channel_is_a_batch_like_any_other():
    net = Plain(channels=1)
    assert vlx.explain_model(net, X[:, :1], 3).shape == (2, 12, 16)


def test_occlusion_needs_a_value_of_each_item():
    with pytest.raises(VlxError, match="occlusion needs a value of each item"):
        maps(lambda scores: scores[:, 3].sum(), method=vlx.occlusion_with(size=4, stride=4))


def test_shapes_of_scores():
    assert scores_in((torch.ones(2, 5), 3)).shape == (2, 5)
    assert class_logits(torch.tensor(1.0), 1).shape == (1, 1)
    assert class_logits(torch.ones(7), 1).shape == (1, 7)
    assert class_logits(torch.ones(7), 7).shape == (7, 1)
