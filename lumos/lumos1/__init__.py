"""Lumos-1 (arXiv 2507.08801): images and videos by a Llama-style model over discrete tokens."""
