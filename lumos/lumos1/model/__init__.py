"""The transformer: rotary positions, frame-causal attention, cache, blocks, and the model around them."""
