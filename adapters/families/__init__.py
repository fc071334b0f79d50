"""Published models, one file each: facts, preparation of images, loading, names of weights."""
