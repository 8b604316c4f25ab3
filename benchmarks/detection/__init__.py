"""How often the detector is wrong, and how soon it is right, next to its peers' rules.

`python -m benchmarks.detection --short`; what it measures and found is in docs/detection.md.
"""
