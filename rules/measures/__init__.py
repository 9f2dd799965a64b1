"""Measures in Python, by the source they read."""
