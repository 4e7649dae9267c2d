"""Training runs: started, estimated, previewed and exported."""
