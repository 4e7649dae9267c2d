"""The server: jobs from clients, a queue that survives a kill, frames as they are made (README.md of this folder)."""
