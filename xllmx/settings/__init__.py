"""Settings as they are given: read, held against what they may be, and refused in one line that says what to write."""
