"""The code that travels to the sites and the aggregator."""
