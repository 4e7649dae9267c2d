"""A video from noise: the clock, the velocity under guidance, and the loop over Euler steps."""
