"""Aggregation: rules that make the next model from the sites' models."""
