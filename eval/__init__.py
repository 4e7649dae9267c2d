"""Evaluations: what a model makes, scored; run from the repository, or by `lumos evaluate`."""
