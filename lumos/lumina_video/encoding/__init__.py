"""What the encoders of text and video must offer, when they are loaded, and what of theirs is kept."""
