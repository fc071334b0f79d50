"""The door for a plain network: a batch of tensors in, a map for each item out."""

from functools import partial
from typing import Any, Literal, overload

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlx.asking import joined
from vlx.errors import LayerError, VlxError
from vlx.explain import raw_maps_with_evidence
from vlx.images.frame import Frame, Size
from vlx.methods.values import Method, as_method, grad_cam
from vlx.network.clips import clip_maps, need_for_clips
from vlx.network.habits import need_network, need_no_layer, need_one_layer, with_habits
from vlx.network.inputs import Call, Inputs, call_of
from vlx.network.targets import Values, need_gradient, values_of
from vlx.passes.at_layer import output_at
from vlx.passes.capture import Seen, again, capture
from vlx.passes.chosen_layer import choose_layer, is_relative
from vlx.passes.clips import clip_places, folded
from vlx.passes.forward import Below, Grid, Pass
from vlx.passes.places import places
from vlx.passes.prepare import prepared
from vlx.passes.reading import Choices, Reading
from vlx.passes.site import Layer, Site
from vlx.passes.targets import label
from vlx.passes.unwrap import unwrapped

VALUE = Reading("label", (), Choices(("value",)), odds="none")  # the one score of an item: its target's value


@overload
def explain_model(
    net: nn.Module | Any,
    x: Inputs | Any,
    targets: Any = None,
    layer: Layer | Site | Any = None,
    *,
    method: Method | str = grad_cam,
    grid: Size | Grid | Any = None,
    create_graph: bool = False,
    evidence: Literal[False] = False,
) -> Float[Tensor, "batch *plane"]: ...
@overload
def explain_model(
    net: nn.Module | Any,
    x: Inputs | Any,
    targets: Any = None,
    layer: Layer | Site | Any = None,
    *,
    method: Method | str = grad_cam,
    grid: Size | Grid | Any = None,
    create_graph: bool = False,
    evidence: Literal[True],
) -> tuple[Float[Tensor, "batch *plane"], Float[Tensor, " batch"] | None]: ...
@with_habits
def explain_model(
    net: nn.Module | Any,
    x: Inputs | Any,
    targets: Any = None,
    layer: Layer | Site | Any = None,
    *,
    method: Method | str = grad_cam,
    grid: Size | Grid | Any = None,
    create_graph: bool = False,
    evidence: bool = False,
) -> Any:
    """Explain a plain network on a batch of tensors: one raw map for each item, on its device.

    ``x`` is a batch (batch, channel, height, width), normalised as the network learnt it, or, for a network
    of several inputs, a tuple or a mapping of all of them. ``targets`` are the index of a class for all
    items, or one for each (a list, an array, a tensor); `vlx.label` of an index, or a sum or difference of
    such; or a function of the scores (batch, class) to one value an item, or to the sum of them; in a list,
    of one item's scores each. By default it is the likeliest class of each item. Of several things that a
    network returns, the first or the one called logits, out or scores are its scores; where that does not
    show, a function is given all.

    ``layer`` is a dotted name, the module itself, "last/2" (see `choose_layer`), or a `Site`; by default the
    last map before the last
    pooling, on which all scores depend, such as ``layer4`` of a ResNet, and in a network of tokens the last
    norm whose patches have a gradient: the first of the last block where only a class token is read, else the
    last of all. Rows and columns are told by shapes; ``grid`` says them, (rows, cols), or turns (batch,
    *feature) into (batch, channel, row, col).

    Methods that fuse maps of several layers, such as `vlx.layer_cam_fusion`, take a list of them; the network
    runs once for each.

    ``x`` may be clips, (batch, channel, time, height, width), for networks whose features have a time. Their
    maps are (batch, time, row, col), and (batch, channel, time, height, width) of methods that reach the
    pixels; ``grid`` is then (time, rows, cols), or turns into (batch, channel, time, row, col). Methods that
    hide or show parts of an image, or fuse layers, refuse clips. See `explain_clip`, which says where the
    places of maps lie.

    Maps are (batch, row, col) on the grid of the layer, (batch, channel, height, width) for methods that
    reach the pixels, and (batch, height, width) for those that hide or show them: neither resized nor
    normalised. They are those of evaluation mode, whatever the network is in, so that no item influences
    another; the network is left as it was. With ``create_graph`` they are differentiable, by the weights and
    by ``x``, for methods on features.

    With ``evidence`` there is a pair: the maps, and how much of the value of each item's target comes from
    the image, (batch): the value less that for features of 0, so of a class a difference of logits. It takes
    one more run of the network for each item; with ``create_graph`` it is None.

    Raises VlxError, a LayerError where it is about the layer, with what would work.

    >>> from torchvision.models import resnet18
    >>> net, x = resnet18(num_classes=10), torch.rand(2, 3, 64, 96)
    >>> vlx.explain_model(net, x, targets=[3, 5], layer="layer3").shape
    torch.Size([2, 4, 6])
    >>> vlx.explain_model(net, x, lambda scores: scores[:, 3] - scores[:, 5], method="layer_cam").shape
    torch.Size([2, 2, 3])
    >>> maps, from_image = vlx.explain_model(net, x, 3, evidence=True)
    >>> from_image.shape
    torch.Size([2])
    """
    need_network(net)
    network: nn.Module = unwrapped(net)
    how = as_method(method)
    if create_graph and (how.cam is None or how.rule is not None or how.rule_above is not None):
        raise VlxError(
            f"maps of {how.name} cannot be differentiated: with create_graph use a method on features"
        )
    need_no_layer(network, targets)
    several: list[Any] = list(layer) if how.fuse and isinstance(layer, list | tuple) else [layer]
    for one in several:
        need_one_layer(one)
    call = call_of(network, x)
    if not create_graph:
        call = call.with_pixels(call.pixels.detach())
    if call.clip is not None:
        need_for_clips(how)
    passes = [passed_of(network, one, call, targets, grid, create_graph) for one in several]
    maps, told = maps_of(joined([one for one, _ in passes]), passes[0][1], how, evidence)
    return (maps, told) if evidence else maps


