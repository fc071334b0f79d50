"""Study of adversarial noise (paper 6.2, figure 7): what attacks reach, and where true maps point."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vlx.errors import Doubt, VlxError
from vlx.eval.items.models import types_of, weights_digest
from vlx.eval.items.opened import LeftOut
from vlx.eval.runs.request import data_folder
from vlx.load import load
from vlx.methods.values import Method, method_named
from vlx.studies.adversarial.attack import Attack
from vlx.studies.adversarial.cases import Images, images_of
from vlx.studies.adversarial.drawn import case_figure
from vlx.studies.adversarial.measured import attacked_case, row_of
from vlx.studies.adversarial.tables import Columns, answer_of, areas, likeness, pointing, reached, targets
from vlx.studies.found import Findings, Picture
from vlx.studies.kept import Facts, claim, kept_rows
from vlx.studies.page import write_findings


@dataclass(frozen=True)
class AdversarialSettings:
    """What is attacked, how hard, and how maps are scored."""

    model: str = "scenes/classifier"
    """A classifier, a VQA model or a captioner by name: of a captioner one word of each image's captions."""
    data: str = "scenes"
    """A folder with images and instance masks (of classifiers VOC's boxes too), for VQA with questions."""
    target: str | None = None
    """What all images are driven to; None draws for each what it does not show."""
    methods: tuple[str, ...] = ("grad_cam",)
    layer: str | int | None = None
    size: float | int = 8.0
    """The largest change of a colour, in 1/255."""
    steps: int = 100
    limit: int | None = 100
    """Images, drawn by the seed; None takes all."""
    radius: float | int = 0.0
    """Pointing: how far from its object a maximum is a hit, in pixels; 0 asks for a pixel of it."""
    seed: int = 0
    device: str = "cpu"
    pictures: int = 3
    eight_bits: bool = False
    """Whether the attack goes on until colours of 8 bits reach the target."""


def adversarial_study(
    settings: AdversarialSettings, out: Path, told: Callable[[str], None] = print, *, model: Any = None
) -> Findings:
    """Attack each image, score its maps before and after, write what was found below ``out``; goes on.

    ``model`` serves in the place of the one that the settings name. Raises VlxError for a model or data that
    do not serve.
    """
    model = load(settings.model, layer=settings.layer, device=settings.device) if model is None else model
    kind = types_of(model)[0]
    if kind not in ("classifier", "vqa", "captioner"):
        raise VlxError(
            f"{settings.model} chooses neither a class, an answer from a list nor a word: no attack"
        )
    methods = [method_named(name) for name in settings.methods]
    how = Attack(size=settings.size, steps=settings.steps, seed=settings.seed, eight_bits=settings.eight_bits)
    images = images_of(
        model, kind, data_folder(settings.data), settings.target, settings.limit, settings.seed
    )
    if not images.names:
        raise VlxError(f"{settings.data} has no image with objects for {settings.model}")
    facts = {**asdict(settings), "kind": kind, "weights": weights_digest(model)[:16]}
    del facts["pictures"]
    claim(out, facts)

    def made(name: str) -> Facts:
        case = images.open(name)
        if isinstance(case, LeftOut):
            return {"left_out": case.reason}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Doubt)
            found = attacked_case(case, how)
            return row_of(case, found, methods, how, settings.radius, name)

    rows = dict(zip(images.names, kept_rows(out / "rows.jsonl", images.names, made, told), strict=True))
    pictures = _pictures(settings, images, rows, methods[0], how)
    found = findings_of(settings, kind, rows, pictures, facts, images.damaged)
    write_findings(out, found)
    return found


def findings_of(
    settings: AdversarialSettings,
    kind: str,
    rows: Mapping[str, Facts],
    pictures: Sequence[Picture],
    facts: Mapping[str, Any],
    damaged: int = 0,
) -> Findings:
    """The tables and the answer that rows of images give."""
    kept = {name: row for name, row in rows.items() if "left_out" not in row}
    if not kept:
        reasons = ", ".join(sorted({str(row["left_out"]) for row in rows.values()}))
        raise VlxError(f"none of {len(rows)} images could be attacked: {reasons}")
    left_out: dict[str, int] = {"damaged records": damaged} if damaged else {}
    for row in rows.values():
        if "left_out" in row:
            reason = str(row["left_out"]).replace("_", " ")
            left_out[reason] = left_out.get(reason, 0) + 1
    table = Columns(kept)
    tables = [reached(table, settings.size, settings.steps)]
    for method in settings.methods:
        of = f" ({method})" if len(settings.methods) > 1 else ""
        tables += [
            pointing(table, method, of, settings.radius),
            areas(table, method, of),
            likeness(table, method, of),
            targets(table, method, of),
        ]
    return Findings(
        "adversarial",
        "Adversarial noise: do the maps of what is there still point at it?",
        f"{_WHAT[kind]} is driven to what the image does not show, by changes of at most "
        f"{settings.size:g}/255 of any colour: where do the maps of the true objects lie then?",
        answer_of(tables, f" ({settings.methods[0]})" if len(settings.methods) > 1 else ""),
        tuple(tables),
        dict(facts),
        tuple(pictures),
        left_out,
        _NOTES + _OF_KIND[kind],
    )


_WHAT = {"classifier": "A classifier", "vqa": "An answer to a question", "captioner": "A word of a caption"}
_NOTES = (
    'The paper (6.2) attacks VGG-16 on ImageNet photos until "airliner" has more than .9999; how, and how '
    "strongly, it does not say, and it shows one image and no numbers.",
    "The network input is attacked, after the model's own resizing; colours stay within those of an image.",
)
_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "classifier": (
        "A classifier with a sigmoid for each class is driven away from its true classes too, to below .5; "
        "with a softmax the target takes their probability.",
    ),
    "vqa": (
        "One question an image, about one object that it shows, driven to another answer that questions of "
        "its type have; the map is that of the true answer. Other answers to the same question mostly "
        "concern the same object, so own minus wrong is small before an attack too.",
    ),
    "captioner": (
        "One word an image, at its step of a reference caption, after the same words; the target is a word "
        "of an absent category that fits the article. A word shares its probability with its synonyms and "
        "with other ways to go on, so that language, and no attack, keeps most targets below .9999.",
    ),
}


def _pictures(
    settings: AdversarialSettings, images: Images, rows: Mapping[str, Facts], method: Method, how: Attack
) -> list[Picture]:
    """The first images whose target was reached, or else the first, attacked again."""
    kept = [name for name in images.names if "left_out" not in rows[name]]
    order = sorted(kept, key=lambda name: not rows[name]["reached"])
    found: list[Picture] = []
    for name in order[: settings.pictures]:
        case = images.open(name)
        if not isinstance(case, LeftOut):
            attacked = attacked_case(case, replace(how))
            found.append(case_figure(case, attacked, method, how))
    return found
