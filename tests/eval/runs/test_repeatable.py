import pytest
import torch

from vlx.errors import VlxError
from vlx.eval.runs.repeatable import repeatable


def test_settings_of_the_process_come_back() -> None:
    threads = torch.get_num_threads()
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    inside: list[object] = []

    def failing() -> None:
        with repeatable(threads + 1):
            inside.extend([torch.get_num_threads(), torch.backends.cudnn.deterministic])
            raise VlxError("x")

    with pytest.raises(VlxError, match="x"):
        failing()
    assert inside == [threads + 1, True]
    assert torch.get_num_threads() == threads
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == before
