"""Regressions on a fixed table of features."""
