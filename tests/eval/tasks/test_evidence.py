"""Evidence of every word against the explanation of the caption alone, and its means by class of words."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import vlx
from tests.eval import small
from vlx.errors import VlxError
from vlx.eval.data.folder import look
from vlx.eval.items.mentions import caption_words
from vlx.eval.items.models import Models, with_controls
from vlx.eval.items.options import Options
from vlx.eval.items.rows import SCORE, Numbers
from vlx.eval.measures.statistics import Outcome
from vlx.eval.runs.in_memory import evaluate
from vlx.eval.tasks.evidence import EVIDENCE, by_class
from vlx.passes.forward import Pass

OPTIONS = Options(captions=2)


@pytest.fixture(scope="module")
def models() -> Models:
    return with_controls(small.captioner())


def test_every_word_of_a_caption_is_an_item_of_its_class(world: Path) -> None:
    items = caption_words(look(world), OPTIONS)
    first = [item for item in items if item.id.startswith(items[0].id.rpartition("/")[0] + "/")]
    words = items[0].text.lower().replace(",", "").replace(".", "").split()
    assert [item.word for item in first] == words
    kinds = {item.word: item.category for item in items}
    assert {kinds[word] for word in ("a", "an") if word in kinds} == {"article"}
    assert kinds["and"] == "conjunction"
    assert "punctuation" not in kinds.values()
    objects = {item.word for item in items if item.category == "object"}
    assert objects
    assert not objects & {"a", "and", "there", "is"}
    twice = [item for item in first if item.word == "a"]
    assert [item.mention for item in twice] == list(range(len(twice)))


def test_evidence_is_that_of_the_explanation(models: Models, world: Path) -> None:
    items = caption_words(look(world), OPTIONS)[:18]
    rows = EVIDENCE.rows(models, items, [], OPTIONS)
    assert [row.item for row in rows] == [item.id for item in items]
    checked = 0
    for item, row in zip(items, rows, strict=True):
        for model, column in ((models.trained, SCORE), (models.shuffled, "random_weights")):
            run = model.read([vlx.open_image(item.image)], [item.text])
            words = [word.text for word in run.readings[0].words]
            places = [at for at, word in enumerate(words) if word == item.word]
            (alone,) = vlx.explain(run, [vlx.word(places[item.mention])], evidence=True)
            told = alone.targets[0].from_image
            assert told is not None
            assert row.outcomes[column].value == pytest.approx(told, abs=1e-4)
            checked += 1
        blank, score = row.outcomes["blank"].value, row.outcomes["log_probability"].value
        assert blank is not None
        assert score is not None
        assert row.outcomes[SCORE].value == pytest.approx(score - blank)
        assert row.target == item.word
    assert checked == 36


def test_what_the_model_reads_otherwise_or_does_not_know_is_left_out(models: Models, world: Path) -> None:
    item = caption_words(look(world), OPTIONS)[0]
    others = [
        replace(item, id="1", text="a dog", word="unicorn"),
        replace(item, id="2", text="a unicorn", word="unicorn"),
        replace(item, id="3", text="a dog", word="a", mention=1),
        replace(item, id="4", text="a dog", word="dog"),
    ]
    rows = EVIDENCE.rows(models, others, [], OPTIONS)
    told = [row.outcomes[SCORE].left_out for row in rows]
    assert told[0] == told[2] == "other_tokens"
    assert told[1] in ("unknown_word", "other_tokens")
    assert told[3] is None


def test_a_model_is_as_it_was_and_one_without_a_way_is_told(world: Path) -> None:
    class Plain:
        """A captioner whose Pass cannot run again what lies above its layer."""

        def __init__(self) -> None:
            self.inner = small.captioner()
            self.name = "plain"

        def read(self, images: list[object], captions: list[str]) -> Pass:
            return replace(self.inner.read(images, captions), above=None)  # type: ignore[arg-type]

        def generate(self, images: list[object], beam: int = 1) -> list[str]:
            return self.inner.generate(images, beam)  # type: ignore[arg-type]

    model = small.captioner()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    found = evaluate(model, world, task="evidence", options=Options(limit=2, captions=1))
    assert "object minus function words" in str(found)
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in model.network.parameters())
    with pytest.raises(VlxError, match=r"evidence cannot be measured with plain: .*above=seen\.above"):
        evaluate(Plain(), world, task="evidence", options=Options(limit=1, captions=1))


def test_means_by_class_worked_by_hand() -> None:
    def row(image: str, kind: str, value: float | None) -> Numbers:
        outcome = Outcome(None, "unknown_word") if value is None else Outcome(value)
        return Numbers(image, "evidence", kind, {SCORE: outcome})

    rows = [
        row("1", "object", 4.0), row("1", "article", 0.0), row("1", "preposition", 1.0),
        row("2", "object", 2.0), row("2", "article", -1.0), row("2", "object", None),
    ]  # fmt: skip
    found = by_class(rows, 0)
    assert list(found) == [
        "object", "article", "preposition", "function words", "object minus function words",
    ]  # fmt: skip
    assert (found["object"].value, found["object"].interval) == (3.0, (2.0, 4.0))
    assert found["object"].left_out == {"unknown_word": 1}
    assert found["preposition"].interval is None  # one image alone
    assert found["function words"].value == 0.0
    difference = found["object minus function words"]
    # Of image 1 alone 4 - 1/2, of image 2 alone 2 + 1, of both 3 - 0.
    assert difference.value == 3.0
    assert difference.interval == (3.0, 3.5)
    assert difference.counts == {"function words": 3, "object": 2}
    assert by_class([], 0) == {}
