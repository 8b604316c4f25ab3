"""Policies: what users write in YAML, checked and turned into values."""
