"""Failure modes (paper 6.1): what models saw when they were wrong: numbers, and a browser of mistakes."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.eval.data.folder import MARK, DataFolder
from vlx.eval.items.item import checked, digest, drawn
from vlx.eval.items.models import ModelType, types_of, weights_digest
from vlx.eval.items.options import Options
from vlx.eval.runs.methods import told as told_method
from vlx.eval.runs.request import data_folder
from vlx.load import load
from vlx.methods.values import Method, as_methods
from vlx.studies.failures.answers import answer_jobs
from vlx.studies.failures.browser import write_browser
from vlx.studies.failures.captions import caption_jobs
from vlx.studies.failures.classes import class_jobs
from vlx.studies.failures.decided import KINDS, Job
from vlx.studies.failures.numbers import (
    Case,
    cases_of,
    confusions_table,
    counts_table,
    evidence_table,
    kinds_of,
    telling_table,
)
from vlx.studies.failures.pointing import points_table
from vlx.studies.failures.seen import row_of, serving
from vlx.studies.failures.sheet import sheet
from vlx.studies.failures.worded import answers_of
from vlx.studies.found import Findings, Picture, Table
from vlx.studies.kept import Facts, claim, kept_rows
from vlx.studies.page import write_findings

MODELS = ("scenes/classifier", "scenes/captioner", "scenes/vqa")
METHODS = ("integrated_gradients", "grad_cam")
SHRINK = 3
"""How many times fewer pixels a side the built-in scenes have here: on whole ones their models hardly err."""
JOBS: Mapping[ModelType, Callable[[DataFolder, Options], list[Job]]] = {
    "classifier": class_jobs,
    "captioner": caption_jobs,
    "vqa": answer_jobs,
    "responder": answer_jobs,
}
PAGE = "mistakes.html"


@dataclass(frozen=True)
class FailuresSettings:
    """What is looked at, and how."""

    models: tuple[str, ...] = MODELS
    """Names that `vlx.load` takes: classifiers, captioners and VQA models."""
    data: str = "scenes"
    """A folder with COCO instances, VOC, ILSVRC or VQA annotations, or the built-in scenes."""
    split: str | None = None
    methods: tuple[str, ...] = METHODS
    """The first is shown first on the page."""
    layer: str | None = None
    shrink: int | None = None
    """Images are reduced to so many times fewer pixels a side, and enlarged again; None reduces the built-in
    scenes `SHRINK` times, and others not."""
    limit: int | None = None
    """This many images, drawn by the seed."""
    cases: int = 500
    """This many mistakes on the page, the most confident ones."""
    classes: str | None = None
    """A file that says which classes of the model the categories of the data are."""
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.models or self.cases < 1 or (self.shrink is not None and self.shrink < 1):
            raise VlxError("give a model at least, and 1 or more for cases and for shrink")


def failures_study(settings: FailuresSettings, out: Path, told: Callable[[str], None] = print) -> Findings:
    """Explain every mistake of some models, measure what their maps point at, and write both to ``out``.

    ``mistakes.html`` is the browser of mistakes; the findings are written as those of every study. A run
    that stopped goes on. Raises VlxError where the data do not serve a model, or nothing is decided.
    """
    folder = data_folder(settings.data, settings.split)
    methods = as_methods(list(settings.methods))
    shrink = settings.shrink or (SHRINK if _generated(folder) else 1)
    options = Options(seed=settings.seed, limit=settings.limit, classes=settings.classes)
    opened = {name: load(name, layer=settings.layer, device=settings.device) for name in settings.models}
    jobs = {name: _jobs(name, model, folder, options) for name, model in opened.items()}
    claim(out, _claimed(settings, opened, jobs, methods, shrink))
    parts: list[_Part] = []
    for name, model in opened.items():
        parts.append(_measured(name, model, jobs[name], methods, shrink, settings.seed, out, told))
    cases = [case for part in parts for case in part.cases]
    tables = _tables(parts, settings.seed)
    answers = answers_of([(part.name, part.cases, part.methods) for part in parts], tables)
    found = _findings(settings, parts, tables, " ".join(answers), methods, shrink)
    write_browser(out / PAGE, found.title, found.question, answers, cases, settings.cases, shrink)
    write_findings(out, found)
    return found


@dataclass(frozen=True, eq=False)
class _Part:
    """What was found of one model."""

    name: str
    rows: Sequence[Facts]
    cases: Sequence[Case]
    methods: Sequence[str]
    refused: Mapping[str, str]


def _jobs(name: str, model: Any, folder: DataFolder, options: Options) -> list[Job]:
    kind = types_of(model)[0]
    if kind == "captioner" and not hasattr(model, "generate"):
        raise VlxError(f"{name} writes no captions: its mistakes are those of its own words, by generate")
    made = JOBS[kind](folder, options)
    items = checked(one.item for one in made)
    jobs = [Job(item, one.read) for item, one in zip(items, made, strict=True)]
    kept = {item.id for item in drawn(items, options.limit, options.seed)}
    jobs = [one for one in jobs if one.item.id in kept]
    if not jobs:
        raise VlxError(f"{folder.root} holds nothing that {name} could be wrong about")
    return jobs


def _generated(folder: DataFolder) -> bool:
    """Whether these are scenes of vlx."""
    try:
        head = (folder.root / "instances.json").read_bytes()[:300]
    except OSError:
        return False
    return f'"description": "{MARK}'.encode() in head


def _claimed(
    settings: FailuresSettings,
    opened: Mapping[str, Any],
    jobs: Mapping[str, Sequence[Job]],
    methods: Sequence[Method],
    shrink: int,
) -> Facts:
    """What decides the rows; how many of them the page shows does not."""
    given = {key: value for key, value in asdict(settings).items() if key not in ("cases", "methods", "data")}
    return {
        "study": "failures",
        **{key: list(value) if isinstance(value, tuple) else value for key, value in given.items()},
        "shrink": shrink,
        "methods": list(map(told_method, methods)),
        "weights": {name: weights_digest(model) for name, model in opened.items()},
        "items": {name: digest(one.item for one in some) for name, some in jobs.items()},
    }


def _measured(
    name: str,
    model: Any,
    jobs: Sequence[Job],
    methods: Sequence[Method],
    shrink: int,
    seed: int,
    out: Path,
    told: Callable[[str], None],
) -> _Part:
    refused = serving(model, jobs, methods, shrink)
    kept = [method for method in methods if method.name not in refused]
    if not kept:
        raise VlxError(f"{name} allows none of these methods: {'; '.join(refused.values())}")
    by_name = {one.item.id: one for one in jobs}

    def make(at: str) -> Facts:
        return row_of(model, by_name[at], kept, shrink, seed)

    path = out / "rows" / f"{''.join(c if c.isalnum() else '-' for c in name)}.jsonl"
    with warnings.catch_warnings():
        warnings.simplefilter("once")
        rows = kept_rows(path, list(by_name), make, partial(_every, told, name, len(by_name)))
    images = [one.item.image for one in jobs]
    return _Part(name, rows, cases_of(name, rows, images), [method.name for method in kept], refused)


def _every(told: Callable[[str], None], name: str, count: int, line: str) -> None:
    """Tell a line of some twenty."""
    at = int(line.partition(" ")[0])
    if at % max(1, count // 20) == 0 or at == count:
        told(f"{name}: {line.partition(':')[0]}")


def _tables(parts: Sequence[_Part], seed: int) -> list[Table]:
    """What is told of each model, kind by kind."""
    found: list[Table | None] = []
    for part in parts:
        found.append(counts_table(part.name, part.cases, part.rows, seed))
        for kind in kinds_of(part.cases):
            if any(one.wrong for one in part.cases if one.kind == kind):
                found.append(points_table(part.name, kind, part.cases, part.methods, seed))
                found.append(evidence_table(part.name, kind, part.cases, seed))
            found.append(telling_table(part.name, kind, part.cases, part.methods, seed))
        found.append(confusions_table(part.name, part.cases))
    return [one for one in found if one is not None]


def _findings(
    settings: FailuresSettings,
    parts: Sequence[_Part],
    tables: Sequence[Table],
    answer: str,
    methods: Sequence[Method],
    shrink: int,
) -> Findings:
    pictures = [
        Picture(f"{part.name}: mistakes it is most confident of ({KINDS[kind]})", png)
        for part in parts
        for kind in kinds_of(part.cases)
        if (png := sheet([one for one in part.cases if one.kind == kind and one.wrong], shrink)) is not None
    ]
    return Findings(
        "failures",
        "What the models saw when they were wrong",
        "When a model is wrong, do its maps show what it took for what, and does the evidence give it away?",
        answer,
        tuple(tables),
        {
            **{key: list(one) if isinstance(one, tuple) else one for key, one in asdict(settings).items()},
            "shrink": shrink,
            "methods": list(map(told_method, methods)),
        },
        tuple(pictures),
        _left_out(parts),
        _notes(parts, shrink),
    )


def _alike(part: _Part) -> bool:
    """Whether all methods point at the same places."""
    told = [list(one.facts["points"].values()) for one in part.cases if "points" in one.facts]
    return bool(told) and all(one == some[0] for some in told for one in some)


def _left_out(parts: Sequence[_Part]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for row in part.rows:
            if reason := row.get("left_out"):
                key = f"{part.name}: {reason.replace('_', ' ')}"
                found[key] = found.get(key, 0) + 1
    return found


def _notes(parts: Sequence[_Part], shrink: int) -> tuple[str, ...]:
    notes = [f"Every mistake with its maps: {PAGE}, beside this page."]
    if shrink > 1:
        notes.append(
            f"Images were reduced to 1/{shrink} of their pixels a side and enlarged again before a model saw "
            "them: on whole ones the built-in models hardly err."
        )
    notes.append(
        "The paper (6.1) shows four mistakes of VGG-16 by Guided Grad-CAM and gives no numbers; here maps of "
        "the feature grid are shown, whose values mean something beside each other, and all is counted."
    )
    for part in parts:
        notes += [f"{part.name}: {name} is not shown: {why}" for name, why in part.refused.items()]
        if len(part.methods) > 1 and _alike(part):
            notes.append(
                f"{part.name}: maps by {' and '.join(part.methods)} point at the same places, as they must "
                "where what follows the layer is linear."
            )
    unknown = sum(row.get("counts", {}).get("unknown_class", 0) for part in parts for row in part.rows)
    if unknown:
        notes.append(f"{unknown} categories of images are none of the model's classes, and do not count.")
    return tuple(notes)
