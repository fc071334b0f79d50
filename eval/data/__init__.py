"""Readers of public data sets, and what a folder of them holds."""
