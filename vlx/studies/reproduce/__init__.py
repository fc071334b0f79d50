"""Every table and figure of the paper, measured beside what was published."""
