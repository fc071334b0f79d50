"""The paper's figures of captions: whole ones, of regions, word by word, and in pixels (section 8.1)."""

from vlx.eval.data.published import CAPTIONS, DENSECAP, INSTANCES, REGIONS
from vlx.eval.items.truth import Region, Segments, box_on_file, mask_of
from vlx.eval.measures.boxes import box_mask
from vlx.eval.measures.maps import Mask
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.eval.tasks.pointing import POINTING
from vlx.methods.values import grad_cam, guided_backprop, guided_grad_cam
from vlx.passes.targets import caption
from vlx.show.colours import overlay, shared_scale
from vlx.show.sheets import Cell, Line
from vlx.studies.found import Findings
from vlx.studies.reproduce.asked import Asked, Needs
from vlx.studies.reproduce.drawn import Shown, cells, explained, photo_cell, picture, row, shown
from vlx.studies.reproduce.measured import between, measured, table
from vlx.studies.reproduce.told import findings, spoken

REGION_CAPTIONS = Needs(
    ((DENSECAP, REGIONS, INSTANCES),), "DenseCap's captions of regions; images not stated"
)
WORDS = Needs(((CAPTIONS,), (INSTANCES,)), "1,000 random images of COCO, 830 words of its 80 categories")
TEXTS = Needs(((CAPTIONS,),), "COCO val 2014 with captions")
_METHODS = (grad_cam, guided_backprop, guided_grad_cam)
_NAMES = ("Grad-CAM", "Guided Backprop", "Guided Grad-CAM")


def regions(asked: Asked) -> Findings:
    """Fig. 10 and section 8.1: a map inside over outside the box of a region caption."""
    made = measured(asked, BOXES, "captioner", REGION_CAPTIONS, _METHODS)
    whole = table(made)
    told = {number.name: number for number in whole.numbers}
    parts = [
        f"{name} {spoken(told[one.name])}" for one, name in zip(_METHODS, _NAMES, strict=True)
        if one.name in told
    ]  # fmt: skip
    groups = shown(asked, BOXES, "captioner", REGION_CAPTIONS, 2, each=3, differ=lambda item: item.text)
    rows = [_region_row(one) for group in groups for one in group]
    figure = picture("Captions of regions", rows, ("region", "Grad-CAM", "Guided Grad-CAM"))
    less = [
        f"{name} {spoken(told[f'{one.name}, own minus wrong'])}"
        for one, name in zip(_METHODS, _NAMES, strict=True) if f"{one.name}, own minus wrong" in told
    ]  # fmt: skip
    answer = (
        f"Median ratio inside over outside: {', '.join(parts)}; a uniform map has 1. Less that of the same "
        f"caption with an absent object: {', '.join(less)}."
    )
    return findings(
        "fig10", asked, answer, (whole, *between(made, "grad_cam")), [figure], models=("captioner",),
        notes=(
            "the paper prints means; a few huge ratios make a mean, so medians lead here",
            "a ratio is high wherever a map lies on drawn things, as guided gradients do on even grounds for "
            "any caption: what belongs to the caption is own minus wrong",
        ),
    )  # fmt: skip


def _region_row(one: Shown) -> Line:
    assert isinstance(one.item.truth, Region)
    box = box_on_file(one.item.truth, (one.image.height, one.image.width))
    mask = box_mask(box, (one.image.height, one.image.width))
    return Line([_masked(one, mask, one.item.text), *cells(explained(one, (grad_cam, guided_grad_cam)))])


def _masked(one: Shown, mask: Mask, name: str) -> Cell:
    plane = mask.astype(float)
    return Cell(overlay(one.image, plane, shared_scale([plane])), name)


def words(asked: Asked) -> Findings:
    """Fig. 11 and section 8.1.1: words that name objects, and COCO's masks."""
    made = measured(asked, POINTING, "captioner", WORDS, _METHODS, captions=1)
    whole = table(made)
    told = {number.name: number for number in whole.numbers}
    rows = [
        _word_row(group)
        for group in shown(asked, POINTING, "captioner", WORDS, 4, each=2, differ=lambda item: item.category)
    ]
    columns = ("image", "first word", "mask", "second word", "mask")
    answer = (
        f"The maximum of Grad-CAM lies on the word's object in {spoken(told['grad_cam'])}; own minus wrong "
        f"word {spoken(told['grad_cam, own minus wrong'])}."
    )
    return findings(
        "fig11", asked, answer, (whole, *between(made, "grad_cam")),
        [picture("Words and masks", rows, columns)], models=("captioner",),
        notes=("the paper's 830 words are not published: vlx has a list of its own",),
    )  # fmt: skip


def _word_row(group: list[Shown]) -> Line:
    drawn: list[Cell | None] = [photo_cell(group[0])]
    for one in group:
        assert isinstance(one.item.truth, Segments)
        drawn += cells(explained(one, (grad_cam,)), [one.item.word])
        drawn.append(_masked(one, mask_of(one.item.truth), one.item.category))
    return Line(drawn, group[0].item.text)


def captions_in_pixels(asked: Asked) -> Findings:
    """Fig. 18 (2016: A2): whole captions by Guided Backprop, Grad-CAM and both."""
    methods = (guided_backprop, grad_cam, guided_grad_cam)
    made = measured(asked, BOXES, "captioner", REGION_CAPTIONS, _METHODS)
    whole = table(made)
    rows = [
        row(one, methods, name=one.item.text, target=caption())
        for (one,) in shown(asked, OCCLUSION, "captioner", TEXTS, 4)
    ]
    told = {number.name: number for number in whole.numbers}
    answer = (
        "Inside over outside a caption's box, medians: Guided Backprop "
        f"{spoken(told['guided_backprop'])}, Guided Grad-CAM {spoken(told['guided_grad_cam'])}."
    )
    columns = ("image", "Guided Backprop", "Grad-CAM", "Guided Grad-CAM")
    return findings(
        "fig18", asked, answer, (whole,), [picture("Whole captions", rows, columns)], models=("captioner",)
    )
