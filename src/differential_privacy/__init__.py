"""Differential privacy: the mechanisms that add noise, and the books of what they spend."""
