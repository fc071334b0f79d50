"""Weakly supervised segmentation from seeds: SEC's losses, the dense CRF, and the training recipe."""
