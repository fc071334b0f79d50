"""Threads: one explains at a time, all get what they would get alone, and nothing stays switched off."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import nn

import vlx
from tests import tiny
from vlx.eval.runs.repeatable import repeatable
from vlx.passes import turns
from vlx.passes.stand_in import stand_in

LONG = 20.0  # seconds that no test may wait


def flags() -> tuple[bool, bool]:
    return bool(torch.backends.mkldnn.enabled), bool(torch.backends.cudnn.enabled)


def in_thread(work: Callable[[], object]) -> None:
    """Do it in a thread of its own, which ends; what it raises is raised here."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result(LONG)


class Elsewhere:
    """A thread that stays within a block until it is told to leave it."""

    def __init__(self, block: AbstractContextManager[object]) -> None:
        self.inside, self.leave = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._stay, args=(block,), name="the other", daemon=True)
        self.thread.start()

    def _stay(self, block: AbstractContextManager[object]) -> None:
        with block:
            self.inside.set()
            self.leave.wait(LONG)


def test_threads_that_explain_one_model_get_what_each_gets_alone():
    model, words = tiny.captioner(), [[1, 2, 4], [3, 1], [2]]
    before = flags()

    def explained(which: int) -> np.ndarray:
        run = tiny.caption_pass(model, tiny.pixels_of(1) + which, [words[which]])
        return vlx.explain(run, [vlx.word(0), vlx.caption()], vlx.guided_grad_cam)[0].raw

    alone = [explained(which) for which in range(3)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(explained, [0, 1, 2] * 8, timeout=6 * LONG))
    for which, maps in enumerate(found):
        np.testing.assert_allclose(maps, alone[which % 3], rtol=1e-6)
    assert flags() == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_threads_with_models_of_their_own_leave_the_kernels_as_they_were():
    before = flags()

    def work(seed: int) -> None:
        lstm = nn.LSTM(8, 8, batch_first=True)
        for _ in range(40):
            with vlx.prepared(lstm):
                lstm(torch.randn(2, 9, 8))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4), timeout=3 * LONG))
    assert flags() == before


def test_kernels_are_as_they_were_whichever_run_ends_first():
    """Threads that run the model without vlx while it is held: the first to begin is the first to end."""
    rnns = nn.ModuleList([nn.LSTM(3, 3), nn.LSTM(3, 3)])
    began = [threading.Event(), threading.Event()]
    ended = threading.Event()

    def wait(which: int, until: threading.Event) -> None:
        began[which].set()
        until.wait(LONG)

    rnns[0].register_forward_pre_hook(lambda *_: wait(0, began[1]))
    rnns[1].register_forward_pre_hook(lambda *_: wait(1, ended))
    threads = [threading.Thread(target=rnn, args=(torch.randn(2, 1, 3),)) for rnn in rnns]
    before = flags()
    assert any(before)
    with vlx.prepared(rnns):
        for thread, event in zip(threads, began, strict=True):
            thread.start()
            assert event.wait(LONG)
        threads[0].join(LONG)
        assert not any(flags())
        ended.set()
        threads[1].join(LONG)
        assert flags() == before


def blocks(model: nn.Module) -> dict[str, Callable[[], AbstractContextManager[object]]]:
    return {
        "prepared": lambda: vlx.prepared(model),
        "capture": lambda: vlx.capture(model, "0"),
        "stand_in": lambda: stand_in(model, lambda x: x),
        "repeatable": lambda: repeatable(None),
    }


@pytest.mark.parametrize("held", ["prepared", "stand_in", "repeatable"])
@pytest.mark.parametrize("wanted", blocks(nn.Identity()))
def test_a_thread_waits_until_the_others_block_ends(held, wanted):
    model = nn.Sequential(nn.Conv2d(3, 3, 1)).train()
    other = Elsewhere(blocks(model)[held]())
    assert other.inside.wait(LONG)
    seen: list[bool] = []

    def here() -> None:
        with blocks(model)[wanted]():
            seen.append(other.leave.is_set())
            if wanted == "capture":
                model(torch.zeros(1, 3, 2, 2))

    mine = threading.Thread(target=here)
    mine.start()
    mine.join(0.2)
    assert not seen
    other.leave.set()
    mine.join(LONG)
    assert seen == [True]
    assert model.training
    assert "forward" not in vars(model)


def test_blocks_within_blocks_of_one_thread():
    model = nn.Sequential(nn.Conv2d(3, 3, 1)).train()
    with vlx.prepared(model), stand_in(model[0], lambda x: 2 * x):
        with vlx.capture(model, "0") as seen, vlx.prepared(model):
            model(torch.ones(1, 3, 2, 2))
        assert not model.training
        assert seen.features.eq(2).all()
    assert model.training


def test_an_exception_ends_the_turn():
    with pytest.raises(KeyError), vlx.prepared(nn.ReLU()):
        raise KeyError

    def here() -> None:
        with vlx.prepared(nn.ReLU()):
            pass

    in_thread(here)


def test_a_block_may_be_left_in_another_thread():
    model = nn.Sequential(nn.ReLU()).train()
    block = vlx.prepared(model)
    in_thread(block.__enter__)
    assert not model.training
    in_thread(lambda: block.__exit__(None, None, None))
    assert model.training
    with vlx.prepared(model):
        pass


def test_a_block_that_its_thread_never_left_is_told():
    model = nn.Sequential(nn.ReLU()).train()
    block = vlx.prepared(model)
    thread = threading.Thread(target=block.__enter__, name="careless")
    thread.start()
    thread.join(LONG)
    try:
        with pytest.raises(vlx.VlxError, match="thread careless ended in a block of vlx") as error:
            vlx.prepared(model).__enter__()
        assert "\n" not in str(error.value)
    finally:
        block.__exit__(None, None, None)
    with vlx.prepared(model):
        pass


def test_a_block_that_is_given_up_ends_the_turn():
    model = nn.Sequential(nn.ReLU()).train()
    block = vlx.prepared(model)
    in_thread(block.__enter__)
    del block
    with vlx.prepared(model):
        assert not model.training
    assert model.training


def test_long_waiting_is_told(monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    other = Elsewhere(vlx.prepared(nn.ReLU()))
    assert other.inside.wait(LONG)
    threading.Timer(0.4, other.leave.set).start()
    block = vlx.prepared(nn.ReLU())
    with pytest.warns(RuntimeWarning, match="waits for thread the other to leave a block of vlx") as told:
        block.__enter__()
    block.__exit__(None, None, None)
    assert len(told) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_waits_for_no_thread_of_its_parent():
    other = Elsewhere(vlx.prepared(nn.ReLU()))
    assert other.inside.wait(LONG)
    child = os.fork()
    if child == 0:
        with vlx.prepared(nn.Identity()):
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    other.leave.set()
    other.thread.join(LONG)
