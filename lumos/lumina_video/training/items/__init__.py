"""Training items: latents and images as the engine's datasets, cut, encoded, drawn, and put into a batch."""
