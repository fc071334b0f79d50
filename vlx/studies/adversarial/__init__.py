"""Adversarial noise (paper 6.2): a model is driven to what is not there; do the maps still point?"""
