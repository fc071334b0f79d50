"""The paper's figures of classifiers, each with a number that says what is seen."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vlx.eval.baselines import c_mwp
from vlx.eval.items.opened import read_items
from vlx.eval.tasks.classes_pointing import CLASSES_POINTING
from vlx.methods.occlusion.windows import SIZE, SIZES
from vlx.methods.values import (
    Method,
    deconvolution,
    grad_cam,
    grad_cam_with,
    guided_backprop,
    guided_grad_cam,
    occlusion_with,
)
from vlx.passes.stages import stages
from vlx.show.sheets import Line
from vlx.studies.found import Findings, Number, Table
from vlx.studies.reproduce.asked import Asked, Role
from vlx.studies.reproduce.classes import CLASSES, STRIDE, faithful
from vlx.studies.reproduce.drawn import Shown, cells, explained, photo_cell, picture, row, shown
from vlx.studies.reproduce.measured import Evaluated, measured, table
from vlx.studies.reproduce.told import findings, spoken

_MAX = grad_cam_with(pool="max")
_GUIDED, _DECONVOLUTION = grad_cam_with(rule="guided"), grad_cam_with(rule="deconvolution")
_NO_RELU, _ABSOLUTE = grad_cam_with(rectify=False), grad_cam_with(absolute=True)
_ALL = (
    grad_cam, guided_grad_cam, guided_backprop, deconvolution, c_mwp, _MAX, _GUIDED, _DECONVOLUTION, _NO_RELU,
    _ABSOLUTE,
)  # fmt: skip
"""What any of the figures shows: measured together, as all share the runs of an image."""


def _pointed(asked: Asked) -> Evaluated:
    return measured(asked, CLASSES_POINTING, "classifier", CLASSES, _ALL)


def discriminative(asked: Asked) -> Findings:
    """Fig. 1: two classes of one image by pixel-space gradients, Grad-CAM and both."""
    methods = (guided_backprop, grad_cam, guided_grad_cam)
    whole = table(_pointed(asked), methods=methods)
    (pair,) = shown(asked, CLASSES_POINTING, "classifier", CLASSES, 1, each=2)
    (other,) = shown(asked, CLASSES_POINTING, "averaging classifier", CLASSES, 1, each=2)
    rows: list[Line] = []
    for one, same in zip(pair, other, strict=True):
        drawn = row(one, (*methods, occlusion_with(stride=STRIDE)))
        rows.append(Line([*drawn.cells, *cells(explained(same, (grad_cam,)))]))
    columns = (
        "image", "Guided Backprop", "Grad-CAM", "Guided Grad-CAM", "Occlusion map", "averaging, Grad-CAM",
    )  # fmt: skip
    told = {number.name: number for number in whole.numbers}
    parts = [f"{one.name} {spoken(told[f'{one.name}, own minus wrong'])}" for one in methods]
    return findings(
        "fig1", asked, f"Pointing at a class, less that of wrong classes: {', '.join(parts)}.", (whole,),
        [picture("Two classes of one image", rows, columns)],
        notes=("the paper's figure has no number: own minus wrong says whether maps tell classes apart",),
        models=("classifier", "averaging classifier"),
    )  # fmt: skip


def layers(asked: Asked, name: str, role: Role) -> Findings:
    """Fig. 13 and 14: maps of one class at every layer, and how well they point."""
    pairs = shown(asked, CLASSES_POINTING, role, CLASSES, 2)
    trained = asked.loaded(role).trained
    names = [str(layer) for layer in stages(pairs[0][0].opened.passed)]
    some = min(asked.images, 20)
    tables = {
        layer: table(
            measured(
                asked, CLASSES_POINTING, role, CLASSES, (grad_cam,), layer=layer, limit=some, shuffled=False
            )
        )
        for layer in names
    }
    last = tables[names[-1]]
    controls = [one for one in last.numbers if one.control and one.name != "mean activation"]
    whole = Table(
        "Share of maps whose maximum lies on the class",
        (*(number for layer in names for number in _of_layer(layer, tables[layer])), *controls),
        last.protocol,
    )  # fmt: skip
    told = {number.name: number for number in whole.numbers}
    answer = (
        f"Maps point at the class in {spoken(told[names[-1]])} at the last layer, {names[-1]}, and in "
        f"{spoken(told[names[0]])} at the first, {names[0]}."
    )
    rows = [_over_layers(one, trained, names) for (one,) in pairs]
    return findings(
        name, asked, answer, (whole,), [picture("One class at every layer", rows)], models=(role,)
    )


def _of_layer(layer: str, whole: Table) -> list[Number]:
    own = [one for one in whole.numbers if not one.control]
    mean = [one for one in whole.numbers if one.name == "mean activation"]
    return [replace(one, name=one.name.replace("grad_cam", layer)) for one in own] + [
        replace(one, name=f"mean activation at {layer}") for one in mean
    ]


def _over_layers(one: Shown, trained: Any, names: Sequence[str]) -> Line:
    drawn = [photo_cell(one, one.name)]
    for layer in names:
        opened, _ = read_items(trained.at(layer), [one.item])
        there = Shown(one.item, opened[0], one.target)
        drawn += [cell for cell in cells(explained(there, (grad_cam,)), [layer]) if cell is not None]
    return Line(drawn)


def pooled(asked: Asked) -> Findings:
    """Fig. 15: means of gradients, or their maxima."""
    return _variants(asked, "fig15", (grad_cam, _MAX), ("average pooling", "max pooling"))


def rules(asked: Asked) -> Findings:
    """Fig. 16: the gradient, and the rules of guided backprop and of deconvolution above the layer."""
    names = ("gradient", "guided ReLU", "deconvolution ReLU")
    return _variants(asked, "fig16", (grad_cam, _GUIDED, _DECONVOLUTION), names)


def rectified(asked: Asked) -> Findings:
    """Fig. A7 of 2016: without the ReLU, and with absolute gradients."""
    names = ("Grad-CAM", "no ReLU", "absolute gradients")
    return _variants(asked, "figA7", (grad_cam, _NO_RELU, _ABSOLUTE), names)


def _variants(asked: Asked, name: str, methods: Sequence[Method], columns: Sequence[str]) -> Findings:
    whole = table(_pointed(asked), methods=methods)
    groups = shown(asked, CLASSES_POINTING, "classifier", CLASSES, 2, each=2)
    figure = picture(
        "Two classes each", [row(one, methods) for group in groups for one in group], ("image", *columns)
    )
    told = {number.name: number for number in whole.numbers}
    parts = [
        f"{column} {spoken(told[f'{one.name}, own minus wrong'])}"
        for one, column in zip(methods, columns, strict=True) if one.name in told
    ]  # fmt: skip
    answer = f"Pointing at a class, less that of wrong classes: {', '.join(parts)}."
    return findings(name, asked, answer, (whole,), [figure])


def random_images(asked: Asked) -> Findings:
    """Fig. 17 (2016: A1): random images."""
    methods = (guided_backprop, grad_cam, guided_grad_cam)
    return _gallery(asked, "fig17", methods, ("Guided Backprop", "Grad-CAM", "Guided Grad-CAM"))


def true_classes(asked: Asked) -> Findings:
    """Fig. 20 (2016: A11): ground-truth classes by more methods."""
    methods = (guided_backprop, deconvolution, grad_cam, guided_grad_cam, c_mwp)
    names = ("Guided Backprop", "Deconvolution", "Grad-CAM", "Guided Grad-CAM", "c-MWP")
    return _gallery(asked, "fig20", methods, names)


def _gallery(asked: Asked, name: str, methods: Sequence[Method], columns: Sequence[str]) -> Findings:
    whole = table(_pointed(asked), methods=methods)
    rows = [row(one, methods) for (one,) in shown(asked, CLASSES_POINTING, "classifier", CLASSES, 6)]
    told = {number.name: number for number in whole.numbers}
    parts = [
        f"{column} {spoken(told[one.name])}"
        for one, column in zip(methods, columns, strict=True) if one.name in told
    ]  # fmt: skip
    answer = f"Maxima on the class: {', '.join(parts)}."
    figure = picture("Randomly drawn images", rows, ("image", *columns))
    return findings(name, asked, answer, (whole,), [figure])


def mask_sizes(asked: Asked) -> Findings:
    """Fig. A4 of 2016: occlusion maps by the side of the mask."""
    whole = faithful(asked)
    sizes = [occlusion_with(size=size, stride=STRIDE) for size in SIZES]
    (pair,) = shown(asked, CLASSES_POINTING, "classifier", CLASSES, 1, each=2)
    rows = [row(one, (*sizes, grad_cam)) for one in pair]
    columns = ("image", *(f"masks of {size}" for size in SIZES), "Grad-CAM")
    told = {number.name: number for number in whole.numbers}
    named = {size: "grad_cam" if size == SIZE else f"grad_cam, masks of {size}" for size in SIZES}
    parts = [f"{size}: {spoken(told[name])}" for size, name in named.items()]
    answer = f"Grad-CAM's rank correlation with occlusion by masks of {'; '.join(parts)}."
    return findings("figA4", asked, answer, (whole,), [picture("Occlusion maps by mask size", rows, columns)])
