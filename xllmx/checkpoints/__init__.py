"""Checkpoints of a run: written while training goes on, read on any number of ranks, nothing of them run."""
