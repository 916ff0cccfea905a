"""Inference: from a model and an MRI to regions."""
