"""A targeted attack on the pixels that a model sees, and noise of the same size as its control.

Projected gradient ascent (Madry et al. 2018, arXiv 1706.06083, section 2.1, towards a chosen target): from a
random point of the box around the image, each step goes by the sign of the gradient and back into the box.
Sizes are in 1/255 of the colours of an image, the largest change of any pixel (L-infinity). What is changed
is the network input, after the model's resizing and cropping; its colours stay within those of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import logsigmoid

from vlx.errors import VlxError
from vlx.methods.gradients import pixels_of
from vlx.passes.capture import as_captured
from vlx.passes.forward import Below, Pass
from vlx.passes.targets import Target, Term


@dataclass(frozen=True)
class Attack:
    """How an attack goes. Raises VlxError for what makes no attack."""

    size: float | int = 8.0
    """The most that a colour of a pixel changes, in 1/255."""
    steps: int = 100
    """At most so many."""
    step: float | int | None = None
    """How far the first goes, in 1/255; the last goes a tenth of it. None takes an eighth of the size."""
    enough: float = 0.9999
    """The attack ends where the target is more probable."""
    seed: int = 0
    """Of where it begins."""
    eight_bits: bool = False
    """Whether what is found has colours of 8 bits, so that a file holds it as it is: the attack then goes on
    until these reach the target."""

    def __post_init__(self) -> None:
        if not 0 < self.size <= 255 or self.steps < 1 or (self.step is not None and self.step <= 0):
            raise VlxError(
                f"an attack of size {self.size:g} in {self.steps} steps of {self.step}: give a size above 0 "
                "up to 255, and steps above 0"
            )
        if not 0 < self.enough < 1:
            raise VlxError(f"a probability of {self.enough:g} is never passed: give one between 0 and 1")


@dataclass(frozen=True)
class Goal:
    """What an attack raises, and what it lowers beside it."""

    up: tuple[Term, ...]
    """The scores of the target: the log-probabilities of a word, or one answer or class."""
    down: tuple[int, ...] = ()
    """Choices of a model with a sigmoid for each, whose probability is to fall below a half; of others the
    probability of one takes that of all others anyway."""


@dataclass(frozen=True, eq=False)
class Attacked:
    """What an attack reached."""

    pixels: Float[Tensor, "1 3 height width"]
    """The network input: the best of all steps."""
    before: float
    """The target's probability in the image."""
    after: float
    """The target's probability in the attacked pixels."""
    rounded: float
    """That after the colours were rounded to 8 bits, as a file keeps them."""
    steps: int
    """So many were taken."""
    size: float
    """The largest change of a colour, in 1/255."""
    reached: bool
    """Whether the target is as probable as was asked for, and what was to fall is below a half."""


def goal_of(passed: Pass, target: Target, away: Sequence[Target] = ()) -> Goal:
    """A goal on a Pass of one item: a target that is one word, answer or class, and those to lower.

    Raises VlxError for a target that adds up several, and for scores without probabilities.

    >>> run = vqa.read([vlx.open_image(photo)], ["is there a dog?"])
    >>> len(goal_of(run, vlx.answer("no")).up)
    1
    """
    reading = passed.readings[0]
    found = target.resolve(reading)
    if found.composed or len(found.words) > 1:
        raise VlxError(f"{found.name} is no single word, answer or class: an attack drives to one")
    if reading.kind != "caption" and reading.odds == "none":
        raise VlxError(f"the scores of {passed.model} have no probabilities, so no target can be reached")
    several = reading.kind != "caption" and reading.odds == "sigmoid"
    lowered = [term.choice for one in away for term in one.resolve(reading).terms] if several else []
    own = {term.choice for term in found.terms}
    return Goal(found.terms, tuple(dict.fromkeys(one for one in lowered if one not in own)))


