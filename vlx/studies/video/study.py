"""The study of video: do maps of a 3-D network lie where, and in the frames when, something happens?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.eval.items.models import shuffled
from vlx.eval.measures.statistics import Outcome, Summary, summarise
from vlx.methods.values import method_named
from vlx.network.clips import need_for_clips
from vlx.passes.chosen_layer import choose_layer
from vlx.studies.found import Findings, Number, Picture, Table, number_of
from vlx.studies.kept import claim, kept_rows
from vlx.studies.page import write_findings
from vlx.studies.video.items import BUILT_IN, Asked, asked
from vlx.studies.video.measured import BLOCK, CONTROLS, EVENLY, TOLERANCE, Explainer, measured, wrong_of
from vlx.studies.video.pictures import gif, sheet, strips

Told = Callable[[str], None]


@dataclass(frozen=True)
class VideoSettings:
    """What the study runs on."""

    model: str = BUILT_IN
    """``events``, or ``python:module:function`` as `vlx.studies.video.items.asked` takes it."""
    clips: int = 60
    methods: tuple[str, ...] = ("grad_cam", "hires_cam", "layer_cam")
    layer: str | None = None
    shown: int = 4
    """Clips that are drawn."""
    seed: int = 2
    device: str = "cpu"


def video_study(settings: VideoSettings = VideoSettings(), out: Path = Path("vlx-study/video"),
                told: Told = print) -> Findings:  # fmt: skip
    """Explain clips, measure and write the findings; a run that stopped goes on.

    Raises VlxError for settings that do not serve.
    """
    if settings.clips < 1:
        raise VlxError(f"{settings.clips} clips are none: give 1 or more")
    if not settings.methods:
        raise VlxError("no methods to explain with: give at least one, such as grad_cam")
    for name in settings.methods:
        need_for_clips(method_named(name))
    facts = asdict(settings) | {"methods": list(settings.methods)}
    facts.pop("device")
    about = asked(settings.model, settings.clips, settings.seed, settings.device)
    claim(out, facts)
    other = shuffled(about.network, settings.seed)
    first = about.items[0].pixels[None].to(settings.device)
    layer = choose_layer(about.network, settings.layer, first)
    made = Explainer(about.network, other, layer, settings.methods, settings.seed)
    at = {item.name: number for number, item in enumerate(about.items)}
    rows = kept_rows(
        out / "clips.jsonl", list(at), lambda name: measured(made, about.items[at[name]], at[name]),
        lambda line: told(line) if int(line.split()[0]) % 20 == 0 else None,
    )  # fmt: skip
    found = _findings(settings, facts, about, rows, _pictures(settings, made, about, out))
    write_findings(out, found)
    return found


def _findings(
    settings: VideoSettings, facts: Mapping[str, Any], about: Asked, rows: Sequence[Any],
    pictures: Sequence[Picture],
) -> Findings:  # fmt: skip
    known = any("both" in row for row in rows)
    tables = [_told(rows)]
    if known:
        tables += [
            _table(settings, rows, "both", "Share of maps whose maximum lies on the object, in a frame "
                                           "of the event",
                   f"The object in that very frame, {TOLERANCE} pixels off at most. {_CHANCE}"),
            _table(settings, rows, "place", "In place: the maximum lies where the object passes",
                   f"The object in any frame of the event, {TOLERANCE} pixels off at most. {_CHANCE}"),
            _table(settings, rows, "time", "In time: the maximum lies in a frame of the event",
                   f"Wherever it lies in that frame. {_CHANCE}"),
            _table(settings, rows, "frames_off", "Frames from the maximum to the middle of the event",
                   "The less the better."),
            _table(settings, rows, "area_in_time", "Area under the curve in time",
                   "How well the maximum of each frame tells frames of the event from others; 0.5 is "
                   "chance."),
            _table(settings, rows, "area_in_place", "Area under the curve in place",
                   "How well the maximum over all frames tells the object's pixels from others; 0.5 is "
                   "chance."),
            _own_minus_wrong(settings, rows),
        ]  # fmt: skip
    frames, high, wide = BLOCK
    tables.append(_table(
        settings, rows, "hidden", "Logits that the class loses where a block around the maximum stands still",
        f"In {frames} frames and {high} x {wide} pixels every pixel has its median over time. The more "
        "the better.",
    ))  # fmt: skip
    return Findings(
        study="video",
        title="A network that reads clips",
        question="Do maps of a 3-D network lie where something happens, and in the frames in which it "
        "happens?",
        answer=_answer(settings, tables, known),
        tables=tuple(tables),
        settings=facts,
        pictures=tuple(pictures),
        notes=_notes(about, known),
    )


_CHANCE = (
    "Controls below are told alike; chance is the share of the clip that would count. Intervals draw clips."
)


def _notes(about: Asked, known: bool) -> tuple[str, ...]:
    said: list[str] = []
    if about.name == BUILT_IN:
        said += [
            "Objects are cut out of the held-out scenes of the built-in world; the network learnt on "
            "those of even numbers, by python -m vlx.studies.video.training, in clips of one event, and "
            "is tested on those of odd ones, in larger clips of two different events: what merely moves "
            "is no answer.",
            "The network reads the maximum over all places, so gradients are 0 everywhere but at one "
            "place of each channel: methods that take them place by place, such as HiResCAM, show points; "
            "Grad-CAM, which takes their mean, shows all places of the channels that count.",
        ]
    said += [
        f"{EVENLY}: the same maps as if the layer's places divided the clip evenly, instead of where "
        "strides and kernels let them look.",
        "change of pixels: the largest change from one frame to the next, smoothed; it needs no network, "
        "and knows that something happens, but not what.",
        "strip-*.gif show clips with their maps.",
    ]
    if not known:
        said.append("The clips have no masks, so nothing is said of pointing.")
    return tuple(said)


def _told(rows: Sequence[Any]) -> Table:
    clips = [row["clip"] for row in rows]
    numbers = [
        number_of(f"among the first {count}", summarise([float(row["rank"] < count) for row in rows], clips))
        for count in (1, 2)
    ]
    for name, said, control in (
        ("without", "logits that a class loses where its event does not happen", False),
        ("without_wrong", "logits that a class loses where the other event does not happen", True),
    ):
        known = [row for row in rows if name in row]
        if known:
            found = summarise([row[name] for row in known], [row["clip"] for row in known])
            numbers.append(number_of(said, found, control=control))
    return Table(
        "What the network tells",
        tuple(numbers),
        "Share of classes shown that are the likeliest, and among the two likeliest: clips show two "
        "events. All are explained, also those that are told wrong.",
    )


def _table(settings: VideoSettings, rows: Sequence[Any], measure: str, title: str, protocol: str) -> Table:
    own = [*settings.methods, EVENLY]
    numbers = [number_of(_called(name, settings), _summary(rows, measure, name)) for name in own]
    numbers += [number_of(name, _summary(rows, measure, name), control=True) for name in CONTROLS]
    known = [row for row in rows if measure in row.get("chance", {})]
    if known:
        chance = summarise([row["chance"][measure] for row in known], [row["clip"] for row in known])
        numbers.append(number_of("chance", chance, control=True))
    return Table(title, tuple(numbers), protocol)


def _called(name: str, settings: VideoSettings) -> str:
    return f"grad_cam, {EVENLY}" if name == EVENLY else name


def _own_minus_wrong(settings: VideoSettings, rows: Sequence[Any]) -> Table:
    numbers: list[Number] = []
    for method in settings.methods:
        for measure in ("both", "area_in_place", "area_in_time"):
            known = [row for row in rows if wrong_of(method) in row.get(measure, {})]
            found = [_less(row[measure][method], row[measure][wrong_of(method)]) for row in known]
            summary = summarise(found, [row["clip"] for row in known])
            numbers.append(number_of(f"{method}, {_MEASURES[measure]}", summary))
    return Table(
        "Own - wrong: maps of the class less those of the other event's",
        tuple(numbers),
        "Both maps are of the same clip, and both are asked for the object and the frames of the one "
        "event. A map that shows all that happens, whatever is asked, has 0. A flat map of the other has "
        "missed.",
    )


_MEASURES = {"both": "hits", "area_in_place": "area in place", "area_in_time": "area in time"}


def _less(own: float | str, wrong: float | str) -> Outcome:
    if isinstance(own, str):
        return Outcome(None, own)
    return Outcome(own - (0.0 if isinstance(wrong, str) else wrong))


def _summary(rows: Sequence[Any], measure: str, name: str) -> Summary:
    known = [row for row in rows if measure in row]
    facts = [row[measure][name] for row in known]
    found = [Outcome(None, fact) if isinstance(fact, str) else Outcome(float(fact)) for fact in facts]
    return summarise(found, [row["clip"] for row in known])


def _answer(settings: VideoSettings, tables: Sequence[Table], known: bool) -> str:
    method = settings.methods[0]
    right = tables[0].numbers[1]
    said = f"Of the classes shown {right.value or 0:.2f} are among the network's two likeliest"
    for table, where in (
        ((tables[1], "on the object in a frame of the event"), (tables[3], "in its frames")) if known else ()
    ):
        hits = {one.name: one.value for one in table.numbers}
        blind = {name: value for name in CONTROLS[:-1] if (value := hits.get(name)) is not None}
        if hits[method] is not None and blind:
            best = max(blind, key=blind.__getitem__)
            said += f"; maps of {method} have their maximum {where} in {hits[method]:.2f}"
            said += f", {best} in {blind[best]:.2f}"
    lost = {one.name: one.value for one in tables[-1].numbers}
    if lost[method] is not None and lost["random map"] is not None:
        said += (
            f". Where a block around the maximum stands still the class loses {lost[method]:.1f} logits, "
            f"around that of a random map {lost['random map']:.1f}"
        )
    return said + "."


def _pictures(settings: VideoSettings, made: Explainer, about: Asked, out: Path) -> list[Picture]:
    pictures: list[Picture] = []
    chosen = list({item.clip or item.name: item for item in about.items}.values())
    for number, item in enumerate(chosen[: settings.shown]):
        rows = strips(made, item)
        title = (
            f"{item.title or item.name}: frames, and {settings.methods[0]} of the class and of the other one"
        )
        pictures.append(Picture(f"{title}; frames of its event are framed", sheet(rows)))
        gif(rows, out / f"strip-{number + 1}.gif")
    return pictures
