"""Pickles and torch files, read by a machine of our own that runs nothing."""
