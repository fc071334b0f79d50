"""Figures of the paper that are studies of their own, run as these are."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vlx.eval.data.published import ANSWERS_1, ANSWERS_2, QUESTIONS_1, QUESTIONS_2
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.studies.adversarial.study import AdversarialSettings, adversarial_study
from vlx.studies.bias.study import BiasSettings, bias_study
from vlx.studies.depth.photo import DepthPhotoSettings, depth_photo_study
from vlx.studies.depth.study import DepthSettings, depth_study
from vlx.studies.failures.study import FailuresSettings, failures_study
from vlx.studies.found import Findings, Number, Picture, Table
from vlx.studies.neurons.named import Neurons
from vlx.studies.neurons.study import neurons_study
from vlx.studies.people.study import PeopleStudy, people_study
from vlx.studies.policy.study import PolicySettings, policy_study
from vlx.studies.reproduce.answers import QUESTIONS
from vlx.studies.reproduce.asked import Asked, Needs, NotHere, Role
from vlx.studies.reproduce.classes import CLASSES, faithful
from vlx.studies.reproduce.drawn import shown
from vlx.studies.reproduce.told import findings, spoken
from vlx.studies.video.study import VideoSettings, video_study

ANSWERED = Needs(
    ((QUESTIONS_1, QUESTIONS_2), (ANSWERS_1, ANSWERS_2)), "VQA v1 on COCO val 2014, with people's answers"
)


def people(asked: Asked, name: str) -> Findings:
    """Fig. 5 and the first two columns of Table 2, answered by simulated raters."""
    few = min(asked.images, 90)
    settings = PeopleStudy(
        models=(asked.model("classifier"),), data=asked.folder(CLASSES), pairs=few, compared=2 * few,
        seed=asked.seed, device=asked.device,
    )  # fmt: skip
    found = people_study(settings, asked.out / "studies" / "people", _quiet)
    if name == "fig5":
        return _told(asked, name, found)
    hidden = faithful(asked)
    told = {number.name: number for number in hidden.numbers}
    answer = (
        f"{found.answer} Rank correlation with occlusion: Guided Grad-CAM {spoken(told['guided_grad_cam'])}, "
        f"Guided Backprop {spoken(told['guided_backprop'])}."
    )
    return _told(asked, name, replace(found, answer=answer, tables=(*found.tables, hidden)))


def failures(asked: Asked) -> Findings:
    """Fig. 6: mistakes of each model that serves, with what it saw."""
    models: list[str] = []
    notes: list[str] = []
    wanted: tuple[tuple[Role, Needs], ...] = (("classifier", CLASSES), ("answerer", ANSWERED))
    for role, needs in wanted:
        try:
            asked.folder(needs)
            models.append(asked.model(role))
        except NotHere as error:
            notes.append(f"without the {role}: {error}")
    if not models:
        raise NotHere("; ".join(notes))
    settings = FailuresSettings(
        models=tuple(models), data=asked.folder(CLASSES), limit=asked.images, seed=asked.seed,
        device=asked.device,
    )  # fmt: skip
    out = asked.out / "studies" / "failures"
    found = failures_study(settings, out, _quiet)
    return _told(
        asked, "fig6", found, (f"every mistake can be browsed in {_below(asked, out)}/mistakes.html", *notes)
    )


def adversarial(asked: Asked) -> Findings:
    """Fig. 7: a class, and on the built-in world an answer and a word of a caption, attacked."""
    roles: tuple[Role, ...] = ("classifier",) if asked.data else ("classifier", "answerer", "captioner")
    made: list[tuple[str, Findings]] = []
    for role in roles:
        settings = AdversarialSettings(
            model=asked.model(role), data=asked.folder(CLASSES), limit=min(asked.images, 30), seed=asked.seed,
            device=asked.device, pictures=1,
        )  # fmt: skip
        out = asked.out / "studies" / f"adversarial-{role}"
        made.append((role, adversarial_study(settings, out, _quiet)))
    return _joined(asked, "fig7", made)


def bias(asked: Asked) -> Findings:
    """Fig. 8: networks that learned from biased and from balanced data."""
    settings = BiasSettings(seed=asked.seed, device=asked.device)
    note = "the experiment makes data of its own: vlx study bias --model MODEL --data FOLDER looks at yours"
    return _told(asked, "fig8", bias_study(settings, asked.out / "studies" / "bias", _quiet), (note,))


def neurons(asked: Asked) -> Findings:
    """Fig. 9 and 21: decisions in the names of neurons."""
    settings = Neurons(
        model=asked.model("classifier"), data=asked.folder(CLASSES), seed=asked.seed, device=asked.device,
        threads=asked.threads,
    )  # fmt: skip
    return _told(asked, "fig9", neurons_study(settings, asked.out / "studies" / "neurons", _quiet))


def several_cnns(asked: Asked) -> Findings:
    """Fig. 19 and 12b: one question to several models, and over their layers."""
    models = asked.answerers or (asked.model("answerer"),)
    ((one,),) = shown(asked, OCCLUSION, "answerer", QUESTIONS, 1)
    settings = DepthPhotoSettings(Path(one.item.image), models, question=one.item.text, device=asked.device)
    found = depth_photo_study(settings, asked.out / "studies" / "answers-over-depth")
    notes = () if len(models) > 1 else (
        "there is one built-in model of questions: --answerer given several times sets them side by side",
    )  # fmt: skip
    return _told(asked, "fig19", found, notes)


def residual(asked: Asked) -> Findings:
    """Fig. 22 and appendix G: maps over the depth of a network, per stage."""
    settings = DepthSettings(
        models=(asked.model("averaging classifier"),), data=asked.folder(CLASSES),
        limit=min(asked.images, 30), seed=asked.seed, device=asked.device,
    )  # fmt: skip
    found = depth_study(settings, asked.out / "studies" / "depth", _quiet)
    note = "the built-in network has no residual sums; torchvision/resnet50 on photos has"
    return _told(asked, "fig22", found, () if asked.data else (note,))


def beyond(asked: Asked) -> Findings:
    """Abstract and conclusion: an agent's acts, and clips."""
    acts = policy_study(PolicySettings(device=asked.device), asked.out / "studies" / "policy", _quiet)
    clips = video_study(VideoSettings(device=asked.device), asked.out / "studies" / "video", _quiet)
    return _joined(asked, "beyond", [("an agent", acts), ("clips", clips)])


