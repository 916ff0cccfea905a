"""The meters of the benchmarks: processes, bytes on the line, memory, steps."""
