"""Files whole or absent, and the places they are asked for at."""
