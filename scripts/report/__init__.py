"""The report of a run: what it left, drawn and told on one page."""
