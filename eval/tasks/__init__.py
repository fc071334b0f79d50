"""The evaluations, one file each: which items, which target, which score."""
