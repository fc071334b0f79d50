"""Adversarial noise: do maps of what is there hold when the model is fooled? (paper 6.2)"""
