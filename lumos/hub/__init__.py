"""Names of models -> folders, and how they get there."""
