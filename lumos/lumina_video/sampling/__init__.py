"""What the loop over Euler steps (`lumos.lumina_video.flow`) is made of: the clock, and the velocity under guidance."""