def maps_of(
    passed: Pass, clip: Grid | None, how: Method, evidence: bool
) -> tuple[Float[Tensor, "batch *plane"], Float[Tensor, " batch"] | None]:
    """The maps of a Pass, of a clip in time, and with ``evidence`` what comes from the image."""
    wanted = [[label(0).resolve(VALUE)]] * passed.batch
    make = partial(raw_maps_with_evidence, passed, wanted, evidence=evidence)
    maps, told = make(how) if clip is None else clip_maps(passed, clip, how, make)
    return maps[0], told if told is None else told[0]


def passed_of(
    network: nn.Module,
    layer: Layer | Site | None,
    call: Call,
    targets: Any,
    grid: Size | Grid | Any,
    create_graph: bool,
) -> tuple[Pass, Grid | None]:
    """One run of the network, cut at a layer; of clips, how its features lie in time, rows and columns."""
    site = _site(network, layer, call)
    with capture(network, site, create_graph=create_graph) as seen:
        output = call.of(network)
        value = values_of(targets, output, call.batch)
        scores = _scores(value(output, range(call.batch)))
        need_gradient(scores, output)
    _need_items(seen, call)
    clip = None if call.clip is None else clip_places(seen.features, call.clip, grid)
    passed = Pass(
        features=seen.features,
        scores=scores,
        readings=(VALUE,) * call.batch,
        frames=(Frame.resized(call.size, call.size),) * call.batch,
        grid=places(seen.features, call.size, grid) if clip is None else folded(clip),
        below=Below(
            call.pixels,
            encode=partial(_encoded, network, site, call),
            rescore=partial(_rescored, network, call, value),
            cnn=network if call.alone else None,
        ),
        above=None if create_graph else again(seen, partial(_again, network, call, value)),
        quantity="logit",
        model=type(network).__name__,
        layer=seen.layer,
        create_graph=create_graph,
    )
    return passed, clip


def _site(network: nn.Module, layer: Layer | Site | None, call: Call) -> Site:
    if isinstance(layer, Site):
        return layer
    if layer is not None and not is_relative(network, layer):
        return Site(layer)
    first = call.with_pixels(call.pixels[:1].detach(), 0)
    return Site(choose_layer(network, layer, *first.positional, **first.named))


def _need_items(seen: Seen, call: Call) -> None:
    if len(seen.features) != call.batch:
        raise LayerError(
            f"layer {seen.layer} gives {tuple(seen.features.shape)} for a batch of {call.batch}: name one "
            "that gives a row for each item, or say how with Site(…, unpack=…, pack=…)"
        )


def _encoded(network: nn.Module, site: Site, call: Call, pixels: Tensor) -> Tensor:
    other = call.with_pixels(pixels)
    return output_at(network, site, *other.positional, **other.named)


def _again(
    network: nn.Module, call: Call, value: Values, _seen: Seen, position: int, count: int
) -> Float[Tensor, "count 1 1"]:
    """The scores of copies of an item."""
    pixels = call.pixels[position].expand(count, *call.pixels.shape[1:])
    return _scores(value(call.with_pixels(pixels, position).of(network), [position] * count))


def _rescored(
    network: nn.Module, call: Call, value: Values, pixels: Tensor, position: int
) -> Float[Tensor, "batch 1 1"]:
    with prepared(network), torch.no_grad():
        output = call.with_pixels(pixels, position).of(network)
        return _scores(value(output, [position] * len(pixels)))


def _scores(values: Float[Tensor, " batch"]) -> Float[Tensor, "batch 1 1"]:
    """The values of the targets as the only score of each item, in float32 at least."""
    return values[:, None, None].to(torch.promote_types(values.dtype, torch.float32))
