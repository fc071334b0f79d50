"""Networks as Torch7 writes them: `Lua` objects with the fields that fb.resnet.torch's modules have."""

from torch import nn

from vlx.adapters.files.torch7.reader import Lua


def table(*values: object) -> dict[int, object]:
    """A Lua table of these values, numbered from 1."""
    return dict(enumerate(values, 1))


def sequential(*modules: Lua) -> Lua:
    return Lua("nn.Sequential", {"modules": table(*modules), "train": False})


def convolution(layer: nn.Conv2d, *, kind: str = "cudnn.SpatialConvolution") -> Lua:
    fields = {
        "nInputPlane": layer.in_channels, "nOutputPlane": layer.out_channels, "groups": layer.groups,
        "kW": layer.kernel_size[1], "kH": layer.kernel_size[0], "dW": layer.stride[1], "dH": layer.stride[0],
        "padW": layer.padding[1], "padH": layer.padding[0], "weight": layer.weight.detach().float(),
    }  # fmt: skip
    if layer.bias is not None:
        fields["bias"] = layer.bias.detach().float()
    return Lua(kind, fields)


def norm(layer: nn.BatchNorm2d) -> Lua:
    fields = {"eps": layer.eps, "momentum": 0.1, "affine": True}
    names = ("weight", "bias", "running_mean", "running_var")
    fields |= {name: getattr(layer, name).detach().float() for name in names}
    return Lua("cudnn.SpatialBatchNormalization", fields)


def relu() -> Lua:
    return Lua("cudnn.ReLU", {"inplace": True})


def max_pool(size: int, stride: int, padding: int, *, ceil: bool = False) -> Lua:
    fields = {"kW": size, "kH": size, "dW": stride, "dH": stride, "padW": padding, "padH": padding}
    return Lua("nn.SpatialMaxPooling", {**fields, "ceil_mode": ceil})


def residual(way: Lua, shortcut: Lua) -> Lua:
    """What is added up at the end of a block."""
    both = Lua("nn.ConcatTable", {"modules": table(way, shortcut)})
    return sequential(both, Lua("nn.CAddTable", {"inplace": True}))


def classifier() -> tuple[Lua, ...]:
    return (Lua("cudnn.SpatialAveragePooling", {"kW": 7, "kH": 7}), Lua("nn.View", {}), Lua("nn.Linear", {}))
