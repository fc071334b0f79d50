"""Methods on features along a path, with other settings than the usual ones."""

from dataclasses import replace

from vlx.errors import VlxError
from vlx.methods.path import Baseline, Nodes, Path
from vlx.methods.values import Method, integrated_gradients


def integrated_with(
    method: Method = integrated_gradients,
    *,
    nodes: int = 3,
    rule: Nodes = "midpoint",
    baseline: Baseline = "zero",
    tolerance: float | None = None,
) -> Method:
    """A method on features along a path of features, whose gradients are averaged over ``nodes``.

    ``rule`` places them ("midpoint", "gauss", or "graded": near the start), ``baseline`` is where the path
    begins, and with ``tolerance`` nodes are doubled until gradients times features add up to what they must,
    up to so many nats; see `vlx.methods.path.Path`.
    Raises VlxError for a method that needs no gradients at features.

    >>> vlx.integrated_with(nodes=8, rule="gauss").name
    'integrated_gradients_8_gauss'
    >>> vlx.integrated_with(vlx.layer_cam).name
    'integrated_layer_cam_3'
    """
    if method.cam is None or method.rule is not None or method.rule_above is not None:
        raise VlxError(f"{method.name} has no map on features alone: give one such as vlx.layer_cam")
    name = method.name if method.name.startswith("integrated_") else f"integrated_{method.name}"
    known = getattr(baseline, "__name__", "own") if callable(baseline) else baseline
    parts = [name, str(nodes), *([rule] if rule != "midpoint" else []), *([known] if known != "zero" else [])]
    parts += [f"within_{tolerance:g}"] if tolerance is not None else []
    return replace(method, name="_".join(parts), path=Path(nodes, rule, baseline, tolerance))
