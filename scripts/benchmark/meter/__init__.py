"""The meter: processes, their CPU and memory, their bytes on the wire, and a common workload."""
