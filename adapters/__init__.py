"""Adapters: one file per family of models, each turning images and text into a Pass."""

if __name__ != "vlx.adapters":
    raise ImportError("import vlx.adapters, not adapters: a second copy would make second classes")
