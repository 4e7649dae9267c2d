"""Clips of latents on disk, and how much moves in them."""
