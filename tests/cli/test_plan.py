"""``vlx plan``: memory said before a model is loaded."""

import json
from pathlib import Path

import pytest

from tests.adapters.huggingface import tiny
from vlx.cli.app import main
from vlx.cli.plan import bytes_of, size_of
from vlx.errors import VlxError


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A folder with a config and nothing else."""
    model = tiny.llava()[0]
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(tmp_path)
    return f"hf:{tmp_path}"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["plan", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_sizes_of_memory():
    assert bytes_of("24GiB") == bytes_of(" 24 gib ") == 24 << 30
    assert bytes_of("24GB") == bytes_of("24G") == 24 * 10**9
    assert bytes_of("800 MiB") == 800 << 20
    assert bytes_of("1.5GiB") == 3 << 29
    assert bytes_of("1000") == 1000
    for wrong in ("", "lots", "GiB", "24XB", "-3GiB", "0GiB", "24ib", "1.2.3GB"):
        with pytest.raises(VlxError, match="no memory size: give one such as 24GiB"):
            bytes_of(wrong)


def test_sizes_of_photos():
    assert size_of("640x480") == (640, 480)
    for wrong in ("640", "0x480", "axb", "640x480x3"):
        with pytest.raises(VlxError, match="give width and height"):
            size_of(wrong)


def test_every_precision_is_told(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--words", "3", "--memory", "2GiB") == 0
    told = capsys.readouterr().out
    assert [name in told for name in ("bfloat16: fits", "float16: fits", "float32: fits")] == [True] * 3
    assert "16 image tokens" in told
    assert "all words at once" in told


def test_one_precision_as_json(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--words", "3", "--precision", "float16", "--json", "--memory", "600MiB") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["float16"]
    assert found["float16"]["at_once"] == 3
    assert sum(found["float16"]["parts"].values()) == found["float16"]["total"]


def test_what_does_not_fit_is_told(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--memory", "512.1MiB", "--precision", "float32") == 0
    assert "the weights alone are more" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["scenes/captioner"], "vlx: no plan for scenes/captioner: name a model of transformers"),
        (["hf:no-such-folder/none/at/all"], "has no config that can be read"),
        (["FOLDER", "--memory", "24 apples"], "'24 apples' is no memory size"),
        (["FOLDER", "--memory", "1MiB"], "'1MiB' is less than"),
        (["FOLDER", "--image", "big"], "'big' is no size of a photo"),
        (["FOLDER", "--layer", "nothing"], "nothing is no block of the vision encoder"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], line: str, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(folder if one == "FOLDER" else one for one in arguments)) == 1
    told = capsys.readouterr().err
    assert line in told
    assert told.count("\n") == 1
