"""The lines of a training log."""

import time
from collections.abc import Callable

from torch import Tensor

Log = Callable[[str], None]


class Progress:
    """Counts steps and logs every 50th with its loss and the speed so far."""

    def __init__(self, stage: str, steps: int, batch: int, log: Log, every: int = 50) -> None:
        self.stage, self.steps, self.batch, self.log, self.every = stage, steps, batch, log, every
        self.done, self.began = 0, time.monotonic()

    def __call__(self, loss: Tensor, **more: float) -> None:
        """Count a step."""
        self.done += 1
        if self.done % self.every and self.done != self.steps:
            return
        rate = self.done * self.batch / (time.monotonic() - self.began)
        told = "".join(f" {name} {value:.3f}" for name, value in more.items())
        lost = float(loss.detach())
        self.log(f"{self.stage} step {self.done}/{self.steps} loss {lost:.3f}{told} {rate:.0f} items/s")
