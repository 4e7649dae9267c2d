"""The training engine: tensors, ranks, shards, steps; no token id and no model."""
