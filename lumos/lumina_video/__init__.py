"""Lumina-Video (arXiv 2502.06782): text to video by a rectified flow over latents, at several patch sizes."""
