"""The calls of torch that are known on changed maps, read from their arguments; None stands for others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vlx.methods.occlusion.boxes import Axis, Images
from vlx.methods.occlusion.changed import RELU, Convolution, Each, First, Key, Run, Window

_EACH = frozenset(
    (
        "relu", "relu6", "hardtanh", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "hardswish",
        "hardsigmoid", "tanh", "sigmoid", "softplus", "softsign", "mish", "prelu", "local_response_norm",
    )
)  # fmt: skip
"""Operations that look at each place alone."""
_SMALL = 4096

Values = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Known:
    """The tensors that a network has, and how its maps are to lie in memory."""

    own: Mapping[int, Tensor]
    """Its parameters and buffers by their identity."""
    first: First
    contiguous: bool
    """Whether whole maps lie channel by channel."""

    def key(self, given: Any) -> Key | None:
        """What an argument is known by: tensors of the network by identity, small ones by their values."""
        if not isinstance(given, Tensor):
            return (given,) if given is None or isinstance(given, bool | int | float | str) else None
        if id(given) in self.own:
            return (id(given), None if given.is_inference() else given._version)  # pyright: ignore
        if type(given) is not Tensor or given.numel() > _SMALL:
            return None
        values = given.detach().cpu().contiguous().view(torch.uint8) if given.ndim else given.detach().cpu()
        return (given.dtype, given.shape, values.numpy().tobytes() if given.ndim else values.item())

    def keys(self, *given: Any) -> Key | None:
        """What several arguments are known by."""
        found = [self.key(one) for one in given]
        return None if None in found else tuple(found)

    def kept(self, given: Tensor) -> Tensor:
        """A tensor of the same values that stays as it is."""
        if id(given) in self.own:
            return given
        return self.first.of(("values", self.key(given)), None, given.detach().clone)


def each_of(name: str, call: Any, args: Sequence[Any], named: Values, known: Known) -> Each | None:
    """An operation at each place alone, from its call."""
    if name == "batch_norm":
        return _norm(call, args, named, known)
    others = {key: value for key, value in named.items() if key not in ("input", "inplace")}
    tensors = [one for one in (*args[1:], *others.values()) if isinstance(one, Tensor)]
    keys = known.keys(*args[1:], *others.values())
    if name not in _EACH or keys is None or (tensors and name != "prelu") or "out" in named:
        return None
    rest, key = args[1:], (name, *others, *keys)
    if name == "relu" and not others:
        return Each(lambda images, mine: functional.relu(images, inplace=mine), RELU)
    if "inplace" in named:
        return Each(lambda images, mine: call(images, *rest, **others, inplace=mine), key)
    plain: Any = getattr(functional, name, None) or getattr(torch, name)
    return Each(lambda images, mine: plain(images, *rest, **others), key)


def scaled(run: Callable[[Images], Images], key: Key) -> Each:
    """An operation with a number, or a value for each channel."""
    return Each(lambda images, _mine: run(images), key)


def picked(channels: slice) -> Each:
    """Some of the channels."""
    key = ("channels", channels.start, channels.stop, channels.step)
    return Each(lambda images, _mine: images[:, channels].clone(), key)


def _norm(call: Any, args: Sequence[Any], named: Values, known: Known) -> Each | None:
    """Normalisation with means and variances that are known."""
    if call is not functional.batch_norm:
        return None
    given = _bound(
        ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"), args, named
    )
    mean, variance, weight, bias = (given.get(at) for at in ("running_mean", "running_var", "weight", "bias"))
    eps = given.get("eps", 1e-5)
    keys = known.keys(mean, variance, weight, bias, eps)
    if given.get("training", False) or mean is None or variance is None or keys is None:
        return None

    def norm() -> tuple[Tensor, Tensor]:
        scale = (variance + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        return scale, (-mean * scale if bias is None else bias - mean * scale)

    def run(images: Images, _mine: bool) -> Images:
        return functional.batch_norm(images, mean, variance, weight, bias, False, 0.0, eps)

    return Each(run, ("batch_norm", *keys), norm)


def convolution(args: Sequence[Any], named: Values, known: Known) -> Window | None:
    """A convolution with a weight of the network."""
    given = _bound(("input", "weight", "bias", "stride", "padding", "dilation", "groups"), args, named)
    weight, bias, groups = given["weight"], given.get("bias"), given.get("groups", 1)
    stride, dilation = (_pair(given.get(at, 1)) for at in ("stride", "dilation"))
    kernel = weight.shape[2:]
    padding: Any = given.get("padding", 0)
    if isinstance(padding, str):
        around = [(size - 1) * step for size, step in zip(kernel, dilation, strict=True)]
        if padding == "same" and any(length % 2 for length in around):
            return None
        padding = [length // 2 if padding == "same" else 0 for length in around]
    padding = _pair(padding)
    if id(weight) not in known.own or not (bias is None or id(bias) in known.own):
        return None

    fused = _fused(weight)

    def laid(weight: Tensor) -> Tensor:
        if not fused:
            return weight.contiguous(memory_format=torch.channels_last)
        return torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, dilation, groups, [])

    def of(weight: Tensor, bias: Tensor | None, rectified: bool) -> Run:
        def run(images: Images, padding: tuple[int, int]) -> Images:
            if fused:
                then = "relu" if rectified else "none"
                return torch.ops.mkldnn._convolution_pointwise(
                    images, weight, bias, padding, stride, dilation, groups, then, [], ""
                )
            found = functional.conv2d(images, weight, bias, stride, padding, dilation, groups)
            return functional.relu_(found) if rectified else found

        return run

    key = ("conv2d", *(known.keys(weight, bias) or ()), stride, padding, dilation, groups)
    axes = _axes(kernel, stride, padding, dilation)
    plain = of(weight, bias, False)
    return Convolution(key, axes, False, 0.0, plain, weight=weight, bias=bias, laid=laid, of=of)


def _fused(weight: Tensor) -> bool:
    """Whether oneDNN has a convolution of a weight that is laid out once, with a ReLU in the same pass."""
    return (
        weight.dtype == torch.float32
        and weight.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
    )


def max_pool(args: Sequence[Any], named: Values, _known: Known) -> Window | None:
    """A pool of the largest."""
    order = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given = _bound(order, args, named)
    if given.get("return_indices", False):
        return None
    kernel, stride, padding, dilation, ceil = _pooling(given)

    def run(images: Images, padding: tuple[int, int]) -> Images:
        return functional.max_pool2d(images, kernel, stride, padding, dilation, ceil)

    key = ("max_pool2d", kernel, stride, padding, dilation, ceil)
    return Window(key, _axes(kernel, stride, padding, dilation), ceil, -torch.inf, run)


def average_pool(args: Sequence[Any], named: Values, _known: Known) -> Window | None:
    """A pool of means."""
    order = (
        "input",
        "kernel_size",
        "stride",
        "padding",
        "ceil_mode",
        "count_include_pad",
        "divisor_override",
    )
    given = _bound(order, args, named)
    kernel, stride, padding, dilation, ceil = _pooling(given)
    counted, divisor = given.get("count_include_pad", True), given.get("divisor_override")

    def run(images: Images, padding: tuple[int, int]) -> Images:
        return functional.avg_pool2d(images, kernel, stride, padding, ceil, counted, divisor)

    key = ("avg_pool2d", kernel, stride, padding, ceil, counted, divisor)
    even = not ceil and (counted or not any(padding))
    return Window(key, _axes(kernel, stride, padding, dilation), ceil, 0.0, run, even)


WINDOWS: Mapping[str, Callable[[Sequence[Any], Values, Known], Window | None]] = {
    "conv2d": convolution, "max_pool2d": max_pool, "avg_pool2d": average_pool,
}  # fmt: skip


def owned(network: nn.Module) -> dict[int, Tensor]:
    """The parameters and buffers of a network by their identity."""
    return {id(one): one for some in (network.parameters(), network.buffers()) for one in some}


def _pooling(
    given: Values,
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int], bool]:
    """Kernel, stride, padding and dilation of a pool, and whether it rounds up."""
    kernel = _pair(given["kernel_size"])
    stride = given.get("stride")
    stride = kernel if stride is None or stride == [] else _pair(stride)
    return (
        kernel,
        stride,
        _pair(given.get("padding", 0)),
        _pair(given.get("dilation", 1)),
        given.get("ceil_mode", False),
    )


def _axes(
    kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> tuple[Axis, Axis]:
    rows, cols = (Axis((kernel[at] - 1) * dilation[at] + 1, stride[at], padding[at]) for at in (0, 1))
    return rows, cols


def _pair(given: Any) -> tuple[int, int]:
    if isinstance(given, int):
        return given, given
    return (given[0], given[-1])


def _bound(order: Sequence[str], args: Sequence[Any], named: Values) -> dict[str, Any]:
    """Arguments by their names."""
    return {**dict(zip(order, args, strict=False)), **named}
