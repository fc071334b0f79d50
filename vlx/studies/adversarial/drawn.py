"""The paper's figure 7 of one image: original, attacked, and the maps of what is there and of the target."""

from collections.abc import Sequence

from PIL import Image

from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.methods.values import Method
from vlx.passes.forward import Pass
from vlx.passes.targets import Target, answer, label
from vlx.show.colours import scales, target_picture
from vlx.studies.adversarial.attack import Attack, Attacked, goal_of, pass_of, picture, probability
from vlx.studies.found import Picture
from vlx.studies.panels import Tile, panel_png
from vlx.studies.truths import Case

_MOST = 3


def case_figure(case: Case, found: Attacked, method: Method, how: Attack) -> Picture:
    """The figure of an image of a data folder."""
    true = [(thing.name.split("?")[-1].strip(), thing.target) for thing in case.things[:_MOST]]
    png = figure_png(case.passed, found, true, (case.goal_name, case.goal), method, how)
    names = ", ".join(name for name, _ in true)
    return Picture(f"Driven to {case.goal_name}: the maps of {names} before (above) and after (below)", png)


def figure_png(
    passed: Pass,
    found: Attacked,
    true: Sequence[tuple[str, Target]],
    goal: tuple[str, Target],
    method: Method,
    how: Attack,
) -> bytes:
    """Above the image with the maps of what is there, below the attacked one; confidences stand above each.

    The last map below is that of the second likeliest class or answer, as in the paper.
    """
    after = pass_of(passed, found.pixels)
    names, targets = [*(name for name, _ in true), goal[0]], [*(one for _, one in true), goal[1]]
    second = _second(after, targets)
    rows: list[list[Tile | None]] = []
    for run, shown, told in (
        (passed, passed.images[0], "original"),
        (after, _on_photo(passed, found), f"attacked, at most {how.size:g}/255"),
    ):
        extra = [] if run is passed or second is None else [second]
        (explained,) = explain(run, [*targets, *extra], method)
        sure = [probability(run, run.scores, goal_of(run, one)) for one in (*targets, *extra)]
        said = [*names, *(one.name for one in explained.targets[len(targets) :])]
        best = found.before if run is passed else found.after
        rows.append(
            [
                Tile(_small(shown), told, f"{goal[0]} {share(best)}"),
                *(
                    Tile(_overlaid(explained, at), f"{name} map", f"confidence {share(value)}")
                    for at, (name, value) in enumerate(zip(said, sure, strict=True))
                ),
            ]
        )
    note = (
        f"{method.name}, {passed.layer} of {passed.model}; {found.steps} steps; each map has a colour scale "
        f"of its own{'' if found.reached else '; the target was not reached'}"
    )
    return panel_png(rows, title=passed.readings[0].prompt or passed.readings[0].text, note=note)


def share(value: float) -> str:
    """A probability with what matters near its ends.

    >>> share(0.99995), share(0.5), share(0.00001)
    ('> .9999', '0.5000', '< .0001')
    """
    return "> .9999" if value > 0.9999 else "< .0001" if 0 < value < 0.0001 else f"{value:.4f}"


def _second(after: Pass, known: Sequence[Target]) -> Target | None:
    """The likeliest class or answer after the attack that has no map yet."""
    reading = after.readings[0]
    if reading.kind == "caption":
        return None
    taken = {term.choice for one in known for term in one.resolve(reading).terms}
    order = after.scores[0, 0].detach().argsort(descending=True).tolist()
    best = next((one for one in order if one not in taken), None)
    if best is None:
        return None
    return answer(best) if reading.kind == "answer" else label(best)


def _overlaid(explained: Explanation, at: int) -> Image.Image:
    from vlx.show.colours import shared_scale

    scale = scales(explained)[at] if explained.at_pixels else shared_scale([explained.grid_maps[at]])
    return target_picture(explained, at, scale, longest=320)


def _on_photo(passed: Pass, found: Attacked) -> Image.Image:
    """The photo with what the network is given in its place."""
    photo, frame = passed.images[0].copy(), passed.frames[0]
    top, left, bottom, right = map(round, frame.box)
    size = max(1, right - left), max(1, bottom - top)
    photo.paste(picture(passed, found.pixels).resize(size, Image.Resampling.BICUBIC), (left, top))
    return photo


def _small(photo: Image.Image) -> Image.Image:
    found = photo.copy()
    found.thumbnail((320, 320), Image.Resampling.LANCZOS)
    return found
