"""The rows of an LSTM's weights in PyTorch's order of gates."""

import torch
from torch import Tensor

TORCH7 = "ifog"
"""Input, forget, output, candidate: the LSTMs of neuraltalk2 and VQA_LSTM_CNN."""
TENSORFLOW = "igfo"
"""Input, candidate, forget, output: TensorFlow's BasicLSTMCell."""


def in_order(rows: Tensor, order: str) -> Tensor:
    """Rows whose four equal blocks lie in this order, as PyTorch has them: input, forget, candidate, output.

    Works on weights (4 * hidden, input) and biases (4 * hidden) alike.

    >>> in_order(torch.tensor([0.0, 1.0, 2.0, 3.0]), "iofg")
    tensor([0., 2., 3., 1.])
    """
    blocks = dict(zip(order, rows.tensor_split(4), strict=True))
    return torch.cat([blocks[gate] for gate in "ifgo"])
