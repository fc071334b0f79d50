"""``vlx inspect``: a short table, JSON, and one line for what cannot be read."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.conftest import Run


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    held = {"embed": nn.Embedding(9, 5), "lstm": nn.LSTM(5, 6), "linear": nn.Linear(6, 9)}
    more = {f"aux.{at}.weight": torch.zeros(2) for at in range(10)}
    torch.save(
        {**nn.ModuleDict(held).state_dict(), **more, "scale": torch.ones(())}, tmp_path / "decoder.ckpt"
    )
    return tmp_path / "decoder.ckpt"


def test_a_checkpoint_is_told_in_a_table(run: Run, decoder: Path) -> None:
    status, out, err = run("inspect", decoder)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(decoder)
    assert lines[2].split(maxsplit=1) == [
        "format",
        "torch file: a table of embed.weight, lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, "
        "lstm.bias_hh_l0, linear.weight, …",
    ]
    assert [line.split(maxsplit=1) for line in (lines[1], *lines[3:8])] == [
        ["family", "yunjey, decoder"],
        ["vocabulary", "9 words"],
        ["sizes", "embedding 5, hidden 6, layers 1"],
        ["missing", "encoder….pkl: its CNN"],
        ["missing", "vocab.pkl: its words"],
        ["tensors", "18"],
    ]
    assert lines[8].split(maxsplit=1) == ["embed.weight", "9 x 5"]
    assert lines[-1] == "    and 6 more: see them with --all"
    _, everything, _ = run("inspect", decoder, "--all")
    assert everything.splitlines()[-1].split(maxsplit=1) == ["scale", "a number"]


def test_a_checkpoint_is_told_in_json(run: Run, decoder: Path) -> None:
    status, out, err = run("inspect", decoder, "--json")
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["family"] == "yunjey, decoder"
    assert told["layers"]["lstm.weight_ih_l0"] == [24, 5]
    assert told["missing"] == ["encoder….pkl: its CNN", "vocab.pkl: its words"]
    assert told["vocabulary"] == 9


def test_an_unknown_file_is_no_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    status, out, err = run("inspect", tmp_path / "notes.txt")
    assert (status, err) == (0, "")
    assert out.splitlines()[1].split() == ["family", "unknown"]


@pytest.mark.parametrize(
    "content", [None, b"", b"version https://git-lfs.github.com/spec/v1\n", b"<html>", b"PK\x03\x04"]
)
def test_what_cannot_be_read_is_one_line(content: bytes | None, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    if content is not None:
        path.write_bytes(content)
    status, out, err = run("inspect", path)
    assert (status, out) == (1, "")
    assert err.startswith("vlx: ")
    assert err.count("\n") == 1
    assert str(path) in err


def test_help_names_the_command(run: Run) -> None:
    assert "Say what a checkpoint file is" in run("--help")[1]
    assert run("inspect")[0] == 2
