"""``vlx evaluate``: measure explanations over a data set, with their controls, and join what was measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from vlx.cli.options import (
    ANNOTATORS,
    ANSWER,
    BACKGROUND,
    BATCH,
    CAPTIONS,
    CLASSES,
    CONNECTIVITY,
    CROP,
    DAMAGED,
    DATA,
    DEVICE,
    ENGINE,
    FILL,
    FOREGROUND,
    HOW,
    LAYER,
    LIMIT,
    METHOD,
    OUT,
    PRECISION,
    RADIUS,
    SALIENCY,
    SEED,
    SPLIT,
    STEPS,
    STRIDE,
    THREADS,
    THRESHOLD,
    TOLERANCE,
    WHAT,
    WINDOW,
    WORKERS,
    WRONG,
    model_option,
    option,
    request_of,
    with_options,
)

evaluate = typer.Typer(
    help="Measure explanations over a data set, beside their controls.", rich_markup_mode=None
)

CAPTIONER = model_option("scenes/captioner", "A captioner")
VQA = model_option("scenes/vqa", "A VQA model")
CLASSIFIER = model_option("scenes/classifier", "A classifier")

COMMANDS = (
    (
        "boxes", "Captioners: a map inside over outside a region's box.",
        (CAPTIONER, *WHAT, WRONG, *HOW),
    ),
    (
        "pointing", "Captioners: does a word's map point at its object?",
        (CAPTIONER, *WHAT, CAPTIONS, TOLERANCE, WRONG, *HOW),
    ),
    (
        "area", "Captioners: does a word's map rank its object's pixels first?",
        (CAPTIONER, *WHAT, CAPTIONS, WRONG, *HOW),
    ),
    (
        "attention", "VQA models: agreement with where people look (simulated in built-in scenes).",
        (VQA, *WHAT, ANNOTATORS, ANSWER, *HOW),
    ),
    (
        "occlusion", "Any model: agreement with hiding parts of the image.",
        (model_option("scenes/vqa", "Any model"), *WHAT, CAPTIONS, ANSWER, WINDOW, STRIDE, FILL, *HOW),
    ),
    (
        "sanity", "Any model: do maps change with weights and questions?",
        (model_option("scenes/captioner", "Any model"), *WHAT, CAPTIONS, ANSWER, *HOW),
    ),
    (
        "deletion", "Any model: does the probability fall as a map's pixels go?",
        (model_option("scenes/vqa", "Any model"), *WHAT, CAPTIONS, ANSWER, STEPS, *HOW),
    ),
    (
        "insertion", "Any model: does the probability rise as a map's pixels come?",
        (model_option("scenes/vqa", "Any model"), *WHAT, CAPTIONS, ANSWER, STEPS, *HOW),
    ),
    (
        "accuracy", "VQA models: are the answers those of people?",
        (VQA, DATA, OUT, SPLIT, *HOW),
    ),
    (
        "evidence", "Captioners: how much of each class of words comes from the image?",
        (CAPTIONER, DATA, OUT, LAYER, SPLIT, CAPTIONS, *HOW),
    ),
    (
        "hallucination", "Captioners: are words of what is not there told from others?",
        (CAPTIONER, *WHAT, CAPTIONS, *HOW),
    ),
    (
        "localisation", "Classifiers: does the box of a class's map fit its object?",
        (CLASSIFIER, *WHAT, WRONG, THRESHOLD, CONNECTIVITY, CROP, CLASSES, *HOW),
    ),
    (
        "classes-pointing", "Classifiers: does a class's map point at its object?",
        (CLASSIFIER, *WHAT, WRONG, RADIUS, CROP, CLASSES, *HOW),
    ),
    (
        "classes-reject", "Classifiers: do the five likeliest classes point, or refuse by a low map?",
        (CLASSIFIER, *WHAT, RADIUS, CROP, CLASSES, *HOW),
    ),
    (
        "seeds", "Classifiers: are cells above a fifth of a class's map its object's?",
        (CLASSIFIER, *WHAT, WRONG, FOREGROUND, BACKGROUND, SALIENCY, CROP, CLASSES, *HOW),
    ),
)  # fmt: skip
"""One command a task: its name, what it says of itself, and its options."""


def measure(name: str) -> Callable[..., None]:
    """What the command of a task does: run the evaluation and print its table."""

    def command(**given: Any) -> None:
        from vlx.eval.runs.evaluate import evaluate
        from vlx.eval.runs.settings import parse_shard
        from vlx.eval.tasks.all import TASKS

        shard = None if given["shard"] is None else parse_shard(given["shard"])
        out = given["out"] or Path("vlx-evaluation") / name
        if shard is not None:
            out = out / f"shard-{shard.index}-of-{shard.count}"
        task = next(one for one in TASKS if one.name == name)
        _show(evaluate(task, request_of(given, shard), out))
        if name == "classes-pointing":
            from vlx.eval.runs.matches import matches

            print("\n".join(["categories of the data, and the classes of the model:", *matches(out)]))

    return command


for name, says, options in COMMANDS:
    evaluate.command(name, help=says)(with_options(measure(name), *options))


def everything(**given: Any) -> None:
    """Everything that models and data allow, and one page."""
    from vlx.eval.page.evaluate_all import evaluate_all
    from vlx.eval.tasks.all import TASKS

    names = dict.fromkeys(given["model"] or ["scenes/captioner", "scenes/vqa", "scenes/classifier"])
    requests = [request_of({**given, "model": name}, None) for name in names]
    print(f"page: {evaluate_all(requests, TASKS, given['out'], occluded=given['occluded'])}")


evaluate.command("all")(
    with_options(
        everything,
        option(
            "model", list[str] | None, None,
            help="A model; several may be given. By default a built-in one of each kind.",
        ),
        DATA,
        METHOD,
        option("out", Path, Path("vlx-evaluation"), help="Where results and report.html go."),
        *(LAYER, SPLIT, CAPTIONS, TOLERANCE, WRONG, ANNOTATORS, ANSWER),
        *(THRESHOLD, CONNECTIVITY, RADIUS, CROP, CLASSES, FOREGROUND, BACKGROUND, SALIENCY),
        LIMIT,
        option("occluded", int, 20, min=1, help="Images for occlusion, deletion, insertion: slow."),
        *(WINDOW, STRIDE, FILL, STEPS, SEED, BATCH, DEVICE, PRECISION, THREADS, DAMAGED, ENGINE, WORKERS),
    )
)  # fmt: skip


def methods(**given: Any) -> None:
    """All methods beside one another: worth, cost, and which to use."""
    from vlx.eval.page.evaluate_methods import compared, evaluate_methods, usual_methods
    from vlx.eval.tasks.all import TASKS

    chosen = [one for one in compared(TASKS) if not given["task"] or one.name in given["task"]]
    known = [one.name for one in compared(TASKS)]
    for name in given["task"] or ():
        if name not in known:
            from vlx.errors import VlxError, near_names

            raise VlxError(
                f"no evaluation {name!r} that compares methods{near_names(name, known)}; known: "
                f"{', '.join(known)}"
            )
    names = dict.fromkeys(given["model"] or ["scenes/captioner", "scenes/vqa"])
    wanted = given["method"] or usual_methods()
    requests = [request_of({**given, "model": name, "method": wanted}, None) for name in names]
    out = evaluate_methods(requests, chosen, given["out"], slow=given["slow_limit"], fast=given["fast"])
    print((out / "methods.md").read_text(encoding="utf-8"))
    print(f"page: {out / 'report.html'}")


evaluate.command("methods")(
    with_options(
        methods,
        option(
            "model", list[str] | None, None,
            help="A model; several may be given. By default both built-in ones.",
        ),
        DATA,
        option(
            "method", list[str] | None, None,
            help="A method; several may be given. By default all, RISE with 500 masks.",
        ),
        option("task", list[str] | None, None, help="An evaluation; by default all that compare methods."),
        option("out", Path, Path("vlx-evaluation/methods"), help="Where results and report.html go."),
        *(LAYER, SPLIT, CAPTIONS, TOLERANCE, ANNOTATORS, ANSWER),
        option("limit", int | None, 50, min=1, help="This many images, drawn at random by the seed."),
        option("slow_limit", int, 3, min=1, help="Images for methods that take many runs of the model."),
        option("fast", bool, False, help="Leave out methods that take many runs of the model."),
        *(WRONG, WINDOW, STRIDE, FILL, SEED, BATCH, DEVICE, PRECISION, THREADS, DAMAGED, ENGINE, WORKERS),
    )
)  # fmt: skip


@evaluate.command()
def merge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders of all shards of a run.")
    ],
    out: Annotated[Path, typer.Option(help="Where the joined results go.")],
) -> None:
    """Join the results of shards."""
    from vlx.eval.runs.merge import merge as join
    from vlx.eval.tasks.all import TASKS

    _show(join(folders, out, TASKS))


def _show(folder: Path) -> None:
    print((folder / "summary.md").read_text(encoding="utf-8"))
    print(f"results: {folder}")
