"""``vlx evaluate ablations`` and ``vlx evaluate layers``: variants of a map beside one another."""

from pathlib import Path
from typing import Any

from vlx.cli.options import (
    ANNOTATORS,
    ANSWER,
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
    LAYER,
    LIMIT,
    METHOD,
    PRECISION,
    RADIUS,
    SEED,
    SPLIT,
    STRIDE,
    THREADS,
    THRESHOLD,
    TOLERANCE,
    WINDOW,
    WORKERS,
    WRONG,
    option,
    request_of,
    with_options,
)

BUILT_IN = "scenes/classifier"


def chosen_tasks(given: dict[str, Any], usual: list[str]) -> list[Any]:
    """The evaluations that are named, or the usual ones."""
    from vlx.errors import VlxError, near_names
    from vlx.eval.page.evaluate_methods import compared
    from vlx.eval.tasks.all import TASKS

    known = {one.name: one for one in compared(TASKS)}
    for name in given["task"] or ():
        if name not in known:
            raise VlxError(
                f"no evaluation {name!r} that compares methods{near_names(name, known)}; known: "
                f"{', '.join(known)}"
            )
    return [one for name, one in known.items() if name in (given["task"] or usual)]


def ablations(**given: Any) -> None:
    """Design choices of Grad-CAM beside one another (the paper's Table 3)."""
    from vlx.eval.page.evaluate_variants import ABLATIONS, VARIED, evaluate_ablations

    names = dict.fromkeys(given["model"] or [BUILT_IN])
    requests = [request_of({**given, "model": name}, None) for name in names]
    made = given["method"] or ABLATIONS
    _show(
        evaluate_ablations(requests, chosen_tasks(given, list(VARIED)), given["out"], methods=made),
        "ablations",
    )


def layers(**given: Any) -> None:
    """Maps at every layer of a network beside one another (the paper's Fig. 13, appendix G)."""
    from vlx.cli.explaining import number_or_text
    from vlx.eval.page.evaluate_variants import VARIED, evaluate_layers

    names = dict.fromkeys(given["model"] or [BUILT_IN])
    at = [number_or_text(one) for one in given["layer"] or ()]
    requests = [request_of({**given, "model": name, "layer": None}, None) for name in names]
    _show(evaluate_layers(requests, chosen_tasks(given, list(VARIED)), given["out"], layers=at), "layers")


def _show(out: Path, name: str) -> None:
    print((out / f"{name}.md").read_text(encoding="utf-8"))
    print(f"page: {out / 'report.html'}")


_VARIED = (
    option("model", list[str] | None, None, help=f"A model; several may be given. By default {BUILT_IN}."),
    DATA,
    option(
        "task", list[str] | None, None,
        help="An evaluation; by default those of boxes and points, of classes or words.",
    ),
    SPLIT, CAPTIONS, TOLERANCE, WRONG, ANNOTATORS, ANSWER, THRESHOLD, CONNECTIVITY, RADIUS, CROP, CLASSES,
    WINDOW, STRIDE, FILL, LIMIT, SEED, BATCH, DEVICE, PRECISION, THREADS, DAMAGED, ENGINE, WORKERS,
)  # fmt: skip

ABLATIONS_COMMAND = with_options(
    ablations,
    *_VARIED,
    option(
        "method", list[str] | None, None,
        help="A method; several may be given, the first is what others are compared with. By default "
        "Grad-CAM and its ablations.",
    ),
    option("out", Path, Path("vlx-evaluation/ablations"), help="Where results and report.html go."),
    LAYER,
)  # fmt: skip
LAYERS_COMMAND = with_options(
    layers,
    *_VARIED,
    METHOD,
    option("out", Path, Path("vlx-evaluation/layers"), help="Where results and report.html go."),
    option(
        "layer", list[str] | None, None,
        help="Only these layers, from the image up, by dotted name or index; repeatable.",
    ),
)  # fmt: skip
