"""Evaluations: what a model makes, scored; run from the repository, never installed."""
