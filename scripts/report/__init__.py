"""The report of a run: what the run has left, on one page."""
