"""Both ends of the protocol by which the aggregator adds what it cannot read."""
