"""``vlx train``: learn to segment from seeds, and what a dense CRF costs."""

from pathlib import Path
from typing import Annotated, Any

import typer

train = typer.Typer(
    help="Train segmentation networks on seeds, which maps of classifiers give.", rich_markup_mode=None
)

_TRAIN_SEED = 41  # of the scenes to learn from, which no built-in model has seen


@train.command()
def sec(
    recipe: Annotated[
        str, typer.Option(help="scenes, for two cores; voc12, as published, for a GPU.")
    ] = "scenes",
    seeds: Annotated[
        list[str] | None,
        typer.Option(
            help="What to learn from; repeatable: a method by name, cam, cues (SEC's file), masks (full "
            "supervision). By default grad_cam, cam and masks."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="A classifier whose maps are seeds, also of the background.")
    ] = "scenes/classifier",
    cam_model: Annotated[
        str, typer.Option(help="A classifier that averages its last maps, for cam.")
    ] = "scenes/classifier-gap",
    data: Annotated[
        str, typer.Option(help="A folder with masks to learn from, or scenes, which are rendered.")
    ] = "scenes",
    split: Annotated[str | None, typer.Option(help="Of that folder, as train.")] = None,
    test: Annotated[
        str | None, typer.Option(help="A folder with masks to test on: by default --data, or scenes.")
    ] = None,
    test_split: Annotated[str | None, typer.Option(help="Of that folder, as val.")] = None,
    cues: Annotated[Path | None, typer.Option(help="SEC's localization_cues.pickle.")] = None,
    cues_list: Annotated[Path | None, typer.Option(help="SEC's input_list.txt.")] = None,
    out: Annotated[Path, typer.Option(help="Where everything is kept; a run that stopped goes on.")] = Path(
        "vlx-training/sec"
    ),
    scenes: Annotated[int, typer.Option(min=1, help="How many scenes are rendered to learn from.")] = 800,
    limit: Annotated[int | None, typer.Option(min=1, help="This many images to learn from, at most.")] = None,
    test_limit: Annotated[int | None, typer.Option(min=1, help="This many to test on, at most.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of those of the recipe.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Images of a step, instead of the recipe's.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and dropout.")] = 0,
    pictures: Annotated[int, typer.Option(min=0, help="Examples of seeds and segmentations to draw.")] = 0,
    weights: Annotated[
        bool, typer.Option(help="Begin with published weights (voc12: ImageNet's, downloaded).")
    ] = True,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """SEC: learn from seeds of different maps, and from masks; mean IoU on held-out images."""
    from vlx.cli.explaining import check_device
    from vlx.eval.runs.repeatable import repeatable
    from vlx.images.files import write_whole
    from vlx.load import load
    from vlx.segmentation.pictures import pictures_in
    from vlx.segmentation.recipe import recipe_named
    from vlx.segmentation.study import Study, carried_out
    from vlx.segmentation.summary import markdown

    check_device(device)
    chosen = _with(recipe_named(recipe), steps, batch)
    folder = _folder(data, split, out, scenes)
    other = (
        _folder(test, test_split, out, 0) if test or data == "scenes" else _folder(data, test_split, out, 0)
    )
    with repeatable(threads):
        study = Study(
            chosen, tuple(seeds or ("grad_cam", "cam", "masks")),
            pictures_in(folder, limit), pictures_in(other, test_limit), out,
            open_model=lambda name: load(name, device=device), model=model, cam_model=cam_model,
            cues=None if cues is None or cues_list is None else (cues, cues_list),
            seed=seed, every=every, device=device, weights=weights, pictures=pictures,
            told=lambda line: print(line, flush=True),
        )  # fmt: skip
        text = markdown(study, carried_out(study))
    write_whole(out / "summary.md", text.encode())
    print(f"\n{text}\nresults: {out}")


@train.command()
def crf(
    grid: Annotated[int, typer.Option(min=2, max=100, help="Rows and columns.")] = 41,
    classes: Annotated[int, typer.Option(min=2, help="With the background.")] = 21,
    images: Annotated[int, typer.Option(min=1, help="How many are measured.")] = 5,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
) -> None:
    """What the exact dense CRF costs: milliseconds and megabytes an image."""
    from vlx.cli.explaining import check_device
    from vlx.segmentation.cost import crf_cost

    check_device(device)
    found = crf_cost((grid, grid), classes, images, device)
    print(
        f"dense CRF, {grid} x {grid} places, {classes} classes, 10 steps, on {device}: "
        f"{found.milliseconds:.1f} ms and {found.megabytes:.1f} MB an image"
    )


def _with(recipe: Any, steps: int | None, batch: int | None) -> Any:
    from dataclasses import replace

    given = {"steps": steps, "batch": batch}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _folder(data: str | None, split: str | None, out: Path, scenes: int) -> Any:
    """A data folder; ``scenes`` are rendered to learn from (so many), or those that come with the package."""
    from vlx.eval.data.folder import look
    from vlx.eval.runs.request import data_folder
    from vlx.scenes.formats import write_world

    if data not in (None, "scenes") or not scenes:
        return data_folder(data or "scenes", split)
    place = out / f"scenes-{scenes}"
    if not (place / "instances.json").is_file():
        write_world(place, scenes, _TRAIN_SEED)
    return look(place)
