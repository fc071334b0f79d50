"""Guided backpropagation and deconvolution: other rules for the backward pass of a ReLU.

The rules are applied to the recorded graph, not to the model: every node of the graph that is a
ReLU is given a hook for the time of one backward pass. So modules, functions, in-place
operations, ``clamp(min=0)``, ReLU6 and reused modules are all caught, and nothing is edited.
A ReLU written as ``x * (x > 0)`` or ``torch.maximum`` cannot be told from other arithmetic.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vlx.errors import GuidedError


@dataclass(frozen=True)
class Rule:
    """What a ReLU passes down: a function of its true input gradient and its output gradient."""

    name: str
    rewrite: Callable[[Tensor, Tensor], Tensor]


guided_rule = Rule("guided", lambda grad_input, _grad_output: grad_input.clamp(min=0))
"""Pass where the input was positive and the gradient is (Springenberg et al. 2015)."""

deconvolution_rule = Rule("deconvolution", lambda _grad_input, grad_output: grad_output.clamp(min=0))
"""Pass where the gradient is positive, whatever the input was (Zeiler and Fergus 2014)."""

_BOUNDS = {
    "ReluBackward0": None,
    "HardtanhBackward0": "_saved_min_val",
    "ClampBackward1": "_saved_min",
    "ClampMinBackward0": "_saved_min",
    "ThresholdBackward0": "_saved_threshold",
}


@contextmanager
def ruled(roots: Iterable[Tensor], rule: Rule | None) -> Generator[int, None, None]:
    """Apply a rule to every ReLU in the graphs below some tensors while the block lasts.

    Yields how many ReLUs were caught; with no rule, does nothing and yields 0.
    """
    with ExitStack() as stack:
        nodes = list(relu_nodes(roots)) if rule else []
        for node in nodes:
            assert rule is not None
            stack.callback(node.register_hook(_hook(rule)).remove)
        yield len(nodes)


def relu_nodes(roots: Iterable[Tensor]) -> Iterator[Any]:
    """Walk the graphs below some tensors and yield each node that is a ReLU, once."""
    waiting = [root.grad_fn for root in roots if root.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if _is_relu(node):
            yield node
        below = {parent for parent, _ in node.next_functions if parent is not None} - seen
        seen |= below
        waiting.extend(below)


def need_relus(count: int, model: str) -> None:
    """Raise GuidedError where no ReLU was caught: the result would be the plain gradient."""
    if count == 0:
        raise GuidedError(
            f"{model} has no ReLU, so a guided rule would change nothing: "
            "use the plain gradient, or a method without guidance such as grad_cam"
        )


def _is_relu(node: Any) -> bool:
    if node.name() not in _BOUNDS:
        return False
    bound = _BOUNDS[node.name()]
    return bound is None or getattr(node, bound) == 0


def _hook(rule: Rule) -> Callable[[tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...] | None]:
    def hook(grad_inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if grad_inputs[0] is None or grad_outputs[0] is None:
            return None
        return (rule.rewrite(grad_inputs[0], grad_outputs[0]), *grad_inputs[1:])

    return hook