def attack(passed: Pass, goal: Goal, how: Attack = Attack()) -> Attacked:
    """Change the pixels of a Pass of one item until its goal is reached; the model stays as it was.

    Raises VlxError where the Pass has no way from its pixels to the scores, several items, or does not say
    what colours are in its input.

    >>> run = vqa.read([vlx.open_image(photo)], ["is there a dog?"])
    >>> found = attack(run, goal_of(run, vlx.answer("red")), Attack(size=2, steps=3))
    >>> found.steps <= 3, found.size <= 2.001, found.after > found.before
    (True, True, True)
    """
    colours = _colours(passed)
    base = colours.base
    low, high = (base - how.size / 255).clamp(0, 1), (base + how.size / 255).clamp(0, 1)
    random = torch.Generator().manual_seed(how.seed)
    start = (torch.rand(base.shape, generator=random) * 2 - 1).to(base)
    now = (base + start * how.size / 255 * colours.inside).clamp(low, high)
    step = (how.size / 8 if how.step is None else how.step) / 255
    best, most, taken = now, -float("inf"), 0

    def found(at: Tensor) -> Tensor:
        return colours.pixels((at * 255).round() / 255 if how.eight_bits else at)

    with as_captured(passed.features), torch.inference_mode(False), torch.enable_grad():
        for taken in range(how.steps + 1):
            value, slope, scores = _climbed(passed, goal, colours.pixels(now), last=taken == how.steps)
            ended = _done(passed, scores, goal, how) and _done(passed, _scored(passed, found(now)), goal, how)
            if value > most or ended:
                best, most = now, value
            if slope is None or ended:
                break
            shorter = step * max(1 - taken / how.steps, 0.1)
            now = (now + shorter * slope.sign() * colours.inside).clamp(low, high)
    pixels = found(best)
    scores = _scored(passed, pixels)
    return Attacked(
        pixels,
        probability(passed, passed.scores.detach(), goal),
        probability(passed, scores, goal),
        probability(passed, _scored(passed, rounded(passed, pixels)), goal),
        taken,
        float((colours.of(pixels) - base).where(colours.inside, 0).abs().amax()) * 255,
        _done(passed, scores, goal, how),
    )


def noise(passed: Pass, size: float | int, seed: int = 0) -> Float[Tensor, "1 3 height width"]:
    """The network input with every colour ``size``/255 higher or lower, at random: what knows nothing.

    >>> run = vqa.read([vlx.open_image(photo)], ["is there a dog?"])
    >>> noise(run, 4).shape == run.below.pixels.shape
    True
    """
    colours = _colours(passed)
    signs = torch.randint(2, colours.base.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return colours.pixels((colours.base + signs.to(colours.base) * size / 255 * colours.inside).clamp(0, 1))


def rounded(passed: Pass, pixels: Float[Tensor, "1 3 height width"]) -> Float[Tensor, "1 3 height width"]:
    """Pixels of a Pass with their colours as 8 bits keep them."""
    colours = _colours(passed)
    return colours.pixels((colours.of(pixels).clamp(0, 1) * 255).round() / 255)


def picture(passed: Pass, pixels: Float[Tensor, "1 3 height width"]) -> Image.Image:
    """Pixels of a Pass as an image of the network's size, in 8 bits."""
    colours = _colours(passed)
    bytes_ = (colours.of(pixels)[0].clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    if colours.flipped:
        bytes_ = bytes_.flip(0)
    return Image.fromarray(bytes_.permute(1, 2, 0).contiguous().numpy())


def pass_of(passed: Pass, pixels: Float[Tensor, "1 3 height width"]) -> Pass:
    """The Pass of one item that the same text and other pixels give, ready to be explained."""
    below = _below(passed)
    assert below.encode is not None
    with as_captured(passed.features), torch.no_grad():
        features = below.encode(pixels)
    made = passed.with_features(0, features.detach())
    found = replace(made, below=replace(below, pixels=pixels), above=passed.above)
    object.__setattr__(found, "placed", passed.placed)
    return found


def probability(passed: Pass, scores: Float[Tensor, "1 step choice"], goal: Goal) -> float:
    """The target's probability."""
    rows, reading = scores[0].detach().double(), passed.readings[0]
    if reading.kind == "caption":
        return float(sum((rows[term.step, term.choice] for term in goal.up), rows.new_zeros(())).exp())
    choice = goal.up[0].choice
    odds = rows[0].sigmoid() if reading.odds == "sigmoid" else rows[0].softmax(0)
    return float(odds[choice])


@dataclass(frozen=True, eq=False)
class _Colours:
    """How the input of a network shows colours of 0 to 1, channel by channel."""

    zero: Tensor
    width: Tensor
    base: Float[Tensor, "1 3 height width"]
    inside: Bool[Tensor, "height width"]
    """The pixels that show the image; the rest is padding, which no image changes."""
    padding: Float[Tensor, "1 3 height width"]
    flipped: bool
    """Whether blue is the first channel."""
    dtype: torch.dtype

    def of(self, pixels: Tensor) -> Tensor:
        return (pixels.detach().to(self.base.dtype) - self.zero) / self.width

    def pixels(self, colours: Tensor) -> Tensor:
        shown = colours * self.width + self.zero
        return torch.where(self.inside, shown, self.padding).to(self.dtype)


def _colours(passed: Pass) -> _Colours:
    below = _below(passed)
    if below.colour is None:
        raise VlxError(f"{passed.model} does not say what colours its input shows: give its Below a colour")
    pixels = below.pixels.detach()
    wide = torch.promote_types(pixels.dtype, torch.float32)
    black, white, red = (below.colour(rgb).to(pixels.device, wide) for rgb in _KNOWN)
    if pixels.ndim != 4 or pixels.shape[1] != 3 or black.shape != (3,):
        raise VlxError(
            f"the input of {passed.model} is of shape {tuple(pixels.shape)}: an attack needs pixels (1, 3, "
            "height, width)"
        )
    zero, width = black[:, None, None], (white - black)[:, None, None]
    if float(width.amin()) <= 0:
        raise VlxError(f"white is darker than black in the input of {passed.model}: an attack needs colours")
    values = ((pixels.to(wide) - zero) / width).clamp(0, 1)
    flipped = bool((red - black)[0] == 0)
    return _Colours(
        zero, width, values, _shown(passed).to(pixels.device), pixels.to(wide), flipped, pixels.dtype
    )


_KNOWN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0))


