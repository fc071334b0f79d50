"""Video: maps for every frame of a clip (paper abstract, conclusion)."""
