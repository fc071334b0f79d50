"""Occlusion and its counterparts: what a score is where parts of the image are hidden, or shown alone."""
