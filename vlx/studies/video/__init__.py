"""Networks that read clips: maps in time, measured on events whose place and time are known."""

from vlx.studies.video.items import Item, shipped_network

__all__ = ["Item", "shipped_network"]
