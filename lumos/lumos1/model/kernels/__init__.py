"""Ways of computing the frame-causal rule of `lumos.lumos1.model.attention`: in plain products, and by flash-attn."""
