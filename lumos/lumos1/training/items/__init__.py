"""Training items: clips of codes as the engine's dataset, cut to the training length, masked, and put into a batch."""
