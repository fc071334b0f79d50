"""Weight files are data: they come back as they were, or are refused in one line, and nothing runs."""

import json
import os
import pickle
import random
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.adapters.files.refusals import checked_refusal
from vlx.adapters.files.weights import fit_weights, load_weights, ready, save_weights
from vlx.errors import CheckpointError


def network(hidden: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, hidden, 3), nn.BatchNorm2d(hidden), nn.Flatten(), nn.Linear(hidden, 2))


def saved(model: nn.Module, path: Path, old: bool = False) -> Path:
    if path.suffix == ".safetensors":
        save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=not old)
    return path


FILES = [("w.safetensors", False), ("w.pth", False), ("w.pt", False), ("old.pth", True)]


@pytest.mark.parametrize(("name", "old"), FILES)
def test_tensors_come_back_as_they_were(name, old, tmp_path):
    model = network()
    found = load_weights(saved(model, tmp_path / name, old))
    assert list(found) == list(model.state_dict()) or name.endswith(".safetensors")
    assert set(found) == set(model.state_dict())
    for key, tensor in model.state_dict().items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


def test_a_saved_network_comes_back_in_half_precision(tmp_path):
    model, other = network(), network()
    model[1].running_mean.fill_(1 / 3)
    with torch.no_grad():
        other[0].weight.zero_()
    kept = model[0].weight.detach().clone()
    save_weights(tmp_path / "w.safetensors", model)
    assert torch.equal(model[0].weight, kept)
    state = load_weights(tmp_path / "w.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert fit_weights(other, state, "w") is other
    for key, tensor in model.state_dict().items():
        assert other.state_dict()[key].dtype == tensor.dtype  # counters stay integers
        assert torch.equal(other.state_dict()[key], tensor.half().to(tensor.dtype))
    assert not torch.equal(other[0].weight, model[0].weight)  # rounded once


def test_a_training_checkpoint_is_searched_for_its_state_dict(tmp_path):
    torch.save({"epoch": 3, "state_dict": network().state_dict()}, tmp_path / "w.pth")
    assert set(load_weights(tmp_path / "w.pth")) == set(network().state_dict())


@pytest.mark.parametrize(("name", "old"), FILES)
def test_a_file_cut_off_anywhere_is_refused(name, old, tmp_path):
    path = saved(network(), tmp_path / name, old)
    whole = path.read_bytes()
    for length in {0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 100, len(whole) - 1}:
        path.write_bytes(whole[:length])
        checked_refusal(lambda: load_weights(path))


@pytest.mark.parametrize("protocol", range(6))
def test_a_bare_pickle_cut_off_anywhere_is_refused(protocol, tmp_path):
    whole = pickle.dumps({"a": [1, 2.5], "b": ("c", None)}, protocol)
    for length in range(len(whole) + 1):
        (tmp_path / "w.pth").write_bytes(whole[:length])
        checked_refusal(lambda: load_weights(tmp_path / "w.pth"))


@pytest.mark.parametrize(("name", "old"), FILES)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(name, old, tmp_path):
    path = saved(network(), tmp_path / name, old)
    whole, chance = path.read_bytes(), random.Random(0)
    refused: list[str] = []
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 2, 5])):
            damaged[chance.randrange(min(len(damaged), 900))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            load_weights(path)
        except CheckpointError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert not any("\n" in message for message in refused)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_is_never_run(suffix, protocol, tmp_path):
    mark = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    pickle.loads(pickle.dumps(Attack(), protocol))
    assert mark.is_dir()  # the attack works where a pickle is loaded
    mark.rmdir()
    for name, payload in (("bare", Attack()), ("inside", {"a.weight": Attack()})):
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(pickle.dumps(payload, protocol))
        checked_refusal(lambda path=path: load_weights(path))
        torch.save(payload, path.with_suffix(f".zip{suffix}"), pickle_protocol=protocol)
        checked_refusal(lambda path=path: load_weights(path.with_suffix(f".zip{suffix}")))
    assert not mark.exists()


def test_a_file_that_unfolds_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(1 << 20)}, tmp_path / "plain.pth")
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(packed, "w") as archive:
        for name in plain.namelist():
            archive.writestr(name, plain.read(name), zipfile.ZIP_DEFLATED)
    assert packed.stat().st_size < 1 << 14
    with pytest.raises(CheckpointError, match="holds compressed entries"):
        load_weights(packed)


def test_a_whole_pickled_model_is_told_from_a_state_dict(tmp_path):
    torch.save(network(), tmp_path / "w.pth")
    message = checked_refusal(lambda: load_weights(tmp_path / "w.pth"))
    assert "holds more than tensors and was not loaded" in message
    assert "torch.nn.modules.container.Sequential" in message


def header(text: str, length: int | None = None, body: bytes = b"\0" * 16) -> bytes:
    blob = text.encode()
    return struct.pack("<Q", len(blob) if length is None else length) + blob + body


