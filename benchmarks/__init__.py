"""Benchmarks: what guard costs. Run by hand; the numbers that matter are in docs/benchmarks.md."""
