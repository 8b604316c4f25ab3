"""Tests of the whole watch, on the embedded cluster."""
