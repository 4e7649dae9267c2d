"""Sets of clips, of codes or of latents: what is in them, what they were made of, and both side by side."""
