"""Clips as they are made: models, what takes them on step by step, frames for viewers and for files."""
