"""What models cost and give, beside each other: passes, FLOPs, seconds, memory, scores."""
