"""Answers are read one clear way, and the analysis finds what was planted."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.studies.people_small import METHODS, halves, square, study
from vlx.errors import VlxError
from vlx.studies.found import Findings, Number
from vlx.studies.people.analysis import analysed
from vlx.studies.people.answers import Line, read_answers
from vlx.studies.people.make import Made
from vlx.studies.people.questions import CHECK, jpeg_of
from vlx.studies.people.simulated import SimulatedRater, answer_all, judged, simulated_raters

Says = Callable[[str, str, bool, random.Random], int]
"""An answer of a rater to a question, by its name and whether it is turned."""


def answered(made: Made, says: Says) -> None:
    """Write the answers of all raters."""
    folder = made.folder / "answers"
    folder.mkdir(exist_ok=True)
    for token, codes in made.key.raters.items():
        chance = random.Random(token)
        lines = [
            Line(token, code, says(token, *made.key.codes[code], chance), n, 900).text(made.key.study)
            for n, code in enumerate(codes, 1)
        ]
        (folder / f"{token}.jsonl").write_text("".join(lines))


def right(chance: random.Random, share: float, turned: bool) -> int:
    """1 or 2, right with a probability."""
    return 1 if (chance.random() < share) != turned else 2


def number(found: Findings, name: str, table: int = 0) -> Number:
    """A number of one table."""
    return next(one for one in found.tables[table].numbers if one.name == name)


def test_planted_accuracies_are_found(tmp_path: Path):
    made = study(tmp_path, "discrimination", images=20, per_rater=20, ratings=9)
    shares = {METHODS[0]: 0.45, METHODS[1]: 0.8}

    def says(token: str, name: str, turned: bool, chance: random.Random) -> int:
        shown = made.key.questions[name].shown
        return right(chance, shares.get(shown, 1.0), turned)

    answered(made, says)
    found = analysed(tmp_path)
    for name, title in zip(METHODS, ("Guided Backpropagation", "Guided Grad-CAM"), strict=True):
        one = number(found, title)
        assert one.n == 40 * 9
        assert one.interval is not None
        assert one.interval[0] <= shares[name] <= one.interval[1]
    less = number(found, "Guided Grad-CAM minus Guided Backpropagation", 1)
    assert less.interval is not None
    assert less.interval[0] <= 0.35 <= less.interval[1]
    assert less.interval[0] > 0
    assert number(found, "chance").control
    assert abs((number(found, "always the first object").value or 0) - 0.5) < 0.05
    assert found.title.endswith(": people")
    assert "of no person" not in found.title


def test_who_guesses_has_half_and_agrees_by_chance(tmp_path: Path):
    made = study(tmp_path, "discrimination", images=25, per_rater=25, ratings=8, checks=0)
    answered(made, lambda _t, _n, _turned, chance: chance.choice((1, 2)))
    found = analysed(tmp_path)
    for title in ("Guided Backpropagation", "Guided Grad-CAM"):
        share, alpha = number(found, title), number(found, title, 2)
        assert share.interval is not None
        assert share.interval[0] < 0.5 < share.interval[1]
        assert alpha.value is not None
        assert abs(alpha.value) < 0.07


def test_who_agrees_though_wrong_has_a_high_alpha(tmp_path: Path):
    made = study(tmp_path, "discrimination", images=10, per_rater=10, checks=0)

    def says(_token: str, name: str, turned: bool, _chance: random.Random) -> int:
        return right(random.Random(name), 0.5, turned)  # all say of a picture the same

    answered(made, says)
    assert number(analysed(tmp_path), "Guided Grad-CAM", 2).value == 1


def test_planted_trust_is_found_whatever_the_side(tmp_path: Path):
    made = study(tmp_path, "trust", images=20, per_rater=20, ratings=8)

    def says(_token: str, name: str, turned: bool, chance: random.Random) -> int:
        shown = made.key.questions[name].shown
        for_better = {METHODS[0]: chance.choice((-1, 0, 1)), METHODS[1]: chance.choice((0, 1, 2)), CHECK: 2}[
            shown
        ]
        return for_better if turned else -for_better

    answered(made, says)
    found = analysed(tmp_path)
    plain, guided = number(found, "Guided Backpropagation"), number(found, "Guided Grad-CAM")
    assert plain.interval is not None
    assert guided.interval is not None
    assert plain.interval[0] < 0 < plain.interval[1]
    assert guided.interval[0] < 1 < guided.interval[1]
    assert abs(number(found, "robot B beside robot A, whatever the models").value or 0) < 0.2
    assert "for sure with Guided Grad-CAM" in found.answer
    share = number(found, "Guided Grad-CAM: better", 3).value
    assert share is not None
    assert 0.5 < share < 0.8


def test_raters_who_fail_the_checks_do_not_count(tmp_path: Path):
    made = study(tmp_path, "discrimination", images=6, checks=4)
    bad = sorted(made.key.raters)[:3]

    def says(token: str, name: str, turned: bool, chance: random.Random) -> int:
        return right(chance, 0.0 if token in bad else 1.0, turned)

    answered(made, says)
    path = made.folder / "answers" / f"{sorted(made.key.raters)[3]}.jsonl"
    path.write_text(path.read_text().split("\n")[0] + "\n")  # stopped after one answer
    found = analysed(tmp_path)
    assert number(found, "Guided Grad-CAM").value == 1
    notes = "\n".join(found.notes)
    assert f"{bad[0]}: 0 of 4 attention checks right" in notes
    assert "attention checks" in next(one for one in found.notes if sorted(made.key.raters)[3] in one)
    every = next(table for table in found.tables if table.title.startswith("With every rater"))
    assert (every.numbers[0].value or 1) < 1
    for token in made.key.raters:
        (made.folder / "answers" / f"{token}.jsonl").unlink()
    with pytest.raises(VlxError, match="no answers"):
        analysed(tmp_path)


def test_nobody_passed(tmp_path: Path):
    made = study(tmp_path, "discrimination", checks=4)
    answered(made, lambda _t, _n, turned, _c: 1 if turned else 2)
    with pytest.raises(VlxError, match="no rater passed"):
        analysed(tmp_path)


def test_lines_that_do_not_count_are_counted(tmp_path: Path):
    made = study(tmp_path, "trust")
    rater, other = sorted(made.key.raters)[:2]
    first, second = made.key.raters[rater][:2]
    foreign = next(code for code in made.key.raters[other] if code not in made.key.raters[rater])
    good = {"study": "cafe", "rater": rater, "question": first, "answer": 1, "n": 4, "ms": 10}
    lines = [
        json.dumps(good), json.dumps({**good, "answer": -1, "n": 7}),
        json.dumps({**good, "answer": 2, "n": 5}),
        json.dumps(good), json.dumps({**good, "question": second, "n": 9, "more": "x"}),
        json.dumps({**good, "study": "beef"}), json.dumps({**good, "rater": "none"}),
        json.dumps({**good, "question": foreign}), json.dumps({**good, "answer": 3}),
        json.dumps({**good, "answer": True}), json.dumps({**good, "answer": 1.0}),
        json.dumps({**good, "n": 0}),
        json.dumps({**good, "ms": 10**12}), "[" * 1500, "{", "[]", "null", '{"answer": 1e999}', "\xff", "",
        json.dumps({**good, "n": 10**5000 % 7, "pad": "x" * 3000}), json.dumps(good)[:-9],
    ]  # fmt: skip
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "b.jsonl").write_text("\n".join(lines), encoding="latin-1")
    (tmp_path / "answers" / "c.jsonl").write_text(json.dumps(good) + "\n")
    (tmp_path / "answers" / "notes.txt").write_text("not read")
    found = read_answers(made.key, tmp_path / "answers")
    assert {code: line.answer for (_, code), line in found.of.items()} == {first: -1, second: 1}
    assert found.left_out == {
        "lines damaged": 12,
        "lines no answer to such a question": 1,
        "lines of an unknown rater": 1,
        "lines of another study": 1,
        "lines that a later answer of the rater replaces": 4,
        "lines to a question that the rater was not asked": 1,
    }


def test_equal_lines_of_two_files_count_once(tmp_path: Path):
    made = study(tmp_path, "trust")
    answered(made, lambda *_: 1)
    folder = tmp_path / "answers"
    one = sorted(folder.iterdir())[0]
    (folder / "zz.jsonl").write_bytes(one.read_bytes())
    found = read_answers(made.key, folder)
    count = one.read_text().count("\n")
    assert found.left_out == {"lines twice": count}


def test_a_simulated_rater_judges_by_the_picture(tmp_path: Path):
    del tmp_path
    exact, chance = SimulatedRater(noise=0.0), random.Random(0)
    left, right_ = (jpeg_of(square(48, side)) for side in (True, False))
    masks = halves(48)
    assert judged("discrimination", exact, (left,), masks, False, chance) == 1
    assert judged("discrimination", exact, (right_,), masks, True, chance) == 2  # over a grey photo too
    assert judged("trust", exact, (left, right_), masks[:1], False, chance) == -2
    assert judged("trust", exact, (right_, left), masks[:1], False, chance) == 2
    assert judged("trust", exact, (left, left), masks[:1], False, chance) == 0


@pytest.mark.parametrize("kind", ["discrimination", "trust"])
def test_simulated_raters_from_end_to_end(tmp_path: Path, kind):
    made = study(tmp_path, kind, images=6, simulated=True, ratings=4)
    raters = simulated_raters(len(made.key.raters), 0, guess_every=4)
    assert sum(one.guesses for one in raters) == len(raters) // 4
    answer_all(made, dict(zip(made.key.raters, raters, strict=True)), 0)
    found = analysed(tmp_path)
    assert found.title.endswith("simulated raters, of no person")
    assert "no person" in found.answer
    assert all("simulated raters" in one.title or "published" in one.title for one in found.tables)
    best = number(found, "Guided Grad-CAM").value
    assert best is not None
    assert best > (0.9 if kind == "discrimination" else 1.5)
    first = (tmp_path / "answers" / f"{next(iter(made.key.raters))}.jsonl").read_bytes()
    answer_all(made, dict(zip(made.key.raters, raters, strict=True)), 0)
    assert (tmp_path / "answers" / f"{next(iter(made.key.raters))}.jsonl").read_bytes() == first
