"""The cluster: how to reach it, what went wrong, how to follow a workload in it."""
