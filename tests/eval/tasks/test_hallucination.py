"""Words of what is there told from words of what is not: rows against single explanations, areas by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vlx
from tests.eval import small
from vlx.eval.data.folder import look
from vlx.eval.items.item import Item
from vlx.eval.items.mentions import doubtful_words
from vlx.eval.items.models import Models, with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Numbers
from vlx.eval.items.truth import Shown
from vlx.eval.measures.statistics import Outcome
from vlx.eval.runs.in_memory import evaluate
from vlx.eval.tasks.hallucination import HALLUCINATION, areas
from vlx.passes.forward import Pass

OPTIONS = Options(captions=1)


class Saying:
    """A captioner that writes what it is told, whatever it sees."""

    def __init__(self, said: str, *, above: bool = True) -> None:
        self.inner = small.captioner()
        self.said, self.above, self.name = said, above, "saying"

    def read(self, images: Any, captions: Any) -> Pass:
        passed = self.inner.read(images, captions)
        return passed if self.above else replace(passed, above=None)

    def generate(self, images: Any, beam: int = 1) -> list[str]:
        if not self.said:
            raise NotImplementedError("give a caption")
        return [self.said] * len(images)


@pytest.fixture(scope="module")
def models() -> Models:
    return with_controls(small.captioner())


def test_both_captions_of_a_pair_are_scored_at_the_same_step(models: Models, world: Path) -> None:
    items = [one for one in doubtful_words(look(world), OPTIONS) if not one.id.endswith("/own")][:8]
    methods = [vlx.grad_cam, vlx.integrated_gradients]
    rows = HALLUCINATION.rows(models, items, methods, OPTIONS)
    assert [row.method for row in rows] == ["grad_cam", "integrated_gradients"] * 8
    for true, other, item in zip(rows[::4], rows[2::4], items[::2], strict=True):
        assert (true.item, other.item) == (item.id, f"{item.id}/changed")
        assert (true.outcomes["present"].value, other.outcomes["present"].value) == (1.0, 0.0)
        assert true.outcomes["own_caption"].value == other.outcomes["own_caption"].value == 0.0
        before, after = true.text.split(), other.text.split()
        at = next(at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
        at += len(true.word.split()) - 1  # the head of the true word
        run = models.trained.read([vlx.open_image(item.image)], [true.text])
        place = [word.text for word in run.readings[0].words].index(true.target)
        if len(true.word.split()) == 1 and place == at:  # the same step of the same Pass
            instead = vlx.word(place, instead=other.target).resolve(run.readings[0]).terms[0]
            score = float(run.scores[0, instead.step, instead.choice])
            assert other.outcomes["log_probability"].value == pytest.approx(score, abs=1e-4)
    for row in rows:
        run = models.trained.read(
            [vlx.open_image(items[0].image.parent / f"{int(row.image):012d}.jpg")], [row.text]
        )
        words = [word.text for word in run.readings[0].words]
        if words.count(row.target) == 1:
            method = vlx.method_named(row.method)
            (alone,) = vlx.explain(run, [vlx.word(row.target)], method, evidence=True)
            assert row.outcomes[SCORE].value == pytest.approx(float(alone.map(0).max()), rel=1e-3, abs=1e-5)
            assert row.outcomes["evidence"].value == pytest.approx(alone.targets[0].from_image, abs=1e-4)
            assert row.outcomes["log_probability"].value == pytest.approx(alone.targets[0].score, abs=1e-4)


def test_own_captions_are_rows_of_their_visual_words(world: Path) -> None:
    own = [one for one in doubtful_words(look(world), OPTIONS) if one.id.endswith("/own")][:3]
    rows = HALLUCINATION.rows(with_controls(Saying("a dog and a cat")), own, [vlx.grad_cam], OPTIONS)
    assert [row.item for row in rows] == [f"{one.id}/{at}" for one in own for at in (1, 4)]
    for row, item in zip(rows[::2], own, strict=True):
        assert isinstance(item.truth, Shown)
        assert row.outcomes["present"].value == float("dog" in item.truth.present)
        assert row.outcomes["own_caption"].value == 1.0
    silent = HALLUCINATION.rows(with_controls(Saying("")), own, [vlx.grad_cam], OPTIONS)
    assert {row.outcomes[SCORE].left_out for row in silent} == {"no_own_caption"}
    other = HALLUCINATION.rows(with_controls(Saying("and a")), own, [vlx.grad_cam], OPTIONS)
    assert {row.outcomes[SCORE].left_out for row in other} == {"no_visual_word"}
    gone = [replace(own[0], image=Path("nowhere.jpg"))]
    (row,) = HALLUCINATION.rows(with_controls(Saying("a dog")), gone, [vlx.grad_cam], OPTIONS)
    assert (row.outcomes[SCORE].left_out, row.damaged) == ("no_image", True)


def test_a_model_without_evidence_keeps_its_other_scores(world: Path) -> None:
    found = evaluate(
        Saying("a dog", above=False), world, task="hallucination", options=Options(limit=3, captions=1)
    )
    assert found.statistics["exchanged words: evidence"].value is None
    assert set(found.statistics["exchanged words: evidence"].left_out) == {"no_evidence"}
    assert found.statistics["exchanged words: log probability"].value is not None
    assert found.statistics["exchanged words: maximum of grad_cam"].value is not None
    assert "maximum of grad_cam minus log probability" in str(found)


def test_areas_worked_by_hand() -> None:
    def row(image: str, present: bool, own: bool, score: float, nats: float | None) -> Numbers:
        told = {
            SCORE: score, "random_weights": 0.0, "mean_activation": 1.0, "random_map": 1.0,
            "log_probability": -score, "present": float(present), "own_caption": float(own),
        }  # fmt: skip
        outcomes = {name: Outcome(value) for name, value in told.items()}
        outcomes["evidence"] = Outcome(None, "no_evidence") if nats is None else Outcome(nats)
        return Numbers(image, "mine", "dog", outcomes)

    rows = [
        row("1", True, False, 3.0, 2.0), row("1", False, False, 1.0, 0.0),
        row("2", True, False, 1.0, 1.0), row("2", False, False, 2.0, 1.0),
        row("3", True, True, 5.0, None), row("3", False, True, 1.0, None),
    ]  # fmt: skip
    found = areas(rows, 0)
    assert not any(name.startswith("own words") for name in found)  # too few
    # Present 3 and 1, absent 1 and 2: 2 wins, a tie and a loss. Evidence 2 and 1, 0 and 1: 3 and a half.
    assert found["exchanged words: maximum of mine"].value == 2.5 / 4
    assert found["exchanged words: evidence"].value == 3.5 / 4
    assert found["exchanged words: log probability"].value == 1.5 / 4
    assert found["exchanged words: evidence minus log probability"].value == 0.5
    assert found["exchanged words: mean activation"].value == 0.5
    assert found["exchanged words: maximum of mine"].counts == {"absent": 2, "present": 2}
    assert found["exchanged words: maximum of mine, random weights"].interval == (0.5, 0.5)
    more = areas(rows + rows[-2:] * 2, 0)
    assert more["own words: maximum of mine"].value == 1.0
    assert more["own words: maximum of mine"].clusters == 1
    assert more["own words: evidence"].value is None
    assert areas([], 0) == {}


def test_pages_show_no_changed_caption_as_it_was(world: Path, models: Models) -> None:
    changed = next(one for one in doubtful_words(look(world), OPTIONS) if one.id.endswith("/changed"))
    item = Item("1", changed.image, "1", "a dog", changed.truth, "dog", category="dog")
    from vlx.eval.items.opened import LeftOut, read_items

    (opened,), _ = read_items(models.trained, [item])
    assert isinstance(HALLUCINATION.target(OPTIONS, opened, 0), LeftOut)
