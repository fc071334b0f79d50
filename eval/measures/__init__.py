"""Measures: pure functions on arrays, and the statistics of what they give."""
