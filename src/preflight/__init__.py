"""Preflight: before a start, find out whether it would work here, and be safe."""
