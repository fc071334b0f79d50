"""``vlx study people``: studies with people, made, served, analysed; by itself, with simulated raters."""

from collections.abc import Callable
from enum import Enum
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from vlx.cli.options import with_options

people = typer.Typer(
    help="Studies with people: which object is shown, which model is more reliable (paper 5.1, 5.2). "
    "Without a command: both with simulated raters, of no person.",
    rich_markup_mode=None,
)


class Kind(str, Enum):
    """Which study."""

    discrimination = "discrimination"
    trust = "trust"


_MODEL = Annotated[
    list[str] | None,
    typer.Option(
        help="A classifier that `vlx models` lists, by default scenes/classifier. For trust give it twice; "
        "of one the other is a copy with noise on its weights."
    ),
]
_DATA = Annotated[
    str, typer.Option(help="A folder with categories of images (see vlx data check), or scenes.")
]
_SPLIT = Annotated[str | None, typer.Option(help="Which of several files, as val2014.")]
_CLASSES = Annotated[
    Path | None, typer.Option(help="A file: which classes of the model the categories of the data are.")
]
_SEED = Annotated[int, typer.Option(min=0, help="Of images, order, sides and codes.")]
_DEVICE = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")]
_THREADS = Annotated[int | None, typer.Option(min=1, help="CPU threads.")]
_RATINGS = Annotated[int, typer.Option(min=1, help="Ratings of each question.")]
_FOLDER = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a study that was made.")]


def simulated(
    model: _MODEL = None,
    data: _DATA = "scenes",
    split: _SPLIT = None,
    classes: _CLASSES = None,
    out: Annotated[Path, typer.Option(help="Where everything is kept; a run that stopped goes on.")] = Path(
        "vlx-study/people"
    ),
    limit: Annotated[
        int, typer.Option(min=2, help="Image-category pairs; of trust half as many images.")
    ] = 90,
    ratings: _RATINGS = 9,
    noise: Annotated[float, typer.Option(min=0, help="Of simulated raters: what they are off by.")] = 0.7,
    seed: _SEED = 0,
    device: _DEVICE = "cpu",
    threads: _THREADS = None,
) -> None:
    """Both studies from end to end with simulated raters, of no person."""
    from vlx.cli.explaining import check_device
    from vlx.eval.runs.repeatable import repeatable
    from vlx.studies.found import markdown
    from vlx.studies.people.study import PeopleStudy, people_study

    check_device(device)
    settings = PeopleStudy(
        tuple(model or ("scenes/classifier",)),
        data,
        split,
        _file(classes),
        limit,
        ratings,
        noise,
        seed=seed,
        device=device,
    )
    with repeatable(threads):
        found = people_study(settings, out, _told)
    print(f"\n{markdown(found)}\npage: {out / 'report.html'}")


def _alone(command: Callable[..., None]) -> Callable[..., None]:
    """A command that runs where none of its group is named."""

    def called(**given: Any) -> None:
        if given.pop("context").invoked_subcommand is None:
            command(**given)

    context = Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)
    options = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in signature(command).parameters.values()]
    called.__doc__ = command.__doc__
    return with_options(called, context, *options)


people.callback(invoke_without_command=True)(_alone(simulated))


