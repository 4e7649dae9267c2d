"""Benches of Lumos-1: see ../README.md."""
