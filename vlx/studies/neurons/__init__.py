"""Neurons by the names of what they detect, and decisions told in these names (paper 7)."""
