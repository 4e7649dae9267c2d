"""Whether a folder of samples is what an official scorer takes: counts, names, files that decode, metadata."""
