"""What the commands that explain images have in common: run over images, print, save."""

import io
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import typer
from PIL import Image

from vlx.asking import at_layers
from vlx.cli.own_code import own_line
from vlx.errors import ImageError, TextError, UnknownChoice, VlxError
from vlx.explanation import Explanation
from vlx.images.files import list_images, open_image, write_whole
from vlx.methods.values import Method, method_named
from vlx.show.evidence import has_evidence, signed, unit, without_image
from vlx.show.figures import comparison, differences

Asked = tuple[str, Any]
"""A model, after the name that it was asked for by."""
Explained = Callable[[Image.Image], list[Explanation]]
"""What a command does with one image: one explanation for each method."""


def complain(problem: object, status: int = 1) -> int:
    """Print a problem as one line on standard error, and return the exit status."""
    line = " ".join(str(problem).split())
    print(f"vlx: {line}", file=sys.stderr)
    return status


def finish(failed: int) -> None:
    """End the command with status 1 if anything failed."""
    if failed:
        raise typer.Exit(1)


def listed(paths: Sequence[Path]) -> list[Path]:
    """The images to explain, each once. Raises ImageError for a path that does not exist."""
    return list(dict.fromkeys(list_images(paths)))


def methods_named(names: Sequence[str] | None) -> list[Method]:
    """The methods of these names, each once, or Grad-CAM. Raises VlxError naming near ones."""
    return [method_named(name) for name in dict.fromkeys(names or ["grad_cam"])]


def fuses(methods: Sequence[Method]) -> bool:
    """Whether any method makes one map of those at several layers."""
    return any(method.fuse is not None for method in methods)


def load_models(
    names: Sequence[str],
    layers: Sequence[str] | None,
    device: str,
    fits: Callable[[Any], bool],
    does: str,
    instead: str,
    several: bool = False,
) -> list[Asked]:
    """Load models by name, each at its default layer or at each of some, and see that they do what is asked.

    With ``several`` each is one model at all of its layers together. ``fits`` tells whether a model does it,
    ``does`` says what it is, ``instead`` names a model that does.
    """
    from vlx.load import load

    if device != "auto":
        check_device(device)
    chosen = [number_or_text(layer) for layer in dict.fromkeys(layers or ())]
    found: list[Asked] = []
    for name in dict.fromkeys(names):
        model = load(name, layer=chosen[0] if chosen else None, device=device)
        if not fits(model):
            raise VlxError(f"{name} does not {does}: use another model, such as {instead}")
        if several:
            found.append((name, at_layers(model, chosen or ["last/2", "last"])))
            continue
        again = getattr(model, "at", None)
        found.append((name, model))
        for layer in chosen[1:]:
            at_layer = again(layer) if callable(again) else load(name, layer=layer, device=device)
            found.append((name, at_layer))
    return found


def told_apart(made: Sequence[tuple[str, Explanation]]) -> list[Explanation]:
    """Explanations by models, each with the name that its model was asked for by.

    Models that call themselves alike, as one network with two files of weights, are numbered.
    """
    asked: dict[str, list[str]] = {}
    found: list[Explanation] = []
    for name, one in made:
        own = asked.setdefault(one.provenance.model, [])
        own += [] if name in own else [name]
        number = own.index(name) + 1
        model = f"{one.provenance.model} ({number})" if number > 1 else one.provenance.model
        found.append(replace(one, provenance=replace(one.provenance, model=model)))
    return found


def run_all(
    paths: Sequence[Path],
    explained: Explained,
    out: Path | None,
    title: str,
    scale: Literal["common", "own"] = "common",
) -> int:
    """Explain images one after another: print a table each, save to ``out``; how many failed.

    An image that cannot be read, a text that does not fit it, or an error inside a model of the user's own
    is reported in a line, and the rest goes on. What would fail for every image ends the run.
    """
    from tqdm import tqdm

    from vlx.show.report import report_card, report_page

    cards, failed, taken = [], 0, set[str]()
    hidden = True if len(paths) == 1 else None  # None: only on a terminal
    for path in tqdm(paths, unit="image", file=sys.stderr, disable=hidden):
        try:
            made = explained(open_image(path))
        except Exception as error:
            told = _of_one_image(error)
            if told is None:
                raise
            tqdm.write(f"vlx: {_about(path, told)}", file=sys.stderr)
            failed += 1
            continue
        alike = _alike(made)
        for group in alike:
            tqdm.write(result(str(path), group, whose=len(alike) > 1), file=sys.stdout)
        if out is not None:
            _save(out, path, made, taken, scale)
            for group in alike:
                whose = f", {group[0].provenance.model}" if len(alike) > 1 else ""
                cards.append(report_card(group, f"{path.name}{whose}"))
    if out is not None and cards:
        write_whole(out / "report.html", report_page(cards, title).encode("utf-8", "replace"))
    if failed and len(paths) > 1:
        complain(f"{failed} of {len(paths)} images could not be explained")
    return failed


