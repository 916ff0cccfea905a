"""Plans: read, checked against what is refused, and built into parts."""
