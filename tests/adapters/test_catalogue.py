"""Published models by name: each family finds its files in a folder, and says what it lacks."""

import pytest

import vlx
from tests.adapters import published, small, student_files
from tests.adapters.files.t7_writer import write_t7
from vlx.adapters.catalogue import FAMILIES
from vlx.errors import CheckpointError, VlxError


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_place_that_holds_nothing(family, tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing|word_counts"):
        vlx.load(f"{family}:{tmp_path / 'nothing'}")


@pytest.mark.parametrize("family", ["vqa-lstm-cnn", "hiecoatten", "ruotianluo", "sgrvinod"])
def test_a_folder_that_lacks_a_file_says_which(family, tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no files [\w.*-]+"):
        vlx.load(f"{family}:{tmp_path}")


def test_an_unknown_family_names_near_ones():
    with pytest.raises(VlxError, match="neuraltalk2"):
        vlx.load("neuraltalk:model.t7")


def test_every_family_is_listed():
    assert {name.partition(":")[0] for name in vlx.known_models()} >= set(FAMILIES)


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
