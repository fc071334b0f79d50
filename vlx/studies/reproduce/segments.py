"""Fig. 4 and section 4.2: networks that learn to segment from seeds of Grad-CAM and of CAM."""

from dataclasses import replace

from vlx.eval.data.folder import look
from vlx.eval.runs.request import data_folder
from vlx.scenes.formats import write_world
from vlx.segmentation.pictures import pictures_in
from vlx.segmentation.recipe import recipe_named
from vlx.segmentation.scores import difference_with_interval, mean_iou_with_interval
from vlx.segmentation.study import CAM, MASKS, Found, Study, carried_out
from vlx.segmentation.summary import background_everywhere
from vlx.studies.found import Findings, Number, Picture, Table
from vlx.studies.reproduce.asked import Asked, NotHere
from vlx.studies.reproduce.told import findings, spoken

_SCENES, _TESTED, _STEPS = 300, 80, 120  # fewer than `vlx train sec` takes, for the minutes there are
_SEED = 41  # of the scenes to learn from, which no built-in model has seen
_PAPER = {"grad_cam": "0.496", CAM: "0.446"}


def segmentation(asked: Asked) -> Findings:
    """Mean IoU after SEC on seeds of Grad-CAM, of CAM, and on true masks."""
    if asked.data:
        raise NotHere(
            "a GPU and hours: vlx train sec --recipe voc12 --data FOLDER learns as published, from PASCAL "
            "VOC 2012 with its augmented masks (http://host.robots.ox.ac.uk/pascal/VOC/voc2012)"
        )
    study = _study(asked)
    found = carried_out(study)
    whole = _table(study, found)
    told = {number.name: number for number in whole.numbers}
    answer = (
        f"Mean IoU of what learned from seeds of Grad-CAM {spoken(told['grad_cam'])}, of CAM "
        f"{spoken(told[CAM])}; the difference is {spoken(told[f'grad_cam minus {CAM}'])}."
    )
    pictures = [
        Picture(title, (study.out / name).read_bytes())
        for title, name in (
            ("Seeds of images to learn from", "seeds.png"),
            ("Held-out images: true classes, and what each network finds", "segmentations.png"),
        )
    ]
    return findings(
        "fig4", asked, answer, (whole,), pictures, models=("classifier", "averaging classifier"),
        notes=(
            f"one training each, of {_STEPS} steps on {_SCENES} scenes: intervals draw held-out images, not "
            "trainings; vlx train sec learns longer",
        ),
    )  # fmt: skip


def _study(asked: Asked) -> Study:
    place = asked.out / "segmentation" / f"scenes-{_SCENES}"
    if not (place / "instances.json").is_file():
        write_world(place, _SCENES, _SEED)
    return Study(
        replace(recipe_named("scenes"), steps=_STEPS, drop_every=_STEPS * 3 // 4),
        ("grad_cam", CAM, MASKS),
        pictures_in(look(place)),
        pictures_in(data_folder("scenes"), _TESTED),
        asked.out / "segmentation" / "study",
        open_model=lambda name: (
            asked.loaded(
                "averaging classifier" if name == asked.model("averaging classifier") else "classifier"
            ).trained
        ),
        model=asked.model("classifier"),
        cam_model=asked.model("averaging classifier"),
        seed=asked.seed,
        device=asked.device,
        pictures=4,
        told=_quiet,
    )


def _quiet(_line: str) -> None:
    """Say nothing of the steps."""


def _table(study: Study, found: list[Found]) -> Table:
    ids = study.test.ids
    numbers = [
        _number(one.source, mean_iou_with_interval(one.counts, ids), len(ids), _PAPER.get(one.source, ""))
        for one in found
    ]
    by_source = {one.source: one for one in found}
    less = difference_with_interval(by_source["grad_cam"].counts, by_source[CAM].counts, ids)
    numbers.append(_number(f"grad_cam minus {CAM}", less, len(ids)))
    nothing = _number(
        "background everywhere", mean_iou_with_interval(background_everywhere(study.test), ids), len(ids)
    )
    protocol = (
        f"SEC (arXiv 1603.06098) on seeds above 20 % of a map's maximum; {study.recipe.network} network, "
        f"{study.recipe.steps} steps of {study.recipe.batch} images; one confusion matrix over held-out "
        "images, mean over classes and background; intervals draw images; no CRF after the network. The "
        "paper: VOC 2012."
    )
    return Table(
        "Mean IoU of networks by what they learned from", (*numbers, replace(nothing, control=True)), protocol
    )


def _number(
    name: str, told: tuple[float | None, tuple[float, float] | None], n: int, paper: str = ""
) -> Number:
    return Number(name, told[0], n, told[1], paper=paper)
