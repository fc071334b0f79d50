"""The catalogue: each row is consistent, finds its files in a folder, and says what it lacks."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import vlx
from tests.adapters import published, small, student_files
from tests.adapters.files.t7_writer import write_t7
from vlx.adapters.catalogue import FAMILIES
from vlx.adapters.parts.checkpoint import Contents
from vlx.errors import CheckpointError, VlxError
from vlx.scenes.models import SCENES

PUBLISHED = [family for family in FAMILIES if family.files]
ROOT = Path(__file__).parents[2]


def test_every_name_is_of_one_family():
    rows = (*SCENES, *FAMILIES)
    forms = [form for family in rows for form in family.forms]
    assert len(forms) == len(set(forms))
    for family in rows:
        for form in family.forms:
            assert [one for one in rows if one.takes(form)] == [family]


@pytest.mark.parametrize("family", PUBLISHED, ids=lambda family: family.prefix)
def test_files_go_by_the_names_they_were_published_with(family):
    for file in family.files:
        assert file.use
        for name in file.name.replace("…", "x").split(" or "):
            assert any(fnmatchcase(name, pattern) for pattern in file.patterns), name


def test_what_holds_nothing_is_of_no_family():
    assert [family for family in FAMILIES if family.detect(Contents()) is not None] == []


def test_every_family_is_held_against_the_shared_checks():
    tests = [path.read_text() for path in (ROOT / "tests" / "adapters").rglob("test_*.py")]
    checked = "\n".join(text for text in tests if "in CHECKS" in text or ", CHECKS" in text)
    files = sorted((ROOT / "adapters" / "families").glob("[a-z]*.py"))
    families = {path.stem for path in files} - {"hiecoatten_weights", "own"}
    assert [name for name in families if f"vlx.adapters.families.{name} import" not in checked] == []
    listed = (ROOT / "adapters" / "catalogue.py").read_text()
    assert [name for name in families if f"detect={name}.detect" not in listed] == []


def test_no_family_imports_another():
    found = [
        (path.stem, other)
        for path in (ROOT / "adapters" / "families").glob("*.py")
        for other in re.findall(r"vlx\.adapters\.families(?:\.| import )(\w+)", path.read_text())
    ]
    assert ("hiecoatten", "hiecoatten_weights") in found  # two files of one family
    assert [(one, other) for one, other in found if not other.startswith(one)] == []


@pytest.mark.parametrize("family", PUBLISHED, ids=lambda family: family.prefix)
def test_a_place_that_holds_nothing(family, tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing|word_counts"):
        vlx.load(f"{family.prefix}{tmp_path / 'nothing'}")


@pytest.mark.parametrize("family", ["vqa-lstm-cnn", "hiecoatten", "ruotianluo", "sgrvinod"])
def test_a_folder_that_lacks_a_file_says_which(family, tmp_path):
    (row,) = (row for row in FAMILIES if row.prefix == f"{family}:")
    for file in row.files:
        with pytest.raises(CheckpointError) as caught:
            vlx.load(f"{family}:{tmp_path}")
        assert f"holds no files {' or '.join(file.patterns)};" in str(caught.value)
        (tmp_path / file.patterns[0].replace("*", "x")).touch()


def test_an_unknown_family_names_near_ones():
    with pytest.raises(VlxError, match="neuraltalk2"):
        vlx.load("neuraltalk:model.t7")


def test_a_students_folder_on_the_command_line(run, tmp_path):
    (tmp_path / "model").mkdir()
    student_files.write_student(tmp_path / "model")
    photo = tmp_path / "photo.png"
    small.photos((240, 300))[0].save(photo)
    status, out, _ = run(
        "caption", photo, "--model", f"udacity:{tmp_path / 'model'}", "--caption", "red bike"
    )
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["red", "bike", "caption"]


def test_a_checkpoint_of_neuraltalk2_by_name(tmp_path):
    value = published.neuraltalk2_value(published.neuraltalk2_tensors(), gpu=False, steps=7)
    path = write_t7(tmp_path / "model_id1.t7", value, cuda=False)
    result = vlx.explain_caption(vlx.load(f"neuraltalk2:{path}"), small.photos((80, 90))[0], "red bike")
    assert [target.name for target in result.targets] == ["red", "bike", "caption"]
