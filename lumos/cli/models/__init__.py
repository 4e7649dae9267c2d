"""What the commands know of each model; nothing else in `lumos/cli` asks which of the two it has before it."""
