"""Occlusion: how much a score falls where a window hides the image."""
