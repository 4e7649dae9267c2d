"""What `lumos serve` makes of the models that are named."""
