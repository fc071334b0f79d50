"""Networks of Torch7's ``nn`` and ``cudnn`` as PyTorch modules: what fb.resnet.torch's ResNets hold."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.adapters.files.torch7.fields import Field
from vlx.adapters.files.weights import fit_weights

_MOST, _DEEPEST = 20_000, 100  # modules; ResNet-200 has about a thousand, ten deep


class Sum(nn.Module):
    """What several modules give for one input, added up: ``ConcatTable`` followed by ``CAddTable``."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(
        self, features: Float[Tensor, "batch channel row col"]
    ) -> Float[Tensor, "batch out rows cols"]:
        """The sum. No branch works in place on what another one reads."""
        return torch.stack([branch(features) for branch in self.branches]).sum(0)


def torch_modules(network: Field, *, before: str) -> nn.Sequential:
    """Rebuild an ``nn.Sequential`` up to its first module of the class ``before``.

    Layers are named by their places, from 0. Raises CheckpointError for a module that is not known or
    whose numbers make no sense, and where there is none of that class.
    """
    modules = network.of("Sequential")["modules"].entries()
    classes = [module.class_name for module in modules]
    if before not in classes:
        raise network.wrong(f"has no {before}")
    _check_size(network)
    return _sequential(modules[: classes.index(before)])


def _check_size(network: Field) -> None:
    """Modules may be referred to many times over, and by themselves: count them as they would be built."""
    waiting, seen = [(network, 0)], 0
    while waiting:
        part, depth = waiting.pop()
        seen += 1
        if seen > _MOST or depth > _DEEPEST:
            raise network.wrong(f"has more than {_MOST} modules, or some more than {_DEEPEST} deep")
        if "modules" in part:
            waiting += [(module, depth + 1) for module in part["modules"].entries()]


def _sequential(modules: list[Field]) -> nn.Sequential:
    made: list[nn.Module] = []
    classes = [module.class_name for module in modules]
    for module, before, after in zip(modules, ["", *classes], [*classes[1:], ""], strict=False):
        if module.class_name == "ConcatTable" and after != "CAddTable":
            raise module.wrong("is not added up by a CAddTable after it")
        if module.class_name == "CAddTable":  # what it adds up is a `Sum` already
            if before != "ConcatTable":
                raise module.wrong("adds nothing up: it does not follow a ConcatTable")
            continue
        build = _BUILD.get(module.class_name)
        if build is None:
            raise module.wrong(f"is a {module.class_name[:80] or 'value of no class'}, which is not known")
        made.append(build(module))
    return nn.Sequential(OrderedDict((str(at), module) for at, module in enumerate(made)))


def _convolution(part: Field) -> nn.Module:
    rows, cols, down, across, above, beside = (
        part[key].whole() for key in ("kH", "kW", "dH", "dW", "padH", "padW")
    )
    groups = part["groups"].whole() if "groups" in part else 1
    weight = part["weight"]
    flat = weight.tensor(2 if isinstance(weight.value, Tensor) and weight.value.ndim == 2 else 4)
    out = len(flat)
    if not (down and across and rows and cols and groups) or flat[0].numel() % (rows * cols):
        raise part.wrong(f"holds no kernels of {rows} x {cols}")
    channels = flat[0].numel() // (rows * cols)
    if out % groups:
        raise part.wrong(f"gives {out} channels in {groups} groups")
    with torch.device("meta"):
        layer = nn.Conv2d(
            channels * groups, out, (rows, cols), (down, across), (above, beside),
            groups=groups, bias="bias" in part,
        )  # fmt: skip
    weights = {"weight": flat.reshape(out, channels, rows, cols)}
    if "bias" in part:
        weights["bias"] = part["bias"].tensor(1)
    return fit_weights(layer, weights, f"{part.file}: {part.where}")


def _norm(part: Field) -> nn.Module:
    mean = part["running_mean"].tensor(1)
    eps = part["eps"].value
    if not isinstance(eps, float | int) or not 0 <= eps < 1:
        raise part["eps"].wrong("is no small number")
    if "running_var" in part:
        variance = part["running_var"].tensor(1)
    else:  # old files keep 1 / sqrt(variance + eps)
        variance = part["running_std"].tensor(1) ** -2 - eps
    weights = {"running_mean": mean, "running_var": variance, "num_batches_tracked": torch.tensor(0)}
    if "weight" in part:
        weights |= {"weight": part["weight"].tensor(1), "bias": part["bias"].tensor(1)}
    with torch.device("meta"):
        layer = nn.BatchNorm2d(len(mean), eps=float(eps), affine="weight" in part)
    return fit_weights(layer, weights, f"{part.file}: {part.where}")


def _max_pool(part: Field) -> nn.Module:
    rows, cols, down, across, above, beside = (
        part[key].whole() for key in ("kH", "kW", "dH", "dW", "padH", "padW")
    )
    if not (rows and cols and down and across) or 2 * above > rows or 2 * beside > cols:
        raise part.wrong("pools over nothing")
    up = "ceil_mode" in part and part["ceil_mode"].value is True
    return nn.MaxPool2d((rows, cols), (down, across), (above, beside), ceil_mode=up)


def _branches(part: Field) -> nn.Module:
    return Sum(*(_sequential([module]) for module in part["modules"].entries()))


_BUILD: dict[str, Callable[[Field], nn.Module]] = {
    "Sequential": lambda part: _sequential(part["modules"].entries()),
    "ConcatTable": _branches,
    "SpatialConvolution": _convolution,
    "SpatialConvolutionMM": _convolution,
    "SpatialBatchNormalization": _norm,
    "SpatialMaxPooling": _max_pool,
    "ReLU": lambda _: nn.ReLU(),  # never in place: a Sum's branches read the same input
    "Identity": lambda _: nn.Identity(),
    "Copy": lambda _: nn.Identity(),
}
