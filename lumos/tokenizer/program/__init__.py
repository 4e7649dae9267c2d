"""TorchScript programs of strangers: looked through before they are loaded, and again before they are called."""
