"""Jobs as they are kept: what a job is, its row in SQLite, the folder of its files."""
