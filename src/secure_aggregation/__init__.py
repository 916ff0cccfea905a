"""Secure aggregation: both ends of the protocol by which an aggregator adds what it cannot read."""
