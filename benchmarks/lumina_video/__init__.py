"""Benches of Lumina-Video: see ../README.md."""
