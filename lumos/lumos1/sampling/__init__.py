"""Codes from a model: one refinement, the loop over frames, guidance, settings."""
