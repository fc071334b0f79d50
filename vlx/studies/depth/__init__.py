"""Maps over the depth of networks, and where questions look (paper appendix G, Fig. 19, 12b)."""
