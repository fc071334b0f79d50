"""``vlx study failures``: what models saw when they were wrong."""

from pathlib import Path
from typing import Annotated

import typer


def failures(
    model: Annotated[
        list[str] | None,
        typer.Option(help="A classifier, captioner or VQA model; repeatable. By default the built-in three."),
    ] = None,
    data: Annotated[str, typer.Option(help="A folder of data, or scenes.")] = "scenes",
    split: Annotated[str | None, typer.Option(help="Of that folder, as val2014.")] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Repeatable; by default integrated_gradients and grad_cam."),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Instead of each model's own.")] = None,
    shrink: Annotated[
        int | None,
        typer.Option(min=1, help="Reduce images so many times a side: built-in scenes 3 times, others not."),
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Which classes of the model the categories of the data are.")
    ] = None,
    cases: Annotated[int, typer.Option(min=1, help="This many mistakes on the page, at most.")] = 500,
    out: Annotated[Path, typer.Option(help="Where everything is kept; a run that stopped goes on.")] = Path(
        "vlx-study/failures"
    ),
    limit: Annotated[int | None, typer.Option(min=1, help="This many images, drawn by the seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of images, other classes and words, and noise.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Failure modes: every mistake with the maps of what was said, of the truth, and of why the one."""
    from vlx.cli.explaining import check_device
    from vlx.eval.runs.repeatable import repeatable
    from vlx.studies.failures.study import METHODS, MODELS, PAGE, FailuresSettings, failures_study
    from vlx.studies.found import markdown

    check_device(device)
    settings = FailuresSettings(
        tuple(model or MODELS), data, split, tuple(method or METHODS), layer, shrink, limit, cases,
        None if classes is None else str(classes), seed, device,
    )  # fmt: skip
    with repeatable(threads):
        found = failures_study(settings, out, lambda line: print(line, flush=True))
    print(f"\n{markdown(found)}\npage: {out / PAGE}\nnumbers: {out / 'report.html'}")