def _joined(asked: Asked, name: str, made: Sequence[tuple[str, Findings]]) -> Findings:
    """Several studies as one, their tables and pictures under what each is of."""
    tables = [
        replace(table, title=f"{of}: {table.title}", numbers=tuple(_named(one, of) for one in table.numbers))
        for of, found in made
        for table in found.tables
    ]
    pictures = [Picture(f"{of}: {one.title}", one.png) for of, found in made for one in found.pictures]
    notes = [f"{of}: {note}" for of, found in made for note in found.notes]
    answer = " ".join(f"{of.capitalize()}: {found.answer}" for of, found in made)
    return findings(name, asked, answer, tables, pictures, notes=notes, models=())


def _named(one: Number, of: str) -> Number:
    return replace(one, name=f"{of}, {one.name}")


def _told(asked: Asked, name: str, found: Findings, notes: Sequence[str] = ()) -> Findings:
    """A study under the name that the paper's figure has."""
    tables: list[Table] = list(found.tables)
    made = findings(
        name, asked, found.answer, tables, found.pictures, notes=(*found.notes, *notes), models=()
    )
    return replace(made, left_out=found.left_out, settings={**made.settings, **found.settings})


def _below(asked: Asked, out: Path) -> str:
    return out.relative_to(asked.out).as_posix()


def _quiet(_line: str) -> None:
    """Say nothing of single images."""
