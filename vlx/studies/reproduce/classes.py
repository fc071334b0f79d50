"""The paper's numbers of classifiers: boxes, ablations, the right to refuse, hidden windows."""

from vlx.eval.baselines import c_mwp
from vlx.eval.data.published import ILSVRC_TRUTH, INSTANCES, VOC_BOXES
from vlx.eval.items.rows import SCORE
from vlx.eval.page.evaluate_variants import ABLATIONS
from vlx.eval.tasks.classes_occlusion import CLASSES_OCCLUSION
from vlx.eval.tasks.classes_pointing import CLASSES_POINTING, CLASSES_REJECT
from vlx.eval.tasks.localisation import LOCALISATION
from vlx.methods.occlusion.windows import SIZE, SIZES
from vlx.methods.values import class_activation_map, grad_cam, gradient, guided_backprop, guided_grad_cam
from vlx.show.sheets import Line
from vlx.studies.found import Findings, Table
from vlx.studies.reproduce.asked import Asked, Needs
from vlx.studies.reproduce.drawn import cells, explained, photo_cell, picture, row, shown
from vlx.studies.reproduce.measured import between, joined, measured, table
from vlx.studies.reproduce.told import findings, spoken

BOXES = Needs(((ILSVRC_TRUTH, VOC_BOXES, INSTANCES),), "ILSVRC-15 val, 50,000 images", "scenes/ilsvrc")
CLASSES = Needs(((VOC_BOXES, INSTANCES),), "PASCAL VOC 2007 and COCO val 2014")
STRIDE = 16
"""Of hidden windows, in pixels."""
_SCENES = "scenes show up to four drawn objects, photos of ILSVRC mostly one that is large"
_REFUSING = {
    SCORE: "refusing nothing", "with_reject": "with a threshold", "best_of_all": "best threshold of all",
    "presence": "presence alone",
}  # fmt: skip
_ERRORS = {SCORE: "top 1", "top_5": "top 5", "known_class": "class known"}


def localisation(asked: Asked) -> Findings:
    """Table 1: errors of boxes around the largest part of a map above 15 % of its maximum."""
    methods = (grad_cam, gradient, guided_grad_cam, c_mwp)
    one = measured(asked, LOCALISATION, "classifier", BOXES, methods)
    other = measured(asked, LOCALISATION, "averaging classifier", BOXES, (class_activation_map, grad_cam))
    whole = joined(
        "Localisation error: share of images where no guess has class and box right (low is good)",
        table(one, columns=_ERRORS, own="classifier"),
        table(other, methods=[class_activation_map], columns=_ERRORS, own="averaging"),
        table(other, methods=[grad_cam], columns=_ERRORS, own="averaging", published=""),
    )  # fmt: skip
    told = {number.name: number for number in whole.numbers}
    answer = (
        f"Grad-CAM misses the first guess's class or box in {spoken(told['classifier, grad_cam, top 1'])} of "
        f"images, a blob in the middle in {spoken(told['classifier, centre prior'])}; CAM of the averaging "
        f"network in {spoken(told['averaging, class_activation_map, top 1'])}."
    )
    return findings(
        "table1", asked, answer, (whole,), [_boxes_picture(asked)],
        notes=(_SCENES, "gradients are cut at 15 % as maps are: the paper's Backprop row is segmented first"),
        models=("classifier", "averaging classifier"),
    )  # fmt: skip


def ablations(asked: Asked) -> Findings:
    """Table 3: localisation errors of Grad-CAM's design choices."""
    made = measured(asked, LOCALISATION, "classifier", BOXES, ABLATIONS)
    whole = table(
        made, columns={SCORE: "", "known_class": "class known"}, published="ablations",
        title="Localisation error of the first guess (low is good)",
    )  # fmt: skip
    told = {number.name: number for number in whole.numbers}
    mine = told["grad_cam"].value or 0.0
    worse = [name for name in made.methods[1:] if (told[name].value or 0.0) > mine]
    named = ", ".join(one.removeprefix("grad_cam_").replace("_", " ") for one in worse)
    answer = (
        f"Grad-CAM errs on {spoken(told['grad_cam'])} of images; {len(worse)} of {len(made.methods) - 1} "
        f"variants err on more{': ' if worse else ''}{named}."
    )
    return findings(
        "table3", asked, answer, (whole, *between(made, "grad_cam")), [_ablated_picture(asked)],
        notes=("what becomes of values below 0 without the ReLU is not stated: three readings", _SCENES),
    )  # fmt: skip


def reject(asked: Asked) -> Findings:
    """Section 4.3, appendix D: pointing with the right to refuse."""
    made = measured(asked, CLASSES_REJECT, "classifier", CLASSES, (grad_cam, c_mwp))
    whole = table(
        made, columns=_REFUSING, leads="with_reject",
        title="Accuracy over the five likeliest classes of each image",
    )  # fmt: skip
    told = {number.name: number for number in whole.numbers}
    some = shown(asked, CLASSES_POINTING, "classifier", CLASSES, 4)
    rows = [row(one, (grad_cam, c_mwp)) for (one,) in some]
    figure = picture("c-MWP and Grad-CAM", rows, ("image", "Grad-CAM", "c-MWP"))
    parts = [f"{name} {spoken(told[f'{name}, with a threshold'])}" for name in made.methods]
    answer = (
        f"With a threshold chosen on the other half of the images: {', '.join(parts)}; refusing everything "
        f"is right in {spoken(told['refusing everything'])}."
    )
    return findings("section4.3", asked, answer, (whole,), [figure])


def faithful(asked: Asked, limit: int = 20) -> Table:
    """Section 5.3: rank correlation of classes' maps with occlusion maps."""
    methods = (grad_cam, guided_grad_cam, guided_backprop, c_mwp)
    some = min(asked.images, limit)
    made = measured(asked, CLASSES_OCCLUSION, "classifier", CLASSES, methods, limit=some, stride=STRIDE)
    columns = {SCORE: "", **{f"mask_{size}": f"masks of {size}" for size in SIZES if size != SIZE}}
    return table(made, columns=columns)


def _boxes_picture(asked: Asked):
    methods = (grad_cam, guided_grad_cam, gradient, c_mwp)
    rows = [row(one, methods) for (one,) in shown(asked, CLASSES_POINTING, "classifier", CLASSES, 3)]
    columns = ("image", "Grad-CAM", "Guided Grad-CAM", "gradient", "c-MWP")
    return picture("Maps that boxes are cut from", rows, columns)


def _ablated_picture(asked: Asked):
    (pair,) = shown(asked, CLASSES_POINTING, "classifier", CLASSES, 1, each=2)
    names = [one.name.removeprefix("grad_cam_").replace("_", " ") for one in ABLATIONS]
    rows = [Line([photo_cell(one, one.name), *cells(explained(one, ABLATIONS), names)]) for one in pair]
    return picture("Two classes of an image by every variant", rows)
