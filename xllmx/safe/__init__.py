"""Files of strangers, read within bounds: JSON, YAML, pickles and archives of torch; nothing of them is run."""
