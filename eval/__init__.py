"""Evaluators and data formats: arrays in, numbers out."""

if __name__ != "vlx.eval":
    raise ImportError("import vlx.eval, not eval: a second copy would make second classes")
