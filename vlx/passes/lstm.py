"""The way back through an LSTM for many targets at once.

Gradients of many words go back through the same LSTM. As automatic differentiation has it, each step is
dozens of small operations on what all words have. Here the forward keeps its gates, and the way back is a
short loop over the steps: one product and a few operations, with factors that all words share. A word whose
gradient begins at an earlier step stands aside until it comes to it.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

State = tuple[Tensor, Tensor]


def fast_forward(lstm: nn.LSTM, plain: Callable[..., Any]) -> Callable[..., Any]:
    """A forward for an LSTM, the same but for rounding; ``plain`` is its own, for what this one is not for.

    These are runs that record no gradients at the inputs, or some at the weights; projections, two
    directions, dropout between layers, packed sequences, half precision, autocast, and torch's functions
    being watched.
    """

    def forward(given: Any, state: Any = None) -> Any:
        return _run(lstm, given, state) if _serves(lstm, given, state) else plain(given, state)

    return forward


def runs_fast(root: Tensor) -> bool:
    """Whether such a forward is in the graph of a tensor: its way back for many is known to `torch.vmap`."""
    waiting: list[Any] = [root.grad_fn]
    seen = set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name() == "_LayerBackward" and isinstance(node, _Layer._backward_cls):  # pyright: ignore
            return True
        seen.add(node)
        waiting += [parent for parent, _ in node.next_functions]
    return False


def _serves(lstm: nn.LSTM, given: Any, state: Any) -> bool:
    if not isinstance(given, Tensor) or given.ndim != 3 or 0 in given.shape:
        return False
    if not (state is None or (isinstance(state, tuple) and len(state) == 2)):
        return False
    inputs = (given, *(state or ()))
    weights: list[Any] = lstm._flat_weights  # pyright: ignore[reportPrivateUsage]
    kind = given.dtype
    if kind not in (torch.float32, torch.float64):
        return False
    if any(one is None or one.dtype != kind or one.device != given.device for one in (*weights, *inputs)):
        return False
    batch = given.shape[0 if lstm.batch_first else 1]
    shape = (lstm.num_layers, batch, lstm.hidden_size)
    if given.shape[2] != lstm.input_size or any(one.shape != shape for one in inputs[1:]):
        return False  # its own forward says what is wrong
    recorded = torch.is_grad_enabled() and any(one.requires_grad for one in inputs)
    simple = not (lstm.proj_size or lstm.bidirectional or (lstm.training and lstm.dropout))
    watched = torch._C._len_torch_function_stack() > 0  # pyright: ignore[reportPrivateUsage]
    return (
        recorded
        and simple
        and not watched
        and not any(one.requires_grad for one in weights)
        and not torch.is_autocast_enabled(given.device.type)
    )


def _run(
    lstm: nn.LSTM, given: Float[Tensor, "first second input"], state: State | None
) -> tuple[Float[Tensor, "first second hidden"], State]:
    rows = given.transpose(0, 1) if lstm.batch_first else given
    if state is None:
        zeros = rows.new_zeros(lstm.num_layers, rows.shape[1], lstm.hidden_size)
        state = zeros, zeros
    hidden: list[Tensor] = []
    cells: list[Tensor] = []
    for weights, h, c in zip(lstm.all_weights, *state, strict=True):
        rows, last, cell = _Layer.apply(rows, h, c, *weights)
        hidden.append(last)
        cells.append(cell)
    return rows.transpose(0, 1) if lstm.batch_first else rows, (torch.stack(hidden), torch.stack(cells))


class _Layer(torch.autograd.Function):
    """One layer, time first: all outputs, and the last output and cell."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, h: Tensor, c: Tensor, *weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run all steps, and keep what the way back needs."""
        gates, cells, outputs = _steps(rows, h, c, *weights)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(rows, h, c, gates, cells, *weights)
        return outputs, outputs[-1].clone(), cells[-1].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of the inputs and of the state before, and none of the weights."""
        rows, h, c, gates, cells, *weights = ctx.saved_tensors
        none = (None,) * len(weights)
        if torch.is_grad_enabled():  # it is to be differentiated itself
            return (*_by_steps((rows, h, c), weights, grads), *none)
        if grads[0] is None and grads[1] is None and grads[2] is None:
            return (None, None, None, *none)
        needed = bool(ctx.needs_input_grad[0])
        at_rows, at_h, at_c = _Way.apply(*grads, gates, cells, c, weights[0], weights[1], needed)
        return (at_rows if needed else None, at_h, at_c, *none)


def _steps(
    rows: Float[Tensor, "step batch input"], h: Tensor, c: Tensor, *weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gates (step, batch, 4 hidden) after their functions, cells and outputs (step, batch, hidden)."""
    into, again, *biases = weights
    size, bias = h.shape[1], biases[0] + biases[1] if biases else None
    gates: list[Tensor] = []
    cells: list[Tensor] = []
    outputs: list[Tensor] = []
    for given in torch.nn.functional.linear(rows, into, bias):
        summed = torch.addmm(given, h, again.t())
        enter, forget, _, leave = summed.sigmoid().chunk(4, 1)
        candidate = summed[:, 2 * size : 3 * size].tanh()
        c = torch.addcmul(forget * c, enter, candidate)
        h = leave * c.tanh()
        gates.append(torch.cat([enter, forget, candidate, leave], 1))
        cells.append(c)
        outputs.append(h)
    return torch.stack(gates), torch.stack(cells), torch.stack(outputs)


