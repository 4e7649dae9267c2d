"""What surrounds one run: its logs, metrics and environment, and the ways it stops or fails."""
