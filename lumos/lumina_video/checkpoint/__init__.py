"""Folders of weights, released and ours: where the parts lie, and tensors read and written safely."""
