"""slim's Inception v3 written out, at small widths: it makes the weights that it meets for the first time."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.adapters.published import made


@dataclass(eq=False)
class Slim:
    """The network as TensorFlow runs it; ``tensors`` by TensorFlow's names, kernels (row, col, in, out)."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(5))

    def conv(self, scope: str, x: Tensor, rows: int, cols: int, stride: int = 1, same: bool = True) -> Tensor:
        """Convolution, batch normalisation without a scale and epsilon .001, ReLU."""
        scope = f"InceptionV3/{scope}"
        if f"{scope}/weights" not in self.tensors:
            self._make(scope, rows, cols, x.shape[1])
        kernels = self.tensors[f"{scope}/weights"].to(x).permute(3, 2, 0, 1)
        assert kernels.shape[2:] == (rows, cols)
        x = F.conv2d(x, kernels, None, stride, ((rows - 1) // 2, (cols - 1) // 2) if same else 0)
        beta, mean, variance = (
            self.tensors[f"{scope}/BatchNorm/{name}"].to(x)[:, None, None]
            for name in ("beta", "moving_mean", "moving_variance")
        )
        return ((x - mean) / (variance + 0.001).sqrt() + beta).clamp(min=0)

    def _make(self, scope: str, rows: int, cols: int, channels: int) -> None:
        out = 3 + len(self.tensors) // 4 % 3
        kernels = made(self.generator, out, channels, rows, cols).permute(2, 3, 1, 0).contiguous()
        self.tensors[f"{scope}/weights"] = kernels
        self.tensors[f"{scope}/BatchNorm/beta"] = 0.4 + made(self.generator, out)
        self.tensors[f"{scope}/BatchNorm/moving_mean"] = made(self.generator, out)
        variance = 0.6 + torch.rand(out, generator=self.generator)
        self.tensors[f"{scope}/BatchNorm/moving_variance"] = variance

    def features(self, x: Tensor) -> Tensor:
        """Mixed_7c of pixels (batch, 3, row, col)."""
        x = self.conv("Conv2d_1a_3x3", x, 3, 3, 2, same=False)
        x = self.conv("Conv2d_2a_3x3", x, 3, 3, same=False)
        x = F.max_pool2d(self.conv("Conv2d_2b_3x3", x, 3, 3), 3, 2)
        x = self.conv("Conv2d_3b_1x1", x, 1, 1)
        x = F.max_pool2d(self.conv("Conv2d_4a_3x3", x, 3, 3, same=False), 3, 2)
        for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            odd = block == "Mixed_5c"  # two of its names are other than one expects
            names = ("0b_1x1", "Conv_1_0c_5x5") if odd else ("0a_1x1", "Conv2d_0b_5x5")
            x = self.mixed(block, x, ("0a_1x1",), (names[0], names[1]), ("0a_1x1", "0b_3x3", "0c_3x3"))
        x = self.reduced("Mixed_6a", x, ("1a_1x1:3x3",), ("0a_1x1", "0b_3x3", "1a_1x1:3x3"))
        for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            twice = ("0a_1x1", "0b_7x1", "0c_1x7", "0d_7x1", "0e_1x7")
            x = self.mixed(block, x, ("0a_1x1",), ("0a_1x1", "0b_1x7", "0c_7x1"), twice)
        x = self.reduced("Mixed_7a", x, ("0a_1x1", "1a_3x3"), ("0a_1x1", "0b_1x7", "0c_7x1", "1a_3x3"))
        for block, second in (("Mixed_7b", "0b_3x1"), ("Mixed_7c", "0c_3x1")):
            one = self.branch(block, 1, x, ("0a_1x1",))
            two = self.branch(block, 2, x, ("0a_1x1", "0b_3x3"))
            parts = [self.branch(block, 1, one, (name,)) for name in ("0b_1x3", second)]
            parts += [self.branch(block, 2, two, (name,)) for name in ("0c_1x3", "0d_3x1")]
            x = torch.cat([self.branch(block, 0, x, ("0a_1x1",)), *parts, self.averaged(block, x)], 1)
        return x

    def mixed(self, block: str, x: Tensor, *branches: tuple[str, ...]) -> Tensor:
        """Branches side by side, the last of them an average pool."""
        parts = [self.branch(block, at, x, names) for at, names in enumerate(branches)]
        return torch.cat([*parts, self.averaged(block, x)], 1)

    def reduced(self, block: str, x: Tensor, *branches: tuple[str, ...]) -> Tensor:
        """Branches that end with a step of 2 places, the last of them a max-pool."""
        parts = [
            self.branch(block, at, self.branch(block, at, x, names[:-1]), names[-1:], 2)
            for at, names in enumerate(branches)
        ]
        return torch.cat([*parts, F.max_pool2d(x, 3, 2)], 1)

    def branch(self, block: str, at: int, x: Tensor, names: tuple[str, ...], stride: int = 1) -> Tensor:
        """Convolutions one after the other; a name tells the kernel, ``:`` the true one where it lies."""
        for name in names:
            name, _, true = name.partition(":")
            rows, cols = map(int, (true or name.rpartition("_")[2]).split("x"))
            scope = name if name.startswith("Conv") else f"Conv2d_{name}"
            x = self.conv(f"{block}/Branch_{at}/{scope}", x, rows, cols, stride, same=stride == 1)
        return x

    def averaged(self, block: str, x: Tensor) -> Tensor:
        """The mean of the places that are there in 3 x 3, and a convolution."""
        return self.branch(block, 3, F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), ("0b_1x1",))
