"""Who makes shards of rows: this process, or actors of Ray."""
