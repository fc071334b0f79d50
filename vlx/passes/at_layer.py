"""Hold on to one tensor of a model while it runs."""

from collections.abc import Callable, Generator, MutableMapping
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn

from vlx.errors import LayerError
from vlx.passes.prepare import prepared
from vlx.passes.site import Layer, Site, find_layer


@contextmanager
def at_layer(
    name: str,
    module: nn.Module,
    site: Site,
    use: Callable[[Tensor], Tensor],
    reached: Callable[[Any], None] = lambda _: None,
) -> Generator[None, None, None]:
    """Replace the tensor of a site by ``use`` of it while the model runs in the block.

    ``reached`` is told what the layer gave, before. Raises LayerError for a layer that runs several times
    where no run was picked, or gives no tensor of floats.
    """
    calls = 0

    def chosen() -> bool:
        nonlocal calls
        calls += 1
        if site.call is None and calls > 1:
            raise LayerError(
                f"layer {name} runs several times: pick a run with Site(…, call=0), 1, …, "
                "or name another layer"
            )
        return site.call is None or calls - 1 == site.call

    def after(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if not chosen():
            return None
        reached(output)
        return _replaced(output, name, site.field, use)

    def before(_module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if not chosen():
            return None
        reached(None)
        if inputs:
            return _replaced(inputs, name, None, use), named
        return inputs, dict(_replaced(dict(named), name, site.field, use))

    # Before the model's own hooks: some models collect their features by hooks of this kind.
    if site.side == "output":
        handle = module.register_forward_hook(after, prepend=True)
    else:
        handle = module.register_forward_pre_hook(before, prepend=True, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def output_at(model: nn.Module, layer: Layer | Site, *inputs: Any, **named: Any) -> Tensor:
    """The output of a layer on some inputs, in the graph of those inputs; nothing above it runs.

    Of a layer that runs several times it is the first, unless a `Site` says otherwise. Raises
    LayerError as `capture` does.

    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> vlx.output_at(net, "0", torch.ones(1, 3, 8, 8)).shape
    torch.Size([1, 4, 6, 6])
    """
    site = layer if isinstance(layer, Site) else Site(layer, call=0)
    name, module = find_layer(model, site.layer)

    def stop(found: Tensor) -> Tensor:
        raise _Reached(site.unpack(found))

    with prepared(model), at_layer(name, module, site, stop):
        try:
            model(*inputs, **named)
        except _Reached as reached:
            return reached.output
    raise LayerError(f"layer {name} was not reached: it takes no part in this run")


class _Reached(BaseException):
    """Ends a run at the layer; no model's own handler of Exception may catch it."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


def _replaced(given: Any, name: str, field: str | None, use: Callable[[Tensor], Tensor]) -> Any:
    """What a layer gave, with the tensor that is meant replaced by ``use`` of it."""
    if isinstance(given, tuple | list) and given and isinstance(given[0], Tensor):
        return _replaced_in(given, name, field, use)
    if isinstance(given, MutableMapping):  # the outputs of transformers are mappings
        fields = cast("MutableMapping[str, Any]", given)
        tensors = [key for key, value in fields.items() if isinstance(value, Tensor)]
        if field in tensors or (field is None and tensors):
            fields[field or tensors[0]] = use(fields[field or tensors[0]])
            return fields
    if not (isinstance(given, Tensor) and given.is_floating_point()):
        raise LayerError(f"layer {name} gives {type(given).__name__}, not a tensor of floats")
    return use(given)


def _replaced_in(
    given: "tuple[Any, ...] | list[Any]", name: str, field: str | None, use: Callable[[Tensor], Tensor]
) -> Any:
    """Several tensors with one replaced: the first, or that of a namedtuple's field; all of the same type."""
    names: tuple[str, ...] = getattr(given, "_fields", ())
    at = 0 if field is None or not names else names.index(field) if field in names else -1
    if at < 0 or not isinstance(given[at], Tensor):
        raise LayerError(f"layer {name} gives no tensor {field!r}; its fields are {', '.join(names)}")
    parts = [use(part) if number == at else part for number, part in enumerate(given)]
    kind: Any = type(given)
    return kind(*parts) if names else kind(parts)
