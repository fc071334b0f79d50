"""Fig. 2 and 3: one core for every task, and what speaks against a class."""

import numpy as np

from vlx.eval.items.truth import Boxes, Segments, region_of
from vlx.eval.measures.controls import centre_prior
from vlx.eval.measures.maps import Map, Mask, rank_correlation
from vlx.eval.measures.pointing import chance_hit, pointing_hit
from vlx.eval.measures.statistics import Outcome, summarise
from vlx.eval.tasks.classes_pointing import CLASSES_POINTING
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.methods.gradients import gradients
from vlx.methods.values import class_activation_map, grad_cam, guided_backprop, guided_grad_cam
from vlx.show.colours import overlay, shared_scale
from vlx.show.sheets import Cell, Line
from vlx.studies.found import Findings, Table, number_of
from vlx.studies.reproduce.answers import QUESTIONS
from vlx.studies.reproduce.asked import Asked, Needs, NotHere, Role
from vlx.studies.reproduce.classes import CLASSES
from vlx.studies.reproduce.drawn import Shown, cells, explained, photo_cell, picture, shown
from vlx.studies.reproduce.told import findings, spoken
from vlx.studies.reproduce.words import TEXTS

_MAPS = 3  # feature maps that are drawn


def one_core(asked: Asked) -> Findings:
    """Fig. 2: how maps are made for a class, a caption and an answer; and the identity of section 3.1."""
    rows: list[Line] = []
    missing: list[str] = []
    kinds: tuple[tuple[str, Role, Needs], ...] = (
        ("Image classification", "classifier", CLASSES),
        ("Image captioning", "captioner", TEXTS),
        ("Visual question answering", "answerer", QUESTIONS),
    )
    for name, role, needs in kinds:
        try:
            task = CLASSES_POINTING if role == "classifier" else OCCLUSION
            ((one,),) = shown(asked, task, role, needs, 1)
            rows.append(_overview(one, name))
        except NotHere as error:
            missing.append(f"{name}: {error}")
    columns = (
        "image", *(f"feature map {at}" for at in range(1, _MAPS + 1)), "Grad-CAM", "Guided Backprop",
        "Guided Grad-CAM",
    )  # fmt: skip
    identity = _identity(asked)
    told = {number.name: number for number in identity.numbers}
    answer = (
        f"One core gives {len(rows)} of {len(kinds)} rows; where CAM exists, Grad-CAM's rank correlation "
        f"with it is {spoken(told['grad_cam and CAM'])}, another class's CAM has "
        f"{spoken(told['CAM of another class'])}."
    )
    figure = picture("From feature maps to maps of three tasks", rows, columns)
    return findings(
        "fig2", asked, answer, (identity,), [figure],
        models=("averaging classifier",), notes=missing,
    )  # fmt: skip


def _overview(one: Shown, name: str) -> Line:
    """The photo, its most positively weighted feature maps, and what is made of them all."""
    passed = one.opened.passed
    resolved = one.target.resolve(passed.readings[0])
    slopes = passed.grid(gradients(passed, [[resolved.terms]]).values[0])[0]
    weights = slopes.flatten(1).mean(1)
    features = passed.grid(passed.features.detach())[0]
    chosen = weights.topk(min(_MAPS, len(weights))).indices.tolist()
    drawn: list[Cell | None] = [photo_cell(one, resolved.name, one.item.text)]
    for unit in chosen:
        plane = passed.frames[0].on_image(features[unit].float()).numpy()
        picture_ = overlay(one.image, plane, shared_scale([plane]))
        drawn.append(Cell(picture_, f"unit {unit}", f"α {float(weights[unit]):+.2g}"))
    drawn += cells(explained(one, (grad_cam, guided_backprop, guided_grad_cam)))
    return Line(drawn, name)


def _identity(asked: Asked) -> Table:
    """Grad-CAM of a network that averages its last maps, beside CAM: section 3.1."""
    same: list[float | None] = []
    others: list[float | None] = []
    images: list[str] = []
    groups = shown(asked, CLASSES_POINTING, "averaging classifier", CLASSES, asked.images, each=2)
    for first, second in groups:
        one, cam = explained(first, (grad_cam, class_activation_map))
        (other,) = explained(second, (class_activation_map,))
        if one is None or cam is None or other is None:
            raise NotHere("a classifier that averages its last maps: give --averaging-classifier MODEL")
        plane = one.grid_maps[0]
        same.append(rank_correlation(plane, np.maximum(cam.grid_maps[0], 0)))
        others.append(rank_correlation(plane, np.maximum(other.grid_maps[0], 0)))
        images.append(first.item.cluster)
    numbers = (
        number_of("grad_cam and CAM", summarise(same, images)),
        number_of("CAM of another class", summarise(others, images), control=True),
    )
    protocol = (
        "Rank correlation on the grid of the last layer of Grad-CAM with what is positive of CAM (section "
        "3.1: they are equal up to a factor); one class of each image with two."
    )
    return Table("Grad-CAM is CAM where CAM exists", numbers, protocol)


def counterfactual(asked: Asked) -> Findings:
    """Fig. 3: what speaks against a class, from the negated score (section 3.3)."""
    groups = shown(asked, CLASSES_POINTING, "classifier", CLASSES, asked.images, each=2)
    outcomes: dict[str, list[Outcome]] = {}
    images: list[str] = []
    for first, second in groups:
        for one, other in ((first, second), (second, first)):
            images.append(one.item.cluster)
            own, theirs = (_mask(each) for each in (one, other))
            against = _map(one, -one.target)
            for_it = _map(one, one.target)
            far = theirs & ~own
            found = {
                "against the class, on the other": pointing_hit(against, far),
                "against the class, on itself": pointing_hit(against, own),
                "for the class, on the other": pointing_hit(for_it, far),
                "for the class, on itself": pointing_hit(for_it, own),
                "middle, on the other": pointing_hit(centre_prior(far.shape), far),
                "random pixel, on the other": chance_hit(far),
            }
            for name, value in found.items():
                outcomes.setdefault(name, []).append(value)
    numbers = tuple(
        number_of(name, summarise(values, images), control=name.startswith(("middle", "random")))
        for name, values in outcomes.items()
    )
    protocol = (
        "Share of maps whose maximum lies on a pixel of that object: Grad-CAM of the negated score of one of "
        "two classes of an image (what would raise its rivals), and of the score; images are drawn."
    )
    whole = Table("Where the maximum lies", numbers, protocol)
    told = {number.name: number for number in numbers}
    rows = [
        Line(
            [
                photo_cell(one, one.name),
                *cells(explained(one, (grad_cam,))),
                *cells(explained(one, (grad_cam,), -one.target)),
            ]
        )
        for group in groups[:2]
        for one in group
    ]
    answer = (
        "What speaks against a class lies on the other in "
        f"{spoken(told['against the class, on the other'])}, what speaks for it in "
        f"{spoken(told['for the class, on the other'])}; a pixel at random in "
        f"{spoken(told['random pixel, on the other'])}."
    )
    columns = ("image", "Grad-CAM", "counterfactual")
    return findings("fig3", asked, answer, (whole,), [picture("For and against a class", rows, columns)])


def _mask(one: Shown) -> Mask:
    truth = one.item.truth
    assert isinstance(truth, Segments | Boxes)
    return region_of(truth, (one.image.height, one.image.width))


def _map(one: Shown, target: object) -> Map:
    found = explained(one, (grad_cam,), target)  # pyright: ignore[reportArgumentType]
    assert found[0] is not None
    return found[0].map(0)
