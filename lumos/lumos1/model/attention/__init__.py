"""The frame-causal rule of attention, and the ways of computing it: per frame, in plain products, by flash-attn."""