def _alike(made: Sequence[Explanation]) -> list[list[Explanation]]:
    """The explanations that share a model, a text and targets, so that one table holds them."""
    groups: dict[object, list[Explanation]] = {}
    for one in made:
        names = tuple(target.name for target in one.targets)
        groups.setdefault((one.provenance.model, one.prompt, one.words, names), []).append(one)
    return list(groups.values())


def result(name: str, made: Sequence[Explanation], *, whose: bool = False) -> str:
    """What standard output shows of one image and model: the text, then a row for each target.

    Beside the score are its parts, where they are known: from the image, and without it. The evidence is the
    highest value of the target's raw map, for each method and layer. ``whose`` names the model.
    """
    first = made[0]
    text = first.prompt or " ".join(first.words)
    name = f"{name} ({first.provenance.model})" if whose else name
    lines = [f"{name}: {text}" if text else name]
    heads = ["evidence"] if len(made) == 1 else differences(made)
    parts = _parts(made)
    kind = "word" if first.words else "answer" if first.prompt else "class"
    rows = [(kind, "score", *[column[0] for column in parts], "probability", *heads)]
    for i, target in enumerate(first.targets):
        share = "-" if target.probability is None else _share(target.probability)
        found = [f"{one.raw[i].max():.3g}" if one.evidence[i] else "none positive" for one in made]
        told = [column[1 + i] for column in parts]
        rows.append((target.name, f"{target.score:.3f}", *told, share, *found))
    lines.append(columns(rows, indent="  "))
    if parts and unit(first) == "logits":
        lines.append("  scores are logits, and what comes from the image is a difference of logits")
    if first.predicted:
        likely = ", ".join(f"{answer} {_share(share)}" for answer, share in first.predicted)
        lines.append(f"  likeliest: {likely}")
    lines += [f"  {line}" for line in dict.fromkeys(line for one in made for line in one.doubts)]
    if first.unknown:
        lines.append(f"  unknown to the model: {', '.join(first.unknown)}")
    return "\n".join(lines)


def _parts(made: Sequence[Explanation]) -> list[list[str]]:
    """Columns with their heads: the parts of the scores, once where they are the same for all."""
    heads = differences(made) if len(made) > 1 else [""]
    found: dict[tuple[str, ...], str] = {}
    for one, head in zip(made, heads, strict=True):
        if has_evidence(one):
            told = [(target.from_image, target.blank) for target in one.targets]
            found.setdefault(
                tuple("-" if part is None else _part(part) for pair in told for part in pair), head
            )
    columns: list[list[str]] = []
    for cells, head in found.items():
        whose = f" ({head})" if len(found) > 1 else ""
        columns.append([f"from image, {unit(made[0])}{whose}", *cells[::2]])
        columns.append([f"{without_image(made[0])}{whose}", *cells[1::2]])
    return columns


def _part(value: float) -> str:
    return signed(value, 3).replace("\N{MINUS SIGN}", "-")


def columns(rows: Sequence[Sequence[str]], *, indent: str = "") -> str:
    """Rows of text with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(indent + line.rstrip() for line in lines)


def _save(
    out: Path,
    path: Path,
    made: Sequence[Explanation],
    taken: set[str],
    scale: Literal["common", "own"],
) -> None:
    """Save each explanation as NAME-METHOD in ``out``, with its model and layer where these differ.

    Several of them are also saved beside one another, as NAME-comparison. Names are numbered where two
    images share one.
    """
    stem, number = path.stem, 2
    while stem in taken:
        stem, number = f"{path.stem}-{number}", number + 1
    taken.add(stem)
    methods = len({one.provenance.method for one in made}) == len(made)
    for one, label in zip(made, differences(made), strict=True):
        own = one.provenance.method if methods else re.sub(r"[^\w.]+", "-", label).strip("-")
        one.save(out / f"{stem}-{own}", scale=scale)
    if len(made) > 1:
        picture = io.BytesIO()
        comparison(made, scale=scale).save(picture, "PNG")
        write_whole(out / f"{stem}-comparison.png", picture.getvalue())


def _share(probability: float) -> str:
    """Four digits after the point, or a power of ten where they would all be 0."""
    return f"{probability:.1e}" if 0 < probability < 5e-5 else f"{probability:.4f}"


def number_or_text(text: str) -> int | str:
    """A whole number where the text is one, else the text."""
    return int(text) if text.lstrip("-").isdecimal() else text


def _of_one_image(error: Exception) -> str | None:
    """What to say of an error that may be of this image alone; None of one that ends the run."""
    if isinstance(error, ImageError | TextError) and not isinstance(error, UnknownChoice):
        return str(error)
    return None if isinstance(error, VlxError) else own_line(error)


def _about(path: Path, told: str) -> str:
    line = " ".join(told.split())
    return line if str(path) in line else f"{path}: {line}"


def check_device(name: str) -> None:
    """Raise VlxError for a device that does not exist or cannot be used here."""
    import torch

    try:
        kind = torch.device(name).type
    except RuntimeError:
        raise VlxError(f"no device {name!r}: use cpu, cuda, cuda:0 or mps") from None
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable.get(kind, False):
        raise VlxError(f"device {name!r} is not usable here: use cpu")
