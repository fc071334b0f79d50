"""Methods: what turns activations and gradients into maps, as values.

A method has a map on the feature grid (``cam``), a rule for gradients at the pixels (``rule``), or
both; with both, the map is laid over the pixels and multiplied in (Guided Grad-CAM, paper 3.1). Or it
has ``windows`` to hide, and needs neither features nor gradients.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast

from torch import Tensor

from vlx.errors import VlxError, near_names
from vlx.methods import cam, perturbed, smooth
from vlx.methods.guided import Rule, deconvolution_rule, guided_rule
from vlx.methods.occlusion.fills import NAMES, checked_fill, fill_name
from vlx.methods.occlusion.windows import SIZE, STRIDE, Windows
from vlx.methods.path import Baseline, Nodes, Path
from vlx.methods.perturbed import Perturbed

plain_rule = Rule("plain", lambda grad_input, _grad_output: grad_input)
"""The true gradient; nothing is rewritten."""


@dataclass(frozen=True)
class Method:
    """A way to explain a score; ``cam`` maps (activations, gradients) to a map on the grid.

    >>> mine = vlx.Method("mine", lambda activations, gradients: (activations * gradients).sum(-3))
    >>> vlx.explain_caption(captioner, photo, "a dog", method=mine).provenance.method
    'mine'
    """

    name: str
    cam: Callable[[Tensor, Tensor], Tensor] | None = None
    rule: Rule | None = None
    windows: Windows | None = None
    needs_mean_only: bool = False
    """Whether ``cam`` takes of the gradients only their mean over places."""
    perturbed: Perturbed | None = None
    """Maps of an item's targets from changed images or features, which are scored anew."""
    path: Path | None = None
    """The path along which gradients are averaged; ``cam`` is then given what the features differ by from
    those at its start, in the place of activations."""

    @property
    def guidance(self) -> Rule | None:
        """The rule that rewrites ReLUs, if any."""
        return None if self.rule is plain_rule else self.rule


grad_cam = Method("grad_cam", cam.grad_cam, needs_mean_only=True)
hires_cam = Method("hires_cam", cam.hires_cam)
grad_cam_pp = Method("grad_cam_pp", cam.grad_cam_pp)
layer_cam = Method("layer_cam", cam.layer_cam)
xgrad_cam = Method("xgrad_cam", cam.xgrad_cam)
eigen_cam = Method("eigen_cam", cam.eigen_cam)
gradient = Method("gradient", rule=plain_rule)
guided_backprop = Method("guided_backprop", rule=guided_rule)
deconvolution = Method("deconvolution", rule=deconvolution_rule)
guided_grad_cam = Method("guided_grad_cam", cam.grad_cam, guided_rule, needs_mean_only=True)
deconvolution_grad_cam = Method(
    "deconvolution_grad_cam", cam.grad_cam, deconvolution_rule, needs_mean_only=True
)
ablation_cam = Method("ablation_cam", perturbed=perturbed.ablation_cam)
score_cam = Method("score_cam", perturbed=perturbed.score_cam)
rise = Method("rise", perturbed=perturbed.rise)
smooth_gradient = Method("smooth_gradient", perturbed=smooth.smooth_gradient)
integrated_gradients = Method("integrated_gradients", cam.gradient_times_activation, path=Path())
integrated_grad_cam = Method("integrated_grad_cam", cam.grad_cam, needs_mean_only=True, path=Path())
occlusion = Method("occlusion", windows=Windows())


def grad_cam_with(
    *, rectify: bool = True, absolute: bool = False, pool: Literal["mean", "max"] = "mean"
) -> Method:
    """Grad-CAM with the paper's ablations (appendix: the design choices of Grad-CAM).

    ``rectify=False`` leaves out the ReLU of Eq. 2, ``absolute`` takes the absolute gradients before
    pooling, ``pool="max"`` pools them by their maximum.

    >>> vlx.grad_cam_with(rectify=False, pool="max").name
    'grad_cam_no_relu_max_pool'
    """
    pooled = {"mean": cam.mean_gradient, "max": cam.max_gradient}[pool]

    def ablated(activations: Tensor, gradients: Tensor) -> Tensor:
        weights = pooled(gradients.abs() if absolute else gradients)
        combined = cam.weighted_sum(activations, weights)
        return combined.relu() if rectify else combined

    parts = [*(["no_relu"] if not rectify else []), *(["absolute"] if absolute else [])]
    parts += ["max_pool"] if pool == "max" else []
    if not parts:
        return grad_cam
    return Method("_".join(["grad_cam", *parts]), ablated, needs_mean_only=pool == "mean" and not absolute)


