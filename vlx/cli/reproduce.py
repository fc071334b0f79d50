"""``vlx reproduce``: the tables and figures of the paper, measured."""

from pathlib import Path
from typing import Annotated

import typer


def reproduce(
    what: Annotated[
        list[str],
        typer.Argument(help="list, all, or names of tables and figures, such as table1 fig11."),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder of data (see vlx data check); repeatable. By default the built-in world."
        ),
    ] = None,
    classifier: Annotated[str | None, typer.Option(help="A classifier of the classes of the data.")] = None,
    averaging_classifier: Annotated[
        str | None, typer.Option(help="A classifier that averages its last maps, for CAM.")
    ] = None,
    captioner: Annotated[str | None, typer.Option(help="A captioner.")] = None,
    answerer: Annotated[
        list[str] | None,
        typer.Option(help="A model that answers questions; with several they are drawn side by side."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where everything is kept; a run that stopped goes on.")] = Path(
        "vlx-reproduction"
    ),
    images: Annotated[int, typer.Option(min=1, help="Images that an evaluation draws, at most.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")] = 0,
    shard: Annotated[
        str | None, typer.Option(help="Only this share of the tables and figures, as 1/4; in one folder.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """The paper's tables and figures, measured beside what it reports; one page of all."""
    from vlx.cli.explaining import check_device
    from vlx.errors import VlxError
    from vlx.eval.runs.settings import parse_shard
    from vlx.studies.reproduce.asked import Asked, Role, one_of
    from vlx.studies.reproduce.entries import ENTRIES
    from vlx.studies.reproduce.page import listed, write_reproduction
    from vlx.studies.reproduce.run import FAILED, lacks, so_far
    from vlx.studies.reproduce.run import reproduce as run

    check_device(device)
    given: dict[Role, str | None] = {
        "classifier": classifier, "averaging classifier": averaging_classifier, "captioner": captioner,
        "answerer": answerer[0] if answerer else None,
    }  # fmt: skip
    folders = tuple(name for name in data or () if name != "scenes")
    models: dict[Role, str] = {role: name for role, name in given.items() if name is not None}
    asked = Asked(out, folders, models, tuple(answerer or ()), images, seed, device, threads)
    asked.need_folders()
    if what == ["list"]:
        print(listed(so_far(asked), [lacks(asked, entry) for entry in ENTRIES]))
        return
    known = {entry.name: entry for entry in ENTRIES}
    names = list(known) if what == ["all"] else one_of(what, known)
    part = None if shard is None else parse_shard(shard)
    ran = run(asked, [known[name] for name in names], lambda line: print(line, flush=True), part)
    print(f"page: {write_reproduction(out, so_far(asked, ran))}")
    failed = [one.entry.name for one in ran if one.state == FAILED]
    if failed:
        raise VlxError(f"not made: {', '.join(failed)}; why stands above and on the page")
    if not any(one.found for one in ran) and ran:
        raise VlxError(f"nothing was made: {ran[0].why}")
