"""Evaluation: the metrics of a model on a site's cases."""
