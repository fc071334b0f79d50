"""Checkpoint files of other programs, read as data into plain values: no code of a file is ever run."""
