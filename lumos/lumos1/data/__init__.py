"""Clips of codes on disk."""
