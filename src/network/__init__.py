"""The way to the aggregator as this machine's network has it; nothing here imports an engine."""
