"""The shared checks can fail: each catches an adapter with the one fault it is there for."""

from dataclasses import replace

import pytest
import torch

from tests.adapters import conformance as checks
from tests.adapters import small
from tests.adapters.conformance import Case

TEXTS = ("a dog on the grass", "red bike")


class Faulty:
    """A sound captioner, but for what a test puts over its methods."""

    def __init__(self, **faults):
        self.sound = small.captioner()
        self.faults = faults

    def __getattr__(self, name):
        found = getattr(self.sound, name)
        return (lambda *given: self.faults[name](self.sound, *given)) if name in self.faults else found


def case(**faults) -> Case:
    adapter = Faulty(**faults)
    return Case(adapter, adapter.network, small.photos((32, 32), (48, 60)), TEXTS)


def shifted(model, *given):
    """Step t - 1 is taken for step t."""
    run = model.read(*given)
    return replace(run, scores=run.scores.roll(1, 1))


def unnormalised(model, *given):
    run = model.read(*given)
    return replace(run, scores=run.scores - 1)  # the Pass itself refuses what adds up to more


def mixed(model, *given):
    """Scores of one image leak into the next."""
    run = model.read(*given)
    return replace(run, scores=run.scores + 0.1 * run.scores.mean(0))


def padded(model, images, captions):
    """Scores depend on how long the longest text of the batch is."""
    run = model.read(images, captions)
    return replace(run, scores=run.scores * (1 + 0.01 * run.scores.shape[1]))


def turned(model, *given):
    """Rows are taken for columns."""
    run = model.read(*given)
    return replace(run, grid=lambda features: features.transpose(-1, -2))


def still(model, *given):
    """The map stands in the middle whatever the image shows."""
    run = model.read(*given)
    return replace(run, grid=lambda features: features + features.flip(-1, -2))


def reversed_pixels(model, *given):
    run = model.read(*given)
    return replace(run, below=replace(run.below, pixels=run.below.pixels.flip(0)))


def left_in_evaluation(model, *given):
    model.network.eval()
    return model.read(*given)


def left_when_it_fails(model, *given):
    try:
        return model.read(*given)
    except ZeroDivisionError:
        model.network.eval()
        raise


def swallowing(model, *given):
    try:
        return model.read(*given)
    except ZeroDivisionError:
        return None


def counting(model, *given):
    """A buffer of the network is touched."""
    model.network.get_buffer("seen").add_(1)
    return model.read(*given)


def recording_below(model, *given):
    """The whole model runs with gradients too."""
    model.network(torch.randn(1, 3, 32, 32).double(), torch.tensor([[1]]))
    return model.read(*given)


def keeping(model, *given):
    model.kept = [*getattr(model, "kept", []), model.read(*given)]
    return model.kept[-1]


def with_another_text(model, *given):
    run = model.read(*given)

    def next_one(pixels, position):
        return run.below.rescore(pixels, (position + 1) % run.batch)

    return replace(run, below=replace(run.below, rescore=next_one))


def looking_ahead(model, images, captions):
    """Every word's score depends on how many words follow."""
    run = model.read(images, captions)
    tilt = torch.linspace(0, run.scores.shape[1], run.scores.shape[2]).double()
    return replace(run, scores=torch.log_softmax(run.scores + tilt, -1))


def rambling(model, images, beam=1):
    return ["a dog" for _ in images]


FAULTS = [
    (checks.check_parts, {"read": unnormalised}),
    (checks.check_batch, {"read": mixed}),
    (checks.check_padding, {"read": padded}),
    (checks.check_patch, {"read": turned}),
    (checks.check_patch, {"read": still}),
    (checks.check_steps, {"read": shifted}),
    (checks.check_steps, {"read": unnormalised}),
    (checks.check_pixels, {"read": reversed_pixels}),
    (checks.check_rescore, {"read": with_another_text}),
    (checks.check_manners, {"read": left_in_evaluation}),
    (checks.check_manners, {"read": left_when_it_fails}),
    (checks.check_manners, {"read": swallowing}),
    (checks.check_manners, {"read": counting}),
    (checks.check_late_failures, {"read": left_in_evaluation}),
    (checks.check_nothing_below, {"read": recording_below}),
    (checks.check_nothing_stays, {"read": keeping}),
    (checks.check_later_words, {"read": looking_ahead}),
    (checks.check_generated, {"read": shifted}),
    (checks.check_generated, {"generate": rambling}),
]


@pytest.mark.parametrize(
    ("check", "faults"), FAULTS, ids=[f"{c.__name__}-{next(iter(f.values())).__name__}" for c, f in FAULTS]
)
def test_a_fault_is_caught(check, faults, monkeypatch):
    monkeypatch.setenv("VLX_CHECK", "0")  # no warning of the run itself comes first
    sound, faulty = case(), case(**faults)
    for each in (sound, faulty):
        each.network.register_buffer("seen", torch.zeros(1))
    check(sound)
    with pytest.raises((AssertionError, AttributeError, pytest.fail.Exception)):
        check(faulty)