@people.command()
def make(
    kind: Annotated[Kind, typer.Argument(help="Which object is shown, or which model is more reliable.")],
    model: _MODEL = None,
    data: _DATA = "scenes",
    split: _SPLIT = None,
    classes: _CLASSES = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="A visualisation; repeatable. By default the paper's; photo is the photo alone, a control."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where it goes, by default vlx-study/KIND.")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Image-category pairs; of trust, images.")] = 90,
    ratings: _RATINGS = 9,
    per_rater: Annotated[int, typer.Option(min=1, help="Questions of one rater at most.")] = 45,
    checks: Annotated[int, typer.Option(min=0, help="Attention checks of one rater.")] = 6,
    noise: Annotated[
        float, typer.Option(help="Trust of one model: noise on the other's weights, in SDs of each tensor.")
    ] = 0.15,
    consent: Annotated[
        Path | None,
        typer.Option(help="A text file: who asks, what for, whom to write to; a paragraph a line."),
    ] = None,
    seed: _SEED = 0,
    device: _DEVICE = "cpu",
    threads: _THREADS = None,
) -> None:
    """Make a study: pictures, a page for each rater, and the key that stays with you."""
    from vlx.cli.explaining import check_device
    from vlx.eval.runs.repeatable import repeatable
    from vlx.studies.people.make import Plan
    from vlx.studies.people.make import make as made_of
    from vlx.studies.people.pages import write_pages

    check_device(device)
    plan = Plan(
        "trust" if kind is Kind.trust else "discrimination",
        tuple(model or ("scenes/classifier",)), data, split, _file(classes), tuple(method or ()),
        pairs, ratings, per_rater, checks, noise, seed=seed, device=device,
    )  # fmt: skip
    folder = out or Path("vlx-study") / kind.value
    lines = _lines(consent)
    with repeatable(threads):
        made = made_of(plan, folder, _told)
    write_pages(made, lines=lines, told=_told)
    asked = next(iter(made.key.raters.values()))
    print(
        f"{len(made.key.questions)} questions with their checks, {len(made.key.raters)} raters of about "
        f"{len(asked)} "
        f"questions each\npages, one a rater: {folder / 'pages'}\nkey, which no rater may see: "
        f"{folder / 'key.json'}\n"
        f"let them answer: vlx study people serve {folder}\n"
        f"or send each a page, and put what they send back into {folder / 'answers'}"
    )


@people.command()
def serve(
    folder: _FOLDER,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 lets others of the network in.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8321,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A name or address that others reach this machine by; repeatable."),
    ] = None,
) -> None:
    """Show raters their pages and save their answers, until Ctrl+C."""
    from vlx.studies.people.serve import study_server

    with study_server(folder, host, port, tuple(name or ())) as server:
        print("\n".join(server.links(name[0] if name else None)), flush=True)
        print(f"answers: {folder / 'answers'}; Ctrl+C ends", flush=True)
        server.serve_forever()


@people.command()
def analyse(
    folder: _FOLDER,
    out: Annotated[Path | None, typer.Option(help="Where the page goes, by default DIR/analysis.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what intervals draw.")] = 0,
) -> None:
    """What the answers say: means with intervals, differences, agreement, who failed the checks."""
    from vlx.studies.found import markdown
    from vlx.studies.page import write_findings
    from vlx.studies.people.analysis import analysed

    found = analysed(folder, seed)
    page = write_findings(out or folder / "analysis", found)
    print(f"{markdown(found)}\npage: {page}")


@people.command()
def power(
    first: Annotated[
        float | None, typer.Option(help="The one mean: a share of right answers, or a rating.")
    ] = None,
    second: Annotated[
        float | None, typer.Option(help="The other; without it the one is beside 0.5, or 0.")
    ] = None,
    sd: Annotated[
        float | None, typer.Option(help="Of one rating from -2 to 2; without it the means are shares.")
    ] = None,
    per_rater: Annotated[float, typer.Option(help="Questions of one rater in one visualisation.")] = 11.25,
    items: Annotated[int, typer.Option(min=1, help="Image-category pairs, or images.")] = 90,
    of_rater: Annotated[
        float,
        typer.Option(help="The share of a rating's variance that is the rater's own of a visualisation."),
    ] = 0.05,
    of_item: Annotated[
        float,
        typer.Option(help="The share of a rating's variance that is the item's own of a visualisation."),
    ] = 0.1,
    level: Annotated[float, typer.Option(help="Chance of a difference where there is none.")] = 0.05,
    wanted: Annotated[float, typer.Option(help="Chance to find the difference.")] = 0.8,
) -> None:
    """How many raters are needed to find a difference; by default the paper's, .4444 beside .6123."""
    from vlx.studies.people.power import power_told

    for line in power_told(first, second, sd, per_rater, items, of_rater, of_item, level, wanted):
        print(line)


def _told(line: str) -> None:
    print(line, flush=True)


def _file(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _lines(path: Path | None) -> list[str]:
    """The paragraphs of a text file."""
    from vlx.errors import VlxError

    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise VlxError(f"{path} is no text that can be read ({error})") from None
    return [line.strip() for line in text.splitlines() if line.strip()]