def integrated_with(
    method: Method = integrated_gradients,
    *,
    nodes: int = 3,
    rule: Nodes = "midpoint",
    baseline: Baseline = "zero",
    tolerance: float | None = None,
) -> Method:
    """A method on features along a path of features, whose gradients are averaged over ``nodes``.

    ``rule`` places them, ``baseline`` is where the path begins, and with ``tolerance`` nodes are doubled
    until gradients times features add up to what they must, up to so many nats; see `vlx.methods.path.Path`.
    Raises VlxError for a method that needs no gradients at features.

    >>> vlx.integrated_with(nodes=8, rule="gauss").name
    'integrated_gradients_8_gauss'
    >>> vlx.integrated_with(vlx.layer_cam).name
    'integrated_layer_cam_3'
    """
    if method.cam is None or method.rule is not None:
        raise VlxError(f"{method.name} has no map on features alone: give one such as vlx.layer_cam")
    name = method.name if method.name.startswith("integrated_") else f"integrated_{method.name}"
    known = getattr(baseline, "__name__", "own") if callable(baseline) else baseline
    parts = [name, str(nodes), *([rule] if rule != "midpoint" else []), *([known] if known != "zero" else [])]
    parts += [f"within_{tolerance:g}"] if tolerance is not None else []
    return replace(method, name="_".join(parts), path=Path(nodes, rule, baseline, tolerance))


def rise_with(*, count: int = 4000, cells: int = 7, shown: float = 0.5, seed: int = 0) -> Method:
    """RISE with so many random masks of ``cells`` x ``cells``, each shown with probability ``shown``.

    >>> vlx.rise_with(count=500).name
    'rise_500'
    """
    masked = partial(perturbed.rise, count=count, cells=cells, shown=shown, seed=seed)
    others = [f"{value:g}" for value, usual in ((cells, 7), (shown, 0.5), (seed, 0)) if value != usual]
    return Method("_".join(["rise", str(count), *others]), perturbed=masked)


def occlusion_with(
    *,
    size: int | None = None,
    stride: int | None = None,
    batch: int = 16,
    fill: str | Sequence[int] | None = None,
) -> Method:
    """Occlusion by squares of ``size`` pixels of the network input, ``stride`` apart (section 5.3).

    Without them 35 and 8, as in the paper, and on an input smaller than 224 pixels the same share of it.
    ``batch`` masked inputs are scored in one run. Squares are filled with ``fill``: a colour, as red, green
    and blue of 0 to 255 or a name such as "#808080" or "white"; "mean", the mean colour of the image;
    "blur", the image strongly blurred; "zero", what the network sees as 0. Without it they have the colour
    that the model's preprocessing subtracts where that is the mean colour of its data (the paper's
    zeros), and the mean colour of the image where it subtracts a middle grey, nothing, or does not say.
    Raises VlxError for other values.

    >>> vlx.occlusion_with(size=48, stride=16).name
    'occlusion_48_16'
    >>> vlx.occlusion_with(fill="#808080").name
    'occlusion_35_8_808080'
    """
    if any(value is not None and value < 1 for value in (size, stride, batch)):
        raise VlxError(f"size {size}, stride {stride} and batch {batch} must be 1 or more")
    windows = Windows(size, stride, batch, checked_fill(fill))
    parts = ["occlusion", str(size or SIZE), str(stride or STRIDE), fill_name(windows.fill)]
    return Method("_".join(filter(None, parts)), windows=windows)


METHODS = (
    grad_cam,
    hires_cam,
    grad_cam_pp,
    layer_cam,
    xgrad_cam,
    eigen_cam,
    gradient,
    guided_backprop,
    deconvolution,
    guided_grad_cam,
    deconvolution_grad_cam,
    integrated_gradients,
    integrated_grad_cam,
    ablation_cam,
    score_cam,
    rise,
    smooth_gradient,
    occlusion,
)
"""Every method with its usual settings."""


def as_method(given: Any) -> Method:
    """A method by itself or by its name. Raises VlxError naming near ones."""
    if isinstance(given, str):
        return method_named(given)
    if not isinstance(given, Method):
        raise VlxError(f"{given!r} is no method: give one such as vlx.grad_cam, or its name")
    return given


def as_methods(given: Any) -> list[Method]:
    """One method or several, each by itself or by its name. Raises VlxError naming near ones."""
    if isinstance(given, str | Method) or not isinstance(given, Iterable):
        return [as_method(given)]
    found = [as_method(one) for one in cast("Iterable[Any]", given)]
    if not found:
        raise VlxError("no methods to explain with: give at least one, such as vlx.grad_cam")
    return found


def method_named(name: str) -> Method:
    """Find a method by its name, for the command line. Raises VlxError naming near ones.

    Names of `occlusion_with` are known too, such as occlusion_48_16 or occlusion_blur.

    >>> vlx.method_named("hires_cam") is vlx.hires_cam
    True
    >>> vlx.method_named("occlusion_blur").windows.fill
    'blur'
    """
    found = {method.name: method for method in METHODS}
    if name not in found:
        varied = _OCCLUSION.fullmatch(name)
        if varied:
            return _occlusion_named(name, *varied.groups())
        raise VlxError(f"no method {name!r}{near_names(name, found)}; known: {', '.join(found)}")
    return found[name]


_OCCLUSION = re.compile(rf"occlusion(?:_([1-9]\d*)_([1-9]\d*))?(?:_({'|'.join(NAMES)}|[0-9a-f]{{6}}))?")


def _occlusion_named(name: str, size: str | None, stride: str | None, fill: str | None) -> Method:
    """Occlusion with what its name says; it keeps the name."""
    pixels = {} if size is None or stride is None else {"size": int(size), "stride": int(stride)}
    told = fill if fill is None or fill in NAMES else f"#{fill}"
    return replace(occlusion_with(**pixels, fill=told), name=name)
