"""The parts of the network: blocks, conditioning, patches, positions, what is made of a text once a run."""
