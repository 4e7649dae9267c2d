"""Lumina-Video (arXiv 2502.06782): a multi-scale Next-DiT under a rectified flow; README.md says how it works."""