def entry(dtype: str, shape: list[Any], offsets: list[int]) -> str:
    return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}})


HOSTILE = {
    "longer than the file": header("{}", 10**6),
    "longer than memory": header("{}", 2**63),
    "not JSON": header("not json"),
    "a list": header("[1, 2]"),
    "nested a thousand deep": header("[" * 1000 + "]" * 1000),
    "beyond the end": header(entry("F32", [400], [0, 1600])),
    "before the start": header(entry("F32", [4], [-16, 0])),
    "of a negative shape": header(entry("F32", [-4], [0, 16])),
    "of an overflowing shape": header(entry("F32", [2**40, 2**40], [0, 16])),
    "of an unknown type": header(entry("EVIL", [4], [0, 16])),
    "of no room": header(entry("F32", [4], [0, 4])),
    "with a hole": header(entry("F32", [2], [8, 16])),
    "a pickle": pickle.dumps({"a": 1}),
    "nothing but a brace": b"{",
}


@pytest.mark.parametrize("blob", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_refused(blob, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(blob)
    assert "no safetensors file" in checked_refusal(lambda: load_weights(tmp_path / "w.safetensors"))


def test_the_headers_written_here_can_be_right(tmp_path):
    numbers = np.arange(4, dtype=np.float32)
    (tmp_path / "w.safetensors").write_bytes(header(entry("F32", [4], [0, 16]), body=numbers.tobytes()))
    assert load_weights(tmp_path / "w.safetensors")["a"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ([torch.zeros(2)], "holds a list, not named tensors"),
        (torch.zeros(2), "holds a Tensor, not named tensors"),
        ({}, "holds a dict, not named tensors"),
        ({"a": torch.zeros(2), "epoch": 3}, r"save model.state_dict\(\)"),
        ({3: torch.zeros(2)}, r"save model.state_dict\(\)"),
    ],
)
def test_other_things_than_named_tensors_are_refused(payload, message, tmp_path):
    torch.save(payload, tmp_path / "w.pth")
    assert re.search(message, checked_refusal(lambda: load_weights(tmp_path / "w.pth")))


def test_a_missing_file_a_folder_and_a_pointer_are_told(tmp_path):
    assert "no weight file" in checked_refusal(lambda: load_weights(tmp_path / "none.pth"))
    assert "no weight file" in checked_refusal(lambda: load_weights(tmp_path))
    page = tmp_path / "w.pth"
    page.write_text("<!doctype html><html></html>")
    assert "is a web page" in checked_refusal(lambda: load_weights(page))
    pointer = tmp_path / "w.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "run git lfs pull" in checked_refusal(lambda: load_weights(pointer))


def test_weights_must_fit_all_and_nothing_else():
    state = network().state_dict()
    extra = {**state, "head.weight": torch.zeros(1)}
    less = {key: tensor for key, tensor in state.items() if not key.startswith("0.")}
    other = network(hidden=5).state_dict()
    assert fit_weights(network(), state, "w")[0].weight.equal(state["0.weight"])
    assert checked_refusal(lambda: fit_weights(network(), extra, "w")).endswith("1 unknown (head.weight)")
    missing = checked_refusal(lambda: fit_weights(network(), less, "w.pth"))
    assert missing == "w.pth does not fit this Sequential: 2 missing (0.weight, 0.bias)"
    assert "0.weight (5, 3, 3, 3) for (4, 3, 3, 3)" in checked_refusal(
        lambda: fit_weights(network(), other, "w")
    )
    both = checked_refusal(lambda: fit_weights(network(), {"x": torch.zeros(1)}, "w"))
    assert both.endswith("9 missing (0.weight, 0.bias, 1.weight); 1 unknown (x)")


def test_weights_that_do_not_fit_change_nothing():
    model, other = network(), network(hidden=5)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    checked_refusal(lambda: fit_weights(model, {**other.state_dict(), "3.bias": torch.ones(2)}, "w"))
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_a_network_on_the_meta_device_takes_the_tensors_themselves():
    state = network().state_dict()
    with torch.device("meta"):
        empty = network()
    fit_weights(empty, state, "here").eval()
    assert all(own.data_ptr() == state[name].data_ptr() for name, own in empty.state_dict().items())
    copied = fit_weights(network(), state, "here")
    assert copied.state_dict()["0.weight"].data_ptr() != state["0.weight"].data_ptr()
    pixels = torch.randn(2, 3, 3, 3)
    assert torch.equal(empty(pixels), copied.eval()(pixels))


def test_a_network_made_ready_gives_the_same_with_maps_channels_last():
    model = network().double().train()
    images = torch.randn(2, 3, 3, 3, dtype=torch.float64)
    wanted = model.eval()(images).detach()
    made = ready(model.train(), "cpu")
    assert made is model
    assert not made.training
    assert not any(parameter.requires_grad for parameter in made.parameters())
    wide = made[0](torch.randn(2, 3, 8, 8, dtype=torch.float64))
    assert wide.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(made(images), wanted)
