"""``vlx check``: a line for each check, and status 1 where one fails."""

import sys

import pytest
from typer.testing import CliRunner

from tests.adapters import small
from tests.check import broken
from vlx.cli.app import app, main


@pytest.fixture
def own(monkeypatch):
    models = {
        "sound": small.captioner(),
        "late": broken.FaultyCaptioner(small.captioner(), broken.late),
        "vqa": small.vqa(),
    }
    monkeypatch.setattr(sys.modules["vlx.load"], "load", lambda name, **_: models[name])
    return models


def test_every_check_is_a_line(own):
    done = CliRunner().invoke(app, ["check", "sound"])
    assert done.exit_code == 0, done.output
    head, *lines = done.output.splitlines()
    assert head == "small, layer features"
    assert [line.split()[0] for line in lines[:3]] == ["places", "patches", "image"]
    assert "marked patches move their own cell of 8 x 8" in done.output


def test_several_layers_are_checked_one_after_the_other(own):
    done = CliRunner().invoke(app, ["check", "vqa", "--layer", "features.0", "--layer", "features.2"])
    assert done.exit_code == 0, done.output
    assert done.output.count("small, layer") == 2


def test_a_failed_check_ends_with_status_1(own, capsys):
    with pytest.raises(SystemExit) as left:
        main(["check", "late", "--caption", broken.TEXT])
    assert left.value.code == 1
    assert capsys.readouterr().err == "vlx: 1 check failed\n"


def test_a_prompt_that_the_model_does_not_take_is_one_line(own, capsys):
    with pytest.raises(SystemExit):
        main(["check", "sound", "--prompt", "what?"])
    assert capsys.readouterr().err.startswith("vlx: CNNLSTMCaptioner takes no prompt")
