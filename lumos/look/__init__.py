"""What is in a set of clips, or in a folder of outputs: counted in words, and shown on a sheet of pictures."""
