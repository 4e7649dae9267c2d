"""The official prompt lists and the rewritten prompts of the benchmarks, and lists of our own to begin with."""
