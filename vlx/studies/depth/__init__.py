"""Networks over their depth (paper appendices B.1 and G, figures 12b, 13, 14, 19 and 22)."""