def _shown(passed: Pass) -> Bool[Tensor, "height width"]:
    """The pixels of the input whose middle lies on the image."""
    frame = passed.frames[0]
    (height, width), (rows, cols) = frame.image_size, frame.input_size
    down = [0 <= frame.to_image(row + 0.5, 0.0)[0] <= height for row in range(rows)]
    across = [0 <= frame.to_image(0.0, col + 0.5)[1] <= width for col in range(cols)]
    return torch.tensor(down)[:, None] & torch.tensor(across)[None]


def _below(passed: Pass) -> Below:
    if passed.batch != 1:
        raise VlxError(f"a Pass of {passed.batch} items: an attack takes one image at a time")
    if passed.below is None or passed.below.encode is None or passed.above is None:
        raise VlxError(
            f"{passed.model} gives no way from its pixels through layer {passed.layer} to its scores: its "
            "Pass needs below=Below(pixels, encode=…) and above=…"
        )
    return passed.below


def _scored(passed: Pass, pixels: Tensor) -> Float[Tensor, "1 step choice"]:
    """The scores of other pixels, by the whole model where it says how."""
    below = _below(passed)
    if below.rescore is not None:
        return below.rescore(pixels, 0).detach()
    return pass_of(passed, pixels).scores.detach()


def _done(passed: Pass, scores: Tensor, goal: Goal, how: Attack) -> bool:
    low = all(float(scores[0, 0, choice]) < 0 for choice in goal.down)
    return low and probability(passed, scores, goal) > how.enough


def _climbed(
    passed: Pass, goal: Goal, pixels: Tensor, *, last: bool
) -> tuple[float, Float[Tensor, "1 3 height width"] | None, Float[Tensor, "1 step choice"]]:
    """What is raised, at some pixels; its gradient there, as far as signs go, but at the last; the scores."""
    below = _below(passed)
    assert below.encode is not None
    pixels = pixels.detach().requires_grad_()
    features = below.encode(pixels)
    run = passed.with_features(0, features.detach())
    scores = run.scores.detach().float().requires_grad_()
    value = _raised(scores[0], run, goal)
    if last:
        return value.item(), None, scores.detach()
    (seed,) = torch.autograd.grad(value, scores)
    # Where the target is sure, gradients are tiny: only their signs are used.
    seed = seed / seed.abs().amax().clamp(min=1e-30)
    cut = run.shortcuts.cut
    if cut is None:
        (slope,) = torch.autograd.grad(run.scores, run.features, seed.to(run.scores.dtype))
    else:
        (at_cut,) = torch.autograd.grad(run.scores, cut.leaf, seed.to(run.scores.dtype))
        (slope,) = torch.autograd.grad(cut.above, run.features, at_cut)
    planes = pixels_of(features, pixels, slope.float()[None])
    return value.item(), planes[0], scores.detach()


def _raised(rows: Float[Tensor, "step choice"], run: Pass, goal: Goal) -> Float[Tensor, ""]:
    """The log-probability of the target, and those of the absence of what is to fall."""
    reading = run.readings[0]
    if reading.kind == "caption":
        return sum((rows[term.step, term.choice] for term in goal.up), rows.new_zeros(()))
    (choice,) = (term.choice for term in goal.up)
    if reading.odds == "softmax":
        return rows[0].log_softmax(0)[choice]
    return logsigmoid(rows[0, choice]) + logsigmoid(-rows[0, list(goal.down)]).sum()
