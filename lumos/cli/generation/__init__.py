"""What `lumos generate` asks for: its options, the request they make, and what it will cost."""