def _by_steps(
    inputs: tuple[Tensor, ...], weights: list[Tensor], grads: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The gradients as automatic differentiation has them, in a graph of their own."""
    _, cells, outputs = _steps(*inputs, *weights)
    pairs = zip((outputs, outputs[-1], cells[-1]), grads, strict=True)
    used = [(output, grad) for output, grad in pairs if grad is not None]
    asked = [one for one in inputs if one.requires_grad]
    found = torch.autograd.grad(
        [one for one, _ in used], asked, [grad for _, grad in used], create_graph=True, allow_unused=True
    )
    left = iter(found)
    return tuple(next(left) if one.requires_grad else None for one in inputs)


class _Way(torch.autograd.Function):
    """The way back, of one target or, where gradients come in batches, of many at once."""

    @staticmethod
    def forward(
        at_outputs: Tensor | None, at_h: Tensor | None, at_c: Tensor | None, gates: Tensor, cells: Tensor,
        first: Tensor, into: Tensor, again: Tensor, needed: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """The gradients at the inputs, and at the output and cell before the first step."""
        outputs, last, cell = (None if one is None else one[None] for one in (at_outputs, at_h, at_c))
        rows, h, c = _way_back(outputs, last, cell, gates, cells, first, into, again, needed)
        return rows[0], h[0], c[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *given: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """All targets of a batch of gradients at once."""
        outputs, last, cell = (
            one if one is None or at == 0 else one.expand(info.batch_size, *one.shape) if at is None
            else one.movedim(at, 0)
            for one, at in zip(given[:3], in_dims[:3], strict=True)
        )  # fmt: skip
        gates, cells, first, into, again, needed = given[3:]
        return _way_back(outputs, last, cell, gates, cells, first, into, again, needed), (0, 0, 0)


def _way_back(
    at_outputs: Float[Tensor, "target step batch hidden"] | None,
    at_h: Float[Tensor, "target batch hidden"] | None,
    at_c: Float[Tensor, "target batch hidden"] | None,
    gates: Float[Tensor, "step batch gate"],
    cells: Float[Tensor, "step batch hidden"],
    first: Float[Tensor, "batch hidden"],
    into: Float[Tensor, "gate input"],
    again: Float[Tensor, "gate hidden"],
    needed: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    steps, batch, size = cells.shape
    count = next(len(one) for one in (at_outputs, at_h, at_c) if one is not None)
    order, begun = None, [count] * steps
    alone = at_h is None and at_c is None and min(count, steps) > 1
    if at_outputs is not None and alone and at_outputs.is_cpu:  # another device would be waited for
        order, begun = _in_turn(at_outputs)
        at_outputs = at_outputs[order]
    enter, forget, candidate, leave = gates.unflatten(2, (4, size)).unbind(2)
    bent = cells.tanh()
    before = torch.cat([first[None], cells[:-1]])
    # What a gradient at an output becomes at its cell, and at its gate; one at a cell at the other gates.
    to_cell, to_leave = leave * (1 - bent.square()), bent * leave * (1 - leave)
    to_gates = torch.stack(
        [
            candidate * enter * (1 - enter),
            before * forget * (1 - forget),
            enter * (1 - candidate.square()),
        ],
        2,
    )
    # Of no other step than the last they are needed again, unless the inputs have gradients.
    found = gates.new_zeros(steps if needed else 1, count, batch, 4, size)
    h = gates.new_zeros(count, batch, size) if at_h is None else at_h.clone(memory_format=_DENSE)
    c = gates.new_zeros(count, batch, size) if at_c is None else at_c.clone(memory_format=_DENSE)
    for step in reversed(range(steps)):
        here, cell = (one[: begun[step]] for one in (h, c))
        mine = found[step if needed else 0, : begun[step]]
        if at_outputs is not None:
            here += at_outputs[: begun[step], step]
        cell.addcmul_(here, to_cell[step])
        torch.mul(cell[:, :, None], to_gates[step], out=mine[:, :, :3])
        torch.mul(here, to_leave[step], out=mine[:, :, 3])
        torch.mm(mine.flatten(0, 1).flatten(1), again, out=here.view(-1, size))
        cell *= forget[step]
    rows = (found.flatten(3) @ into).movedim(0, 1) if needed else found.new_zeros(count, 0)
    if order is not None:
        back = torch.argsort(order)
        rows, h, c = rows[back], h[back], c[back]
    return rows, h, c


_DENSE = torch.contiguous_format


def _in_turn(at_outputs: Float[Tensor, "target step batch hidden"]) -> tuple[Tensor, list[int]]:
    """Targets by the last step at which they have a gradient, and how many have begun at each step."""
    some = at_outputs.flatten(2).ne(0).any(2)
    last = (some * torch.arange(1, some.shape[1] + 1)).amax(1)  # 0 of those without any
    order = last.argsort(descending=True, stable=True)
    return order, (last[:, None] > torch.arange(some.shape[1])).sum(0).tolist()
