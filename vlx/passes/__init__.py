"""A differentiable run of a model: what is scored, at which features, and for which words."""
