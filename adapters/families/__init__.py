"""Models by name, one file a family: facts, preparation of images, loading, names of weights."""
