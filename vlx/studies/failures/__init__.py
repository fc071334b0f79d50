"""Failure modes: what a model saw where it was wrong (paper 6.1)."""
