"""How a file is refused: in one line that says what it is."""

from collections.abc import Callable

import pytest

from vlx.errors import CheckpointError


def checked_refusal(call: Callable[[], object]) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(CheckpointError) as raised:
        call()
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 500
    return message
