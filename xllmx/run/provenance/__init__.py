"""Where a run comes from: what made it, whose it is, and what it is told otherwise when it goes on."""
