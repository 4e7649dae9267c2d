"""What is made of an item: codes, latents or a motion score, from pixels that are read, cut and encoded in batches."""
