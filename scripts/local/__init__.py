"""A federation on this machine: its processes, its ceremony, its hosts."""
