"""Evaluate explanations over a data set: items in, rows of scores with controls out, then summaries."""
