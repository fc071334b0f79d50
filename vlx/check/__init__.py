"""Whether an adapter reads its model rightly: marked patches, changed words, other questions."""
