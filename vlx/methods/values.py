"""The methods by their names: what turns activations and gradients into maps, as values."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, Literal, cast

import torch
from torch import Tensor

from vlx.errors import VlxError, near_names
from vlx.methods import cam, fusion, perturbed, smooth
from vlx.methods.class_activation import class_activation_map as _class_activation_map
from vlx.methods.fusion import Fuse
from vlx.methods.guided import deconvolution_rule, guided_rule
from vlx.methods.lens import logit_lens, logit_lens_with, token_activation_map
from vlx.methods.method import Method, plain_rule
from vlx.methods.occlusion.bands import COUNT, Bands
from vlx.methods.occlusion.named import bands_of, called, windows_of
from vlx.methods.occlusion.windows import Windows
from vlx.methods.path import Path

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
reveal = Method("reveal", windows=Windows(what="reveal"))
reveal_and_hide = Method("reveal_and_hide", windows=Windows(what="reveal_and_hide"))
bands = Method("bands", bands=Bands())
layer_cam_fusion = Method("layer_cam_fusion", cam.layer_cam, fuse=fusion.layer_cam_fusion)
refine_cam = Method("refine_cam", cam.grad_cam_pp, fuse=fusion.refine_cam)
integrated_fusion = Method("integrated_fusion", cam.gradient_times_activation, path=Path(), fuse=fusion.mean)
class_activation_map = Method("class_activation_map", perturbed=_class_activation_map)
"""CAM, for classifiers whose maps are averaged for a linear layer."""


_SIGNED = {"kept": torch.positive, "stretched": cam.stretched, "magnitude": torch.abs}


def grad_cam_with(
    *,
    rectify: bool = True,
    absolute: bool = False,
    pool: Literal["mean", "max"] = "mean",
    rule: Literal["guided", "deconvolution"] | None = None,
    signed: Literal["kept", "stretched", "magnitude"] = "kept",
) -> Method:
    """Grad-CAM with the paper's ablations (appendix B: the design choices of Grad-CAM).

    ``rectify=False`` leaves out the ReLU of Eq. 2, ``absolute`` takes the absolute gradients before
    pooling, ``pool="max"`` pools them by their maximum, ``rule`` lets the ReLUs between the scores and the
    layer pass on gradients as in guided backpropagation or deconvolution. Where no ReLU is between them, as
    above the last block of a ResNet, explaining with a rule raises GuidedError.

    The paper does not say what becomes of negative values without the ReLU. ``signed`` keeps them, moves the
    map so that its lowest value is 0 ("stretched", as when a map is scaled from 0 to 1), or takes their
    absolute values ("magnitude"). Kept, they change no place above a threshold over 0, such as the 15 % of
    the maximum that the paper's boxes are cut at. Raises VlxError for another value of ``rule`` or
    ``signed``, and for one of the latter with the ReLU.

    >>> vlx.grad_cam_with(rectify=False, pool="max").name
    'grad_cam_no_relu_max_pool'
    >>> vlx.grad_cam_with(rule="guided").name
    'grad_cam_guided'
    """
    pooled = {"mean": cam.mean_gradient, "max": cam.max_gradient}[pool]
    rules = {None: None, "guided": guided_rule, "deconvolution": deconvolution_rule}
    if rule not in rules:
        raise VlxError(f"no rule {rule!r} for ReLUs: give 'guided', 'deconvolution' or None")
    if signed not in _SIGNED or (rectify and signed != "kept"):
        raise VlxError(
            f"signed {signed!r} with rectify={rectify}: give 'kept', or without the ReLU 'stretched' or "
            "'magnitude'"
        )

    def ablated(activations: Tensor, gradients: Tensor) -> Tensor:
        weights = pooled(gradients.abs() if absolute else gradients)
        combined = cam.weighted_sum(activations, weights)
        return combined.relu() if rectify else combined

    def shown(activations: Tensor, gradients: Tensor) -> Tensor:
        return _SIGNED[signed](ablated(activations, gradients))

    parts = [*(["no_relu"] if not rectify else []), *([signed] if signed != "kept" else [])]
    parts += ["absolute"] if absolute else []
    parts += ["max_pool"] if pool == "max" else []
    parts += [rule] if rule is not None else []
    if not parts:
        return grad_cam
    mean_only = pool == "mean" and not absolute and rule is None
    how = ablated if signed == "kept" else shown
    return Method("_".join(["grad_cam", *parts]), how, needs_mean_only=mean_only, rule_above=rules[rule])


def _ablations() -> dict[str, Method]:
    """What `grad_cam_with` makes, by the names."""
    signs = [(True, "kept"), *((False, one) for one in _SIGNED)]
    every = product(signs, (False, True), ("mean", "max"), (None, "guided", "deconvolution"))
    made = [
        grad_cam_with(
            rectify=rectify,
            signed=cast(Any, signed),
            absolute=absolute,
            pool=cast(Any, pool),
            rule=cast(Any, rule),
        )
        for (rectify, signed), absolute, pool, rule in every
    ]
    return {one.name: one for one in made}


def fused(method: Method, fuse: Fuse = fusion.mean) -> Method:
    """A method on features at several layers at once, whose maps ``fuse`` makes one of, on the finest grid.

    By default it is their mean, each spread so that its sum stays: of integrated gradients it still adds up
    to what the image gave the score. `vlx.methods.fusion` has others. Raises VlxError for a method without a
    map on features alone.

    >>> from vlx.methods import fusion
    >>> vlx.fused(vlx.hires_cam).name, vlx.fused(vlx.grad_cam_pp, fusion.refine_cam).name
    ('fused_hires_cam', 'fused_grad_cam_pp_refine_cam')
    """
    if method.cam is None or method.rule is not None:
        raise VlxError(f"{method.name} has no map on features alone: give one such as vlx.layer_cam")
    how = "" if fuse is fusion.mean else f"_{getattr(fuse, '__name__', 'own')}"
    return replace(method, name=f"fused_{method.name}{how}", fuse=fuse)


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
    name, windows = windows_of("occlusion", size, stride, batch, fill)
    return Method(name, windows=windows)


def reveal_with(
    *,
    size: int | None = None,
    stride: int | None = None,
    batch: int = 16,
    fill: str | Sequence[int] | None = None,
) -> Method:
    """Windows revealed: the score where one window alone is shown, less that of the wholly filled image.

    The latter is ``blank`` of what is explained. Windows lie and the rest is filled as in `occlusion_with`,
    but without sizes they are of 96 pixels, 32 apart, and on an input smaller than 224 of the same share of
    it: little can be told of a window of 35. One as large as the image gives all that the image gives the
    score. Raises VlxError as `occlusion_with` does.

    >>> vlx.reveal_with(size=48, stride=16, fill="blur").name
    'reveal_48_16_blur'
    """
    name, windows = windows_of("reveal", size, stride, batch, fill)
    return Method(name, windows=windows)


def reveal_and_hide_with(
    *,
    size: int | None = None,
    stride: int | None = None,
    batch: int = 16,
    fill: str | Sequence[int] | None = None,
) -> Method:
    """The sum of what a window alone gives the score and what the score loses without it.

    That is the map of `reveal_with` and that of `occlusion_with` by the same windows, in the units of the
    score: the objective of EAGLE (arXiv 2509.22496) for one region, without its search. It takes two runs
    a window. Raises VlxError as `occlusion_with` does.

    >>> vlx.reveal_and_hide_with(size=48).name
    'reveal_and_hide_48_32'
    """
    name, windows = windows_of("reveal_and_hide", size, stride, batch, fill)
    return Method(name, windows=windows)


def bands_with(*, count: int = COUNT, batch: int = 16, fill: str | Sequence[int] | None = None) -> Method:
    """Bands: ``count`` bands over one another and as many beside one another are shown, each alone.

    A pixel has the product of how likely the target is where its row of pixels, and where its column of
    pixels, alone is shown (AnswerMap, 2026); of several words it is the geometric mean of theirs, and
    of targets composed of others the score raised from logarithms, as a share of that of the best band.
    Takes two runs a band and one of the wholly filled image, ``blank``. What is not shown is filled as in
    `occlusion_with`. Raises VlxError for other values.

    >>> vlx.bands_with(count=12).name
    'bands_12'
    """
    name, shown = bands_of(count, batch, fill)
    return Method(name, bands=shown)


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
    reveal,
    reveal_and_hide,
    bands,
)
"""Every method with its usual settings that serves every model."""

OF_SOME = (
    logit_lens,
    logit_lens_with(interference=True),
    logit_lens_with(ranked=True),
    token_activation_map,
    class_activation_map,
)
"""Those that serve models of some kinds alone."""
FUSIONS = (layer_cam_fusion, refine_cam, integrated_fusion)
"""Those that serve a model at several layers."""


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

    Names of `grad_cam_with`, `occlusion_with`, `reveal_with`, `reveal_and_hide_with` and `bands_with` are
    known too, such as grad_cam_max_pool, occlusion_48_16, reveal_blur or bands_12.

    >>> vlx.method_named("hires_cam") is vlx.hires_cam
    True
    >>> vlx.method_named("occlusion_blur").windows.fill
    'blur'
    """
    found = {method.name: method for method in (*METHODS, *OF_SOME, *FUSIONS)}
    if name in found:
        return found[name]
    if name in (made := _ablations()):
        return made[name]
    said = called(name)
    if said is None:
        raise VlxError(f"no method {name!r}{near_names(name, found)}; known: {', '.join(found)}")
    return Method(name, bands=said) if isinstance(said, Bands) else Method(name, windows=said)
