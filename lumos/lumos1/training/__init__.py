"""The training task: samples and masks of a batch, packing, initial weights, cost."""
