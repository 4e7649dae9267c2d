"""The ways to compute attention by name; imported without torch."""

BACKENDS = ("per_frame", "flash", "mask", "flex")
