"""The controllers of the embedded cluster: workloads, their pods, and owned objects.

Each follows the Go source of Kubernetes 1.36 step by step, also where it writes in an odd
order or with an old resourceVersion: clients see those intermediate states, so ours do too.
"""
