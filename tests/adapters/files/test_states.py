"""Weights as people's trainings save them: what is around them and in front of their names is left out."""

import argparse
import collections
import os
import pathlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tests.adapters.files.refusals import checked_refusal
from vlx.adapters.files.states import parts_of, read_state, unwrapped
from vlx.errors import CheckpointError, Notice


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.layer1 = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
        self.fc = nn.Linear(4, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer1(self.features(pixels)).mean((2, 3)))


class Lit(nn.Module):
    """As Lightning's modules hold their network, with a loss that has weights of its own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.backbone, self.criterion = network, nn.CrossEntropyLoss(weight=torch.ones(2))


torch.manual_seed(0)
NET = Net()
STATE = NET.state_dict()
COPY = {name: value + 1 for name, value in STATE.items()}


def under(prefix: str, state: Any = STATE) -> dict[str, Any]:
    return {prefix + name: value for name, value in state.items()}


def trained() -> dict[str, Any]:
    """What lies beside the weights."""
    network = Net()
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.rand(1, 3, 9, 9)).sum().backward()
    optimizer.step()
    return {
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": {"last_epoch": 3, "base_lrs": [0.1]},
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("runs"), device=torch.device("cpu")),
        "best_acc": np.float64(0.5),
        "loss": torch.tensor(0.3),
        "scaler": {"scale": 65536.0, "growth_tracker": torch.tensor(3)},
        "rng_state": torch.get_rng_state(),
        "metrics": {"top1": torch.tensor(0.5), "top5": torch.tensor(0.9)},
        "normalizer": {"mean": torch.ones(3), "std": torch.ones(3)},
        "class_to_idx": {"cat": 0, "dog": 1},
    }


LIGHTNING = {
    "pytorch-lightning_version": "2.1",
    "hyper_parameters": {"lr": 0.1, "args": argparse.Namespace(a=1)},
    "callbacks": {"ModelCheckpoint{'monitor': 'val'}": {"best_model_score": torch.tensor(0.1)}},
    "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
}

SAVED: dict[str, Any] = {
    "a state_dict": STATE,
    **{f"under {name}": {**trained(), name: STATE} for name in (
        "state_dict", "model", "model_state_dict", "model_state", "net", "network", "ema", "model_ema",
        "weights", "generator", "my_best_model",
    )},
    "ema with a shadow": {**trained(), "ema": {"decay": 0.99, "shadow": STATE}},
    "nested": {"checkpoint": {"model": {"state_dict": STATE}}, "epoch": 3},
    "a list": [STATE, 3],
    "with an optimiser in a tuple": (STATE, trained()["optimizer"]),
    "with numbers among them": {**STATE, "epoch": 3, "arch": "net"},
    **{f"in front {prefix}": under(prefix) for prefix in (
        "module.", "model.", "net.", "backbone.", "encoder.", "_orig_mod.", "module._orig_mod.",
        "_orig_mod.module.", "model._orig_mod.", "_fsdp_wrapped_module.", "module.model.backbone.",
    )},
    "pytorch's examples": {**trained(), "arch": "net", "state_dict": under("module.")},
    "a part in parallel": {name.replace("features.", "features.module."): one for name, one in STATE.items()},
    "lightning": {**LIGHTNING, "state_dict": under("model.")},
    "lightning, compiled": {**LIGHTNING, "state_dict": under("net._orig_mod.")},
    "lightning with a loss": {**LIGHTNING, "state_dict": Lit(NET).state_dict()},
    "an average": AveragedModel(NET).state_dict(),
    "with counts of operations": {**STATE, "total_ops": torch.ones(1), "fc.total_params": torch.ones(1)},
    "with extra state": {**STATE, "fc._extra_state": b"1"},
    "a default dict": collections.defaultdict(int, STATE),
    "a module": NET,
    "a module in parallel": nn.DataParallel(NET),
    "a module in a dict": {**trained(), "model": NET},
    "a module beside none": {**trained(), "model": None, "ema": NET},
}  # fmt: skip


@pytest.mark.parametrize("saved", SAVED.values(), ids=SAVED.keys())
def test_weights_are_read_as_they_were_saved(saved: Any, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "w.pth")
    found = read_state(tmp_path / "w.pth", STATE)
    assert set(found) == set(STATE)
    assert all(torch.equal(found[name], value) for name, value in STATE.items())


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod."])
def test_a_prefix_is_left_out_of_safetensors_too(prefix: str, tmp_path: Path) -> None:
    save_file(under(prefix), tmp_path / "w.safetensors")
    assert set(read_state(tmp_path / "w.safetensors", STATE)) == set(STATE)


TWICE = {
    "model and its average": ({"ema": COPY, "model": STATE}, "holds model and ema: model is read"),
    "of torchvision": (
        {"model_ema": under("module.", COPY), "model": STATE},
        "model and model_ema: model",
    ),
    "in one module": (
        {"state_dict": {**under("ema_model.", COPY), **under("model.")}},
        "holds state_dict.model and state_dict.ema_model: state_dict.model is read",
    ),
    "student and teacher": (
        {"teacher": COPY, "student": STATE},
        "student and teacher: student is read",
    ),
    "momentum": ({**under("encoder_k.", COPY), **under("encoder_q.")}, "encoder_q is read"),
}


@pytest.mark.parametrize(("saved", "said"), TWICE.values(), ids=TWICE.keys())
def test_of_a_model_and_its_copy_the_model_is_read_and_told(saved: Any, said: str, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "w.pth")
    with pytest.warns(Notice, match=said):
        found = read_state(tmp_path / "w.pth", STATE)
    assert all(torch.equal(found[name], value) for name, value in STATE.items())


def test_without_known_names_the_models_own_part_is_read(tmp_path: Path) -> None:
    torch.save({**trained(), "state_dict": under("module.")}, tmp_path / "w.pth")
    assert set(read_state(tmp_path / "w.pth")) == set(STATE)
    torch.save({**trained(), "ema": COPY, "model": STATE}, tmp_path / "w.pth")
    with pytest.warns(Notice, match="model is read"):
        assert torch.equal(read_state(tmp_path / "w.pth")["fc.bias"], STATE["fc.bias"])
    torch.save({"encoder": STATE, "decoder": {"rnn.weight": torch.ones(2)}}, tmp_path / "w.pth")
    said = checked_refusal(lambda: read_state(tmp_path / "w.pth"))
    assert said.endswith("w.pth holds 2 sets of named tensors (encoder, decoder): save one of them")


def test_a_network_may_have_a_part_that_is_called_like_a_wrapper(tmp_path: Path) -> None:
    own = nn.ModuleDict({"module": NET, "head": nn.Linear(2, 2)}).state_dict()
    for saved in (own, under("module.", own), {"state_dict": under("_orig_mod.", own)}):
        torch.save(saved, tmp_path / "w.pth")
        assert set(read_state(tmp_path / "w.pth", own)) == set(own)


EMPTY = {
    "empty": ({"state_dict": {}}, "holds no named tensors, but state_dict: save model.state_dict()"),
    "an optimiser": ({"optimizer": trained()["optimizer"]}, "holds no named tensors, but optimizer"),
    "metrics": ({"epoch": 3, "best": {"acc": torch.tensor(0.5)}}, "no named tensors, but epoch, best"),
    "a number": (3, "a int is neither a module nor named tensors"),
}


@pytest.mark.parametrize(("saved", "said"), EMPTY.values(), ids=EMPTY.keys())
def test_what_holds_no_weights_is_told(saved: Any, said: str, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "w.pth")
    assert any(
        one in checked_refusal(lambda: read_state(tmp_path / "w.pth", STATE)) for one in said.split("|")
    )


def test_nothing_beside_the_weights_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(mark),)

    torch.save({"state_dict": STATE, "args": Attack(), "model": Attack()}, tmp_path / "w.pth")
    assert set(read_state(tmp_path / "w.pth", STATE)) == set(STATE)
    assert not mark.exists()


def test_what_holds_itself_ends() -> None:
    held: dict[str, Any] = {"epoch": 3}
    held["self"] = held
    assert parts_of(held) == []
    wide: dict[str, Any] = {"leaf": {"x": 1}}
    for _ in range(12):
        wide = {f"part{at}": wide for at in range(50)}
    with pytest.raises(CheckpointError, match="refers to more parts"):
        parts_of(wide)


def test_names_are_read_without_wrappers_then_without_what_they_share() -> None:
    ways = list(unwrapped(["module.model.fc.weight", "module.model.conv.weight"]))
    assert ways == [
        {"model.fc.weight": "module.model.fc.weight", "model.conv.weight": "module.model.conv.weight"},
        {"fc.weight": "module.model.fc.weight", "conv.weight": "module.model.conv.weight"},
    ]
    assert list(unwrapped([])) == []


def test_a_plain_state_says_nothing(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(read_state(tmp_path / "w.pth", STATE)) == set(STATE)
