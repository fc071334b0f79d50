"""The command line: ``vlx caption``, ``vqa``, ``classify``, ``evaluate``, ``data``, ``inspect`` and more.

Together with `vlx.load` this is the place that composes models, explanations, pictures and pages. What
is heavy is imported inside the commands.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vlx.cli.data import data
from vlx.cli.evaluate import evaluate
from vlx.cli.inspect import inspect
from vlx.cli.scenes import scenes
from vlx.errors import VlxError

app = typer.Typer(
    name="vlx",
    help="See which pixels make a model say a word, give an answer or choose a class.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(scenes, name="scenes")
app.add_typer(evaluate, name="evaluate")
app.add_typer(data, name="data")
app.command("inspect")(inspect)

Images = Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files, or folders of them.")]
Model = Annotated[str, typer.Option(help="A name that `vlx models` lists.")]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help="How to explain, by default grad_cam; give it several times to compare methods.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="A name that `vlx models` lists; several are compared."),
]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", help="A layer, by dotted name or index; several are compared."),
]
Out = Annotated[
    Path | None,
    typer.Option(help="A folder for figures (PNG), maps (NPZ), facts (JSON) and report.html."),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps; auto spreads hf: models.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 if all went well, 1 for an error, 2 for wrong usage.

    Every error that a person can act on is one line on standard error that begins with ``vlx:``.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names and captions may hold anything
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_status(arguments))


def _status(arguments: Sequence[str] | None) -> int:
    from vlx.cli.explaining import complain

    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = app(given or ["--help"], prog_name="vlx", standalone_mode=False)
    except VlxError as error:
        return complain(error)
    except OSError as error:
        return complain(f"{error.filename or 'a file'}: {error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except Exception as error:
        # Errors of usage; which class they are depends on the version of typer.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return complain(f"{message()} (see vlx --help)", 2)
    if status == 130:
        complain("interrupted")
    return status if isinstance(status, int) else 0


def _version(wanted: bool) -> bool:
    if wanted:
        from vlx import __version__

        print(f"vlx {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """See which pixels make a model say a word, give an answer or choose a class."""


@app.command()
def caption(
    images: Images,
    text: Annotated[
        str | None,
        typer.Option("--caption", help="Explain this caption instead of the model's own."),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(help="Only these words: texts or positions from 0, as in dog,bike or 1,4."),
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option(min=1, help="Width of the beam that writes the caption; by default the model's own."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="What to ask the model, where it takes a prompt: its answer is explained by words."
        ),
    ] = None,
    model: Model = "scenes/captioner",
    method: Methods = None,
    layer: Layers = None,
    out: Out = None,
    device: Device = "cpu",
) -> None:
    """Explain the words of a caption, the model's own or yours."""
    from vlx.cli.explaining import (
        caption_with,
        chosen_words,
        finish,
        listed,
        load_models,
        methods_named,
        run_all,
    )

    paths, methods, chosen = listed(images), methods_named(method), chosen_words(words)
    captioners = load_models([model], layer, device, ("generate",), "write captions", "scenes/captioner")
    explained = caption_with(captioners, methods, text, chosen, beam, prompt)
    finish(run_all(paths, explained, out, "Captions, word by word"))


@app.command()
def vqa(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask about it.")],
    answer: Annotated[
        list[str] | None,
        typer.Option(help="Explain this answer instead of the likeliest; may be given several times."),
    ] = None,
    model: Models = None,
    method: Methods = None,
    layer: Layers = None,
    out: Out = None,
    device: Device = "cpu",
) -> None:
    """Explain answers to a question about an image."""
    from vlx.cli.explaining import answer_with, finish, load_models, methods_named, run_all

    methods = methods_named(method)
    answering = ("answers", "respond")
    answerers = load_models(
        model or ["scenes/vqa"], layer, device, answering, "answer questions", "scenes/vqa"
    )
    explained = answer_with(answerers, methods, question, answer)
    finish(run_all([image], explained, out, "Answers side by side"))


@app.command()
def classify(
    images: Images,
    model: Annotated[
        list[str],
        typer.Option(
            help="A classifier, as torchvision/resnet50, torchvision/resnet50:FILE or hf:NAME; several are "
            "compared."
        ),
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(help="Explain this class (or, for CLIP, text) instead of the likeliest; repeatable."),
    ] = None,
    method: Methods = None,
    layer: Layers = None,
    out: Out = None,
    device: Device = "cpu",
) -> None:
    """Explain classes that an image classifier gives."""
    from vlx.cli.explaining import finish, label_with, listed, load_models, methods_named, run_all

    paths, methods = listed(images), methods_named(method)
    classifiers = load_models(
        model, layer, device, ("labels", "compare"), "classify images", "torchvision/resnet50"
    )
    finish(run_all(paths, label_with(classifiers, methods, label), out, "Classes"))


@app.command()
def demo(
    image: Annotated[Path | None, typer.Option(help="Explain this photo as well.")] = None,
    out: Annotated[Path, typer.Option(help="Where to write the demonstration.")] = Path("vlx-demo"),
) -> None:
    """Explain a built-in scene with the built-in models; needs no download."""
    from vlx.cli.demo import run_demo

    run_demo(out, image)


@app.command()
def models() -> None:
    """List the models that --model takes."""
    from vlx.cli.explaining import columns
    from vlx.load import known_models

    print(columns(list(known_models().items())))


if __name__ == "__main__":
    main()
