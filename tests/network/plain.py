"""Small networks as people have them, and Grad-CAM of one image at a time, written out."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Plain(nn.Module):
    """Two convolutions, a mean and a linear layer; ``make`` turns its logits into what it returns."""

    def __init__(self, classes: int = 5, channels: int = 3, make: Callable = lambda logits: logits):
        super().__init__()
        torch.manual_seed(0)
        self.cnn = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.fc = nn.Linear(8, classes)
        self.make = make

    def forward(self, x: Tensor):
        return self.make(self.fc(self.cnn(x).mean((2, 3))))


class Smooth(nn.Module):
    """Has derivatives of every order."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.cnn = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh())
        self.fc = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))

    def forward(self, x: Tensor):
        return self.fc(self.cnn(x).square().mean((2, 3)))


class TinyViT(nn.Module):
    """A vision transformer in timm's names: a class token (or none, and patches are averaged)."""

    def __init__(self, in_front: int = 1, classes: int = 5):
        super().__init__()
        torch.manual_seed(2)
        self.patch_embed = nn.Conv2d(3, 16, 8, 8)
        self.front = nn.Parameter(torch.randn(1, in_front, 16))
        self.pos_embed = nn.Parameter(0.1 * torch.randn(1, 16 + in_front, 16))
        self.blocks = nn.ModuleList(_Block() for _ in range(2))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, classes)

    def forward(self, x: Tensor):
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.front.expand(len(x), -1, -1), tokens], 1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        return self.head(tokens[:, 0] if self.front.shape[1] else tokens.mean(1))


class _Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.qkv, self.proj = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.norm2, self.mlp = (
            nn.LayerNorm(16),
            nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16)),
        )

    def forward(self, x: Tensor):
        queries, keys, values = self.qkv(self.norm1(x)).chunk(3, -1)
        x = x + self.proj((queries @ keys.transpose(1, 2) / 4).softmax(-1) @ values)
        return x + self.mlp(self.norm2(x))


def literal(
    net: nn.Module, layer: str, x: Tensor, classes: list[int], grid: Callable = lambda a: a
) -> Tensor:
    """Grad-CAM as in the paper, for one image after the other."""
    maps: list[Tensor] = []
    mode, kept = net.training, list[Tensor]()
    handle = net.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: (kept.append(output), output.clone())[1]
    )
    net.eval()
    for image, wanted in zip(x, classes, strict=True):
        logit = net(image[None])[0, wanted]
        (slope,) = torch.autograd.grad(logit, kept[-1])
        features, slope = grid(kept[-1]), grid(slope)
        maps.append((slope.mean((2, 3), keepdim=True) * features).sum(1)[0].relu().detach())
    handle.remove()
    net.train(mode)
    return torch.stack(maps)


def state(net: nn.Module):
    """All that an explanation could leave on a network."""
    modules = list(net.modules())
    return (
        [module.training for module in modules],
        [parameter.requires_grad for parameter in net.parameters()],
        [None if parameter.grad is None else parameter.grad.clone() for parameter in net.parameters()],
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules],
        [buffer.clone() for buffer in net.buffers()],
        ["forward" in vars(module) for module in modules],
    )
