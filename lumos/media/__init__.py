"""Pictures and clips: read, chosen, cropped, written; files whole or absent; what a caller may hand in."""
