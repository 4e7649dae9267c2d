"""What a training takes: memory, network, steps and time, reckoned without running it."""
