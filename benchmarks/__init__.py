"""Fast paths against literal ones: see README.md beside this file."""
