"""A second cut of the graph, where all words of a batch are scored at once."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vlx.errors import LayerError


@dataclass(frozen=True, eq=False)
class Cut:
    """A second cut of the graph, at the input of the vocabulary layer.

    ``above`` is that input in the graph of the features, ``leaf`` a detached copy from which the
    scores are computed. Rows must not mix: each gives the scores of one step of one item.

    >>> run = captioner.read([vlx.open_image(photo)], ["a traffic light"])
    >>> run.shortcuts.cut.leaf.is_leaf, run.shortcuts.cut.above.is_leaf
    (True, False)
    """

    above: Float[Tensor, "*row hidden"]
    leaf: Float[Tensor, "*row hidden"]
    rows: Int[Tensor, " step"] | Int[Tensor, "batch step"] | None = None
    """The row that gives each step: of each item by itself, or of all rows in their order; None where the
    shape tells. A Pass works it out: rows may be (batch, step, hidden), time first, or flattened."""


def step_rows(cut: Cut, scores: Float[Tensor, "batch step choice"]) -> Int[Tensor, "batch step"]:
    """The row behind each step of each item, of all rows of a cut in their order.

    Raises LayerError where the rows are other ones than the steps, or mix.
    """
    batch, steps = scores.shape[:2]
    lead, count = cut.leaf.shape[:-1], cut.leaf[..., 0].numel()
    known = cut.rows is not None and cut.rows.ndim == 2
    if cut.rows is not None and cut.rows.shape == (batch, steps):
        return cut.rows
    items = torch.arange(batch, device=scores.device)[:, None]
    if cut.rows is not None and not known:
        return items * (count // batch) + cut.rows.to(scores.device)
    if known or count != batch * steps:
        raise LayerError(
            f"the vocabulary layer saw {count} rows for {batch * steps} steps: pick the rows that are "
            "scored with steps= in vlx.capture, or leave vocabulary out"
        )
    at = torch.arange(steps, device=scores.device)[None]
    item_first, time_first = items * steps + at, at * batch + items
    if batch == 1 or steps == 1 or (len(lead) > 1 and batch != steps):
        return item_first if lead[0] == batch or steps == 1 else time_first
    found = _rows_of(cut, scores, batch - 1, 0)
    for rows in (item_first, time_first):
        if found == [int(rows[batch - 1, 0])]:
            return rows
    raise LayerError(
        f"the rows {found} of the vocabulary layer's input give one step: leave vocabulary out for this model"
    )


def _rows_of(cut: Cut, scores: Float[Tensor, "batch step choice"], item: int, step: int) -> list[int]:
    """The rows on which the scores of a step depend, told by their gradients."""
    with torch.inference_mode(False), torch.enable_grad():
        mixed = scores[item, step] @ torch.linspace(1, 2, scores.shape[2]).to(scores)
        (gradient,) = torch.autograd.grad(mixed, cut.leaf, retain_graph=True)
    return gradient.flatten(0, -2).ne(0).any(-1).nonzero()[:, 0].tolist()
