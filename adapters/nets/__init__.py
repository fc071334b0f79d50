"""Networks as torch modules, at any size: they know no file and no family."""
