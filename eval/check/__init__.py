"""Whether a folder of outputs is what an official scorer takes: counts, names, files that decode, metadata."""
