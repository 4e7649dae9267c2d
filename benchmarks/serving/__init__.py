"""A real `lumos serve` under many clients, bad requests and kills."""
