"""Training of Lumina-Video: times and noised latents of a batch, and the loss of a velocity."""
