"""Who is asked what, and what a page tells: nothing of methods, models or what is right."""

import base64
import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.studies.people_small import METHODS, jpeg, questions, study
from vlx.errors import VlxError
from vlx.methods.values import METHODS as EVERY_METHOD
from vlx.studies.people.key import read_key, write_key
from vlx.studies.people.make import Made
from vlx.studies.people.pages import rater_page, write_pages
from vlx.studies.people.plan import assigned, opaque, raters_of
from vlx.studies.people.questions import CHECK, Kind, arranged, counted


@pytest.mark.parametrize("ratings", [4, 9])
def test_the_design_is_balanced(ratings: int):
    asked = questions("discrimination", images=7, checks=5, methods=("a", "b", "c"))
    named = {one.name: one for one in asked}
    orders = assigned(asked, ratings, per_rater=7, checks=3, seed=1)
    assert len(orders) == raters_of(14, 3, ratings, 7) == ratings * 3 * 2
    often: Counter[tuple[str, bool]] = Counter()
    for order in orders:
        mine = [named[one.question] for one in order]
        real = [one for one in mine if one.shown != CHECK]
        assert len(real) == len({one.group for one in real}) == 7
        assert len({one.image for one in real}) == 7  # not even the other category of an image
        assert len(mine) - len(real) == 3
        assert max(Counter(one.shown for one in real).values()) <= 3  # 7 by three methods
        often.update((one.question, one.turned) for one in order)
    for one in asked:
        if one.shown == CHECK:
            continue
        sides = often[one.name, False], often[one.name, True]
        assert sum(sides) == ratings
        assert abs(sides[0] - sides[1]) <= 1
    assert orders == assigned(asked, ratings, 7, 3, seed=1)
    assert orders != assigned(asked, ratings, 7, 3, seed=2)


def test_designs_of_few():
    with pytest.raises(VlxError, match="nothing to ask"):
        assigned(questions("trust", images=0), 3, 10, 2, 0)
    (only,) = assigned(questions("trust", images=1, checks=0, methods=("a",)), 1, 10, 6, 0)
    assert len(only) == 1
    many = assigned(questions("discrimination", images=2), 1, 100, 4, 0)  # all at once
    assert [len(one) for one in many] == [4 + 4] * 2


def test_how_an_answer_counts():
    assert [counted("discrimination", a, t) for a in (1, 2) for t in (False, True)] == [1, 0, 0, 1]
    assert [counted("trust", a, False) for a in (-2, 0, 1)] == [2, 0, -1]
    assert [counted("trust", a, True) for a in (-2, 0, 1)] == [-2, 0, 1]
    one = questions("discrimination", images=1)[0]
    options, pictures, masks = arranged("discrimination", one, True)
    assert (options, masks) == (one.options[::-1], one.masks[::-1])
    assert pictures == one.pictures
    two = questions("trust", images=1)[0]
    assert arranged("trust", two, True)[1:] == (two.pictures[::-1], two.masks)


@pytest.mark.parametrize("kind", ["discrimination", "trust"])
def test_pages_tell_no_more_than_a_rater_may_know(tmp_path: Path, kind: Kind):
    made = study(tmp_path, kind)
    (path, *_) = write_pages(made)
    assert len(list((tmp_path / "pages").iterdir())) == len(made.key.raters)
    text = path.read_text()
    bare = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", text).casefold()
    forbidden = {*(one.name for one in EVERY_METHOD), *METHODS, CHECK, "scenes/classifier", "mean average"}
    forbidden |= {word for name in METHODS for word in name.split("_")} | {"deconv", "better model", "truth"}
    assert not [word for word in forbidden if word.casefold() in bare.replace("backspace", "")]
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])  # pyright: ignore
    assert set(data) == {"study", "rater", "values", "scale", "questions"}
    for one in data["questions"]:
        assert set(one) == {"code", "options", "pictures"}
        for picture in one["pictures"]:
            opened = jpeg(base64.b64decode(picture.partition(",")[2]))
            assert set(opened.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
            assert not opened.getexif()
    assert len({one["code"] for one in data["questions"]}) == len(data["questions"])


def test_the_right_object_stands_first_as_often_as_second(tmp_path: Path):
    made = study(tmp_path, "discrimination", images=20, per_rater=20)
    turned = Counter(made.key.codes[code][1] for mine in made.key.raters.values() for code in mine)
    assert abs(turned[True] - turned[False]) <= 0.05 * turned.total()


def test_a_page_runs_its_own_script_alone(tmp_path: Path):
    made = study(tmp_path, "trust")
    text = rater_page(made.key, made.questions, "rater-00", ["<script>alert(1)</script>"])
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]  # pyright: ignore
    script = re.findall(r"<script>(.*?)</script>", text, re.S)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in policy
    assert policy.endswith("connect-src &#39;self&#39;")
    assert "<script>alert" not in text
    assert not re.search(r'(src|href|action)="(?!data:)', text)
    with pytest.raises(VlxError, match="no rater"):
        rater_page(made.key, made.questions, "nobody")


def test_codes_tell_nothing():
    codes = opaque([f"{image}/{what}" for image in range(50) for what in ("a", "b")], 0)
    assert len(set(codes.values())) == 200
    assert all(re.fullmatch(r"[0-9a-f]{8}", one) for one in codes.values())
    first = [int(codes[f"{image}/a", False], 16) for image in range(50)]
    assert first != sorted(first)


def test_a_key_is_read_back_and_kept(tmp_path: Path):
    made: Made = study(tmp_path, "trust")
    read = read_key(tmp_path)
    assert vars(read) == vars(made.key)
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "a.jsonl").write_text("{}\n")
    write_key(tmp_path, read)  # the same
    with pytest.raises(VlxError, match="answers to other questions"):
        study(tmp_path, "trust", seed=5)
    (tmp_path / "key.json").write_text('{"kind": "else"}')
    with pytest.raises(VlxError, match=r"key\.json is damaged"):
        read_key(tmp_path)
    with pytest.raises(VlxError, match="no study with people"):
        read_key(tmp_path / "nowhere")
