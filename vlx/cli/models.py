"""``vlx models``: the models there are."""

from vlx.cli.explaining import columns
from vlx.load import known_models


def models() -> None:
    """List the models that --model takes."""
    print(columns(list(known_models().items())))
