"""From one item to its row: its image and text, its maps, its truth, and the controls beside it."""
