"""Bias: what a model learned from a biased data set looks at, found without being told (paper 6.3)."""
